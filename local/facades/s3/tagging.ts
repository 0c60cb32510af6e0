import { receiveDocument } from './body.ts';
import { versionIdHeader } from './description.ts';
import { type Bucket, type Call, s3Error, type Version } from './model.ts';
import { changeVersion } from './store.ts';
import { assertTags, type Tags } from './tags.ts';
import { versionOf } from './versions.ts';
import { answerXml, fromXml, malformed } from './xml.ts';

/** Tags of objects, one version at a time. */

function found(call: Call): { bucket: Bucket; version: Version } {
  const bucket = call.bucket();
  return { bucket, version: versionOf(bucket, call.key, call.query.get('versionId') ?? undefined) };
}

export function getObjectTagging(call: Call): void {
  const { bucket, version } = found(call);
  for (const [name, value] of Object.entries(versionIdHeader(bucket, version.versionId))) {
    call.response.setHeader(name, value);
  }
  answerXml(call.response, 'Tagging', {
    TagSet: { Tag: Object.entries(version.tags ?? {}).map(([Key, Value]) => ({ Key, Value })) },
  });
}

export async function putObjectTagging(call: Call): Promise<void> {
  const body = fromXml(await receiveDocument(call.request), 'Tagging');
  const list = [body.TagSet?.Tag ?? []].flat() as { Key?: string; Value?: string }[];
  const keys = new Set(list.map(({ Key }) => Key));
  if (keys.size < list.length) throw s3Error('InvalidTag', 'Cannot provide multiple Tags with the same key');
  await change(
    call,
    Object.fromEntries(
      list.map(({ Key, Value }) => {
        if (Key === undefined || Value === undefined) throw malformed('a Tag needs Key and Value');
        return [Key, Value];
      }),
    ),
    200,
  );
}

export const deleteObjectTagging = (call: Call): Promise<void> => change(call, {}, 204);

async function change(call: Call, tags: Tags, status: number): Promise<void> {
  assertTags(tags);
  const { bucket, version } = found(call);
  const kept = Object.keys(tags).length > 0 ? tags : undefined;
  await changeVersion(bucket, version.key, version.versionId, (before) => ({ ...before, tags: kept }), true);
  call.response.writeHead(status, {
    ...versionIdHeader(bucket, version.versionId),
    ...(status === 200 && { 'content-length': 0 }),
  });
  call.response.end();
}
