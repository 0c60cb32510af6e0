import { createHash } from 'node:crypto';
import { getStream, getText, type ObjectStore, openStore, sizeOf } from '../lib/aws/object-store.ts';
import { parseAnyManifest } from '../lib/core/any-manifest.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { ManifestObject } from '../lib/core/manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { type Batch, type BatchResult, partRange } from '../lib/core/verification.ts';
import { defineHandler } from './define-handler.ts';

/** Reads the parts of a batch back by range and holds each against its hash in the manifest. */
export const handler = defineHandler(
  async ({ settings, batch }: { settings: DatabaseSettings; batch: Batch }): Promise<BatchResult> => {
    const store = openStore(settings.bucket);
    const manifest = parseAnyManifest(await getText(store, batch.manifestKey, 'BackupNotFound'), batch.manifestKey);
    const result = { bytes: 0, parts: 0 };
    for (const { key, fromPart, toPart } of batch.ranges) {
      const object = manifest.objects.find((o) => o.key === key);
      if (!object) throw new PgdrError('ManifestInvalid', `${batch.manifestKey} does not list ${key}`);
      const size = await sizeOf(store, key, object.versionId);
      if (size !== object.bytes) {
        throw new PgdrError('ObjectTruncated', `${key} has ${size} bytes, the manifest says ${object.bytes}`);
      }
      for (let part = fromPart; part <= toPart; part++) {
        result.bytes += await verifyPart(store, object, part);
        result.parts += 1;
      }
    }
    return result;
  },
);

async function verifyPart(
  store: ObjectStore,
  object: Pick<ManifestObject, 'key' | 'parts' | 'bytes' | 'versionId'>,
  part: number,
): Promise<number> {
  const expected = object.parts[part];
  if (!expected) throw new PgdrError('ManifestInvalid', `${object.key} has no part ${part}`);
  const range = partRange(object, part);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of await getStream(store, object.key, { versionId: object.versionId, range })) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    if (error instanceof PgdrError) throw error;
    const where = `${object.key} broke off ${bytes} bytes into part ${part + 1}`;
    throw new PgdrError('ObjectTruncated', `${where}: ${(error as Error).message}`, { cause: error });
  }
  if (bytes !== expected.bytes) {
    throw new PgdrError('ObjectTruncated', `${object.key} part ${part + 1} has ${bytes} bytes, not ${expected.bytes}`);
  }
  const sha256 = hash.digest('hex');
  if (sha256 !== expected.sha256) {
    const where = `${object.key} part ${part + 1} (bytes ${range.from}-${range.to})`;
    throw new PgdrError('ObjectAltered', `${where} has SHA-256 ${sha256}, the manifest says ${expected.sha256}`);
  }
  return bytes;
}
