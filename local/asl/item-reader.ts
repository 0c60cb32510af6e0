import { itemReaderFailed, StatesError } from './errors.ts';
import { evaluateField, type Frame } from './frame.ts';
import { wholeNumber } from './map-parallel.ts';
import type { ItemReader, Json } from './types.ts';

/** Items of a distributed Map that lie in S3: a JSON or JSON Lines object, or the list of objects itself. */

type Members = { readonly [key: string]: Json };

/** Where S3 is asked, under the names that {@link ItemReader}'s Resource may have. */
export const readerResources: Readonly<Record<string, string>> = {
  'arn:aws:states:::s3:getObject': 'arn:aws:states:::aws-sdk:s3:getObject',
  'arn:aws:states:::s3:listObjectsV2': 'arn:aws:states:::aws-sdk:s3:listObjectsV2',
};

/** Throws States.ItemReaderFailed for whatever keeps the items from being read. */
export async function readItems(reader: ItemReader, frame: Frame): Promise<readonly Json[]> {
  const parameters = await evaluateField(frame, 'ItemReader/Arguments', reader.Arguments);
  const { MaxItems, InputType = 'JSON', ItemsPointer } = reader.ReaderConfig ?? {};
  const most = MaxItems === undefined ? 0 : await wholeNumber(frame, 'ItemReader/ReaderConfig/MaxItems', MaxItems);
  const isList = reader.Resource.endsWith(':listObjectsV2');
  const items = isList
    ? await listObjects(frame, reader.Resource, parameters as Members, most)
    : itemsIn(await getObject(frame, reader.Resource, parameters), InputType, ItemsPointer);
  return most === 0 ? items : items.slice(0, most);
}

async function ask(frame: Frame, resource: string, parameters: Json): Promise<Members> {
  const { thread, name } = frame;
  try {
    return (await thread.run.integrate({
      resource: readerResources[resource] as string,
      arguments: parameters,
      state: name,
      signal: thread.signal,
      submitted: () => {},
      heartbeat: () => {},
    })) as Members;
  } catch (error) {
    if (error instanceof StatesError) throw itemReaderFailed(error.cause ?? error.message);
    throw error;
  }
}

async function getObject(frame: Frame, resource: string, parameters: Json): Promise<string> {
  const { Body } = await ask(frame, resource, parameters);
  return typeof Body === 'string' ? Body : '';
}

function itemsIn(text: string, type: 'JSON' | 'JSONL', pointer: string | undefined): readonly Json[] {
  let value: Json;
  try {
    value =
      type === 'JSON' ? JSON.parse(text) : text.split('\n').flatMap((line) => (line.trim() ? [JSON.parse(line)] : []));
  } catch (error) {
    throw itemReaderFailed(`The object is not ${type}: ${(error as Error).message}`);
  }
  for (const part of (pointer ?? '').split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    value = typeof value === 'object' && value !== null ? ((value as Members)[key] ?? null) : null;
  }
  if (!Array.isArray(value)) throw itemReaderFailed('Attempting to map over non-iterable node.');
  return value;
}

/** Every page. An item is named as ItemReader does: `Etag`, and LastModified in seconds. */
async function listObjects(
  frame: Frame,
  resource: string,
  parameters: Members,
  most: number,
): Promise<readonly Json[]> {
  const items: Json[] = [];
  let token: Json | undefined;
  do {
    const page = await ask(frame, resource, {
      ...parameters,
      ...(token !== undefined && { ContinuationToken: token }),
    });
    const contents = Array.isArray(page.Contents) ? (page.Contents as Members[]) : [];
    for (const { Key, Size, ETag, LastModified, StorageClass } of contents) {
      const time = Math.floor(Date.parse(String(LastModified)) / 1000);
      items.push({
        Etag: ETag ?? null,
        Key: Key ?? null,
        LastModified: time,
        Size: Size ?? null,
        StorageClass: StorageClass ?? null,
      });
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined && (most === 0 || items.length < most));
  return items;
}
