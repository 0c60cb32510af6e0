import { createHash, randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand, PutObjectCommand, RestoreObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { getStream, getText, list, type ObjectStore, putOnce, putStream, sizeOf } from '../../lib/aws/object-store.ts';
import { PgdrError } from '../../lib/core/errors.ts';
import { AwsError } from '../../local/facade.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const MiB = 1024 * 1024;
const partBytes = 5 * MiB;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** Bytes in chunks of a size that fits no part. */
async function* inChunks(bytes: Buffer, failAfter = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_521) {
    if (at > failAfter) throw new PgdrError('DumpFailed', 'pg_dump was killed by SIGKILL');
    yield bytes.subarray(at, at + 65_521);
  }
}

describe('the object store', () => {
  let server: S3Server;
  let store: ObjectStore;

  beforeAll(async () => {
    server = await startS3();
    server.bucket('backups', { VersioningConfiguration: { Status: 'Enabled' } });
    store = { s3: server.client({ maxAttempts: 3 }), bucket: 'backups' };
  });
  afterEach(() => {
    server.intercept = undefined;
  });
  afterAll(() => server.close());

  const uploadsLeft = async () =>
    (await store.s3.send(new ListMultipartUploadsCommand({ Bucket: 'backups' }))).Uploads ?? [];

  it('says of an object in a deep archive that it has to be brought back, and reads it once it is', async () => {
    const { bucket: Bucket, s3 } = store;
    await s3.send(new PutObjectCommand({ Bucket, Key: 'cold', Body: 'text', StorageClass: 'DEEP_ARCHIVE' }));
    await expect(getText(store, 'cold')).rejects.toMatchObject({ name: 'ObjectArchived' });
    await s3.send(new RestoreObjectCommand({ Bucket, Key: 'cold', RestoreRequest: { Days: 7 } }));
    server.elapsed += 3 * 86_400_000;
    expect(await getText(store, 'cold')).toBe('text');
    server.elapsed = 0;
  });

  it.each([0, 1, partBytes - 1, partBytes, partBytes + 1, 3 * partBytes + 7])(
    'stores a stream of %d bytes, its hash and those of its parts',
    async (size) => {
      const bytes = randomBytes(size);
      const key = `sizes/${size}`;
      const stored = await putStream(store, key, inChunks(bytes), { partBytes });
      expect(stored).toMatchObject({ key, bytes: size, sha256: sha256(bytes) });
      expect(stored.parts).toEqual(
        Array.from({ length: Math.ceil(size / partBytes) }, (_, i) =>
          bytes.subarray(i * partBytes, (i + 1) * partBytes),
        ).map((part) => ({ bytes: part.length, sha256: sha256(part) })),
      );
      const read: Buffer[] = [];
      for await (const chunk of await getStream(store, key)) read.push(chunk);
      expect(Buffer.concat(read).equals(bytes)).toBe(true);
      expect(await sizeOf(store, key)).toBe(size);
    },
  );

  it('takes the same content twice and refuses other content, in one request and in parts', async () => {
    for (const size of [10, 2 * partBytes]) {
      const key = `once/${size}`;
      const [first, other] = [randomBytes(size), randomBytes(size)];
      await putStream(store, key, inChunks(first), { partBytes });
      await expect(putStream(store, key, inChunks(first), { partBytes })).resolves.toMatchObject({
        sha256: sha256(first),
      });
      await expect(putStream(store, key, inChunks(other), { partBytes })).rejects.toMatchObject({
        name: 'ManifestConflict',
      });
    }
    expect(await uploadsLeft()).toEqual([]);
  });

  it('aborts the upload when its source fails, and passes the failure on', async () => {
    const source = inChunks(randomBytes(3 * partBytes), 2 * partBytes);
    await expect(putStream(store, 'source-fails', source, { partBytes })).rejects.toMatchObject({ name: 'DumpFailed' });
    expect(await uploadsLeft()).toEqual([]);
    await expect(getText(store, 'source-fails')).rejects.toMatchObject({ name: 'ObjectMissing' });
  });

  it('rides out an S3 that refuses for a while', async () => {
    let refusals = 2;
    server.intercept = ({ operation }) => {
      if (operation === 'UploadPart' && refusals-- > 0)
        throw new AwsError('SlowDown', 'Please reduce your request rate.', 503);
    };
    const bytes = randomBytes(2 * partBytes);
    await expect(putStream(store, 'slow', inChunks(bytes), { partBytes })).resolves.toMatchObject({
      sha256: sha256(bytes),
    });
    expect(refusals).toBeLessThan(0);
  });

  it('gives up when S3 goes on refusing, and leaves nothing', async () => {
    server.intercept = ({ operation, input }) => {
      if (operation === 'UploadPart' && input.PartNumber === 2)
        throw new AwsError('SlowDown', 'Please reduce your request rate.', 503);
    };
    const refused = putStream(store, 'refused', inChunks(randomBytes(3 * partBytes)), { partBytes });
    await expect(refused).rejects.toMatchObject({
      name: 'StorageRefused',
      message: expect.stringMatching(/part 2: SlowDown.*after 3 attempts/),
    });
    expect(await uploadsLeft()).toEqual([]);
    await expect(sizeOf(store, 'refused')).rejects.toMatchObject({ name: 'ObjectMissing' });
  });

  it('lists keys, and the folders below a prefix', async () => {
    for (const key of ['l/a/1', 'l/a/2', 'l/b/1']) await putOnce(store, key, Buffer.from(key));
    expect(await Array.fromAsync(list(store, 'l/'))).toEqual(['l/a/1', 'l/a/2', 'l/b/1']);
    expect(await Array.fromAsync(list(store, 'l/', '/'))).toEqual(['l/a/', 'l/b/']);
  });
});
