import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type S3Server, startS3 } from './s3-server.ts';

const MiB = 1024 ** 2;
const Bucket = 'parts';
let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3();
  server.bucket(Bucket, { VersioningConfiguration: { Status: 'Enabled' } });
  s3 = server.client();
});
afterAll(() => server.close());

const leftovers = () => [
  ...readdirSync(join(server.directory, 's3', Bucket, 'incoming')),
  ...readdirSync(join(server.directory, 's3', Bucket, 'uploads')),
];
const base64 = (algorithm: string, data: Buffer) => createHash(algorithm).update(data).digest('base64');

async function begin(Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }));
  return UploadId as string;
}

const send = (Key: string, UploadId: string, PartNumber: number, Body: Buffer, more: object = {}) =>
  s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }));

const complete = (Key: string, UploadId: string, Parts: CompletedPart[], more: object = {}) =>
  s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }));

const abort = (Key: string, UploadId: string) => s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));

/** An upload of these parts (CRC32, composite), not completed yet. */
async function uploaded(Key: string, bodies: Buffer[]): Promise<{ id: string; parts: CompletedPart[] }> {
  const id = await begin(Key, { ChecksumAlgorithm: 'CRC32' });
  const parts = await Promise.all(
    bodies.map(async (body, i) => {
      const { ETag, ChecksumCRC32 } = await send(Key, id, i + 1, body);
      return { PartNumber: i + 1, ETag, ChecksumCRC32 };
    }),
  );
  return { id, parts };
}

async function read(Key: string, more: object = {}): Promise<Buffer> {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
}

test('20 MiB in parts of 8, streamed: one file, composite SHA-256, the parts findable', async () => {
  const data = randomBytes(20 * MiB);
  const bodies = [data.subarray(0, 8 * MiB), data.subarray(8 * MiB, 16 * MiB), data.subarray(16 * MiB)];
  const Key = 'streamed';
  const id = await begin(Key, { ChecksumAlgorithm: 'SHA256', Metadata: { a: '1' } });
  const parts: CompletedPart[] = [];
  for (const [i, body] of bodies.entries()) {
    const answer = await s3.send(
      new UploadPartCommand({
        Bucket,
        Key,
        UploadId: id,
        PartNumber: i + 1,
        Body: Readable.from([body]),
        ContentLength: body.length,
        ChecksumAlgorithm: 'SHA256',
      }),
    );
    expect(answer.ChecksumSHA256).toBe(base64('sha256', body));
    parts.push({ PartNumber: i + 1, ETag: answer.ETag, ChecksumSHA256: answer.ChecksumSHA256 });
  }
  const done = await complete(Key, id, parts, { IfNoneMatch: '*' });
  const digests = Buffer.concat(bodies.map((body) => createHash('sha256').update(body).digest()));
  expect(done.ChecksumSHA256).toBe(`${base64('sha256', digests)}-3`);
  expect(done.ChecksumType).toBe('COMPOSITE');
  const md5s = Buffer.concat(bodies.map((body) => createHash('md5').update(body).digest()));
  expect(done.ETag).toBe(`"${createHash('md5').update(md5s).digest('hex')}-3"`);
  expect(readFileSync(server.facade.locate(Bucket, Key) as string).equals(data)).toBe(true);
  expect((await read(Key)).equals(data)).toBe(true);
  expect((await read(Key, { Range: 'bytes=8388600-8388620' })).equals(data.subarray(8388600, 8388621))).toBe(true);
  const second = await s3.send(new GetObjectCommand({ Bucket, Key, PartNumber: 2 }));
  expect(second.PartsCount).toBe(3);
  expect(Buffer.from((await second.Body?.transformToByteArray()) ?? []).equals(bodies[1] as Buffer)).toBe(true);
  const attributes = await s3.send(
    new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['ObjectParts', 'Checksum'] }),
  );
  expect(attributes.ObjectParts?.TotalPartsCount).toBe(3);
  expect(attributes.ObjectParts?.Parts?.map((part) => part.Size)).toEqual([8 * MiB, 8 * MiB, 4 * MiB]);
  expect(attributes.Checksum?.ChecksumSHA256).toBe(base64('sha256', digests));
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
  expect(head).toMatchObject({ ContentLength: 20 * MiB, Metadata: { a: '1' }, VersionId: done.VersionId });
  expect(leftovers()).toEqual([]);
});

describe('full-object checksums', () => {
  const first = randomBytes(5 * MiB);
  const second = randomBytes(1000);
  const whole = Buffer.concat([first, second]);

  test.each(['CRC32', 'CRC32C', 'CRC64NVME'] as const)(
    '%s over parts equals the one of a single put',
    async (algorithm) => {
      await s3.send(new PutObjectCommand({ Bucket, Key: 'single', Body: whole, ChecksumAlgorithm: algorithm }));
      const single = await s3.send(new HeadObjectCommand({ Bucket, Key: 'single', ChecksumMode: 'ENABLED' }));
      const expected = single[`Checksum${algorithm}`];
      const Key = `full/${algorithm}`;
      const id = await begin(Key, { ChecksumAlgorithm: algorithm, ChecksumType: 'FULL_OBJECT' });
      const parts = [];
      for (const [i, body] of [first, second].entries()) {
        const { ETag } = await send(Key, id, i + 1, body, { ChecksumAlgorithm: algorithm });
        parts.push({ PartNumber: i + 1, ETag });
      }
      const wrong = { [`Checksum${algorithm}`]: Buffer.alloc(algorithm === 'CRC64NVME' ? 8 : 4).toString('base64') };
      await expect(complete(Key, id, parts, { ...wrong, ChecksumType: 'FULL_OBJECT' })).rejects.toMatchObject({
        name: 'BadDigest',
      });
      expect(server.facade.locate(Bucket, Key)).toBeUndefined();
      const done = await complete(Key, id, parts, { [`Checksum${algorithm}`]: expected, ChecksumType: 'FULL_OBJECT' });
      expect(done[`Checksum${algorithm}`]).toBe(expected);
      expect((await read(Key)).equals(whole)).toBe(true);
    },
  );

  test('types that an algorithm does not have are refused', async () => {
    for (const [ChecksumAlgorithm, ChecksumType] of [
      ['SHA256', 'FULL_OBJECT'],
      ['CRC64NVME', 'COMPOSITE'],
    ] as const) {
      await expect(begin('typed', { ChecksumAlgorithm, ChecksumType })).rejects.toMatchObject({
        name: 'InvalidRequest',
      });
    }
  });
});

describe('what completion refuses', () => {
  const big = randomBytes(5 * MiB);
  const small = randomBytes(100);

  test('a part below 5 MiB that is not the last; as the last it is fine', async () => {
    const { id, parts } = await uploaded('small', [small, big]);
    await expect(complete('small', id, parts)).rejects.toMatchObject({ name: 'EntityTooSmall' });
    await complete('small', id, parts.slice(0, 1));
    expect((await read('small')).equals(small)).toBe(true);
  });

  test('parts out of order, unknown, with another ETag or checksum, or none at all', async () => {
    const { id, parts } = await uploaded('order', [big, big, small]);
    const [one, two] = parts as [CompletedPart, CompletedPart];
    await expect(complete('order', id, [two, one])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete('order', id, [one, one])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete('order', id, [{ ...one, PartNumber: 9 }])).rejects.toMatchObject({ name: 'InvalidPart' });
    await expect(complete('order', id, [{ ...one, ETag: `"${'0'.repeat(32)}"` }])).rejects.toMatchObject({
      name: 'InvalidPart',
    });
    await expect(complete('order', id, [{ ...one, ChecksumCRC32: 'AAAAAA==' }])).rejects.toMatchObject({
      name: 'InvalidPart',
    });
    await expect(complete('order', id, [{ PartNumber: 1, ETag: one.ETag }])).rejects.toMatchObject({
      name: 'InvalidRequest',
    });
    await expect(complete('order', id, [])).rejects.toMatchObject({ name: 'MalformedXML' });
    await abort('order', id);
  });

  test('an upload that was aborted or never was', async () => {
    const { id, parts } = await uploaded('gone', [small]);
    await abort('gone', id);
    await expect(complete('gone', id, parts)).rejects.toMatchObject({ name: 'NoSuchUpload' });
    await expect(send('gone', id, 2, small)).rejects.toMatchObject({ name: 'NoSuchUpload' });
    await expect(abort('gone', id)).rejects.toMatchObject({ name: 'NoSuchUpload' });
    expect(leftovers()).toEqual([]);
  });

  test('a key that exists, with If-None-Match; the upload stays and can be aborted', async () => {
    await s3.send(new PutObjectCommand({ Bucket, Key: 'taken', Body: 'first' }));
    const { id, parts } = await uploaded('taken', [small]);
    await expect(complete('taken', id, parts, { IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    await abort('taken', id);
    expect((await read('taken')).toString()).toBe('first');
  });

  test('of two completions with If-None-Match one wins', async () => {
    const [a, b] = [await uploaded('race', [small]), await uploaded('race', [small])];
    const outcomes = await Promise.allSettled(
      [a, b].map(({ id, parts }) => complete('race', id, parts, { IfNoneMatch: '*' })),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await Promise.allSettled([abort('race', a.id), abort('race', b.id)]);
    expect(leftovers()).toEqual([]);
  });
});

test('a part with a wrong or another checksum than the upload’s is refused', async () => {
  const id = await begin('sums', { ChecksumAlgorithm: 'SHA256' });
  const body = Buffer.from('hello');
  const wrong = { ChecksumSHA256: base64('sha256', Buffer.from('other')) };
  await expect(send('sums', id, 1, body, wrong)).rejects.toMatchObject({ name: 'BadDigest' });
  await expect(send('sums', id, 1, body, { ChecksumAlgorithm: 'CRC32' })).rejects.toMatchObject({
    name: 'InvalidRequest',
  });
  await expect(send('sums', id, 10_001, body, { ChecksumAlgorithm: 'SHA256' })).rejects.toMatchObject({
    name: 'InvalidArgument',
  });
  expect((await s3.send(new ListPartsCommand({ Bucket, Key: 'sums', UploadId: id }))).Parts ?? []).toEqual([]);
  await abort('sums', id);
});

test('an upload that names no algorithm: CRC64NVME of the whole, and no checksums of parts', async () => {
  const body = Buffer.from('123456789');
  const id = await begin('default');
  const { ETag, ChecksumCRC32 } = await send('default', id, 1, body);
  expect(ChecksumCRC32).toBeTruthy();
  await expect(complete('default', id, [{ PartNumber: 1, ETag, ChecksumCRC32 }])).rejects.toMatchObject({
    name: 'InvalidPart',
  });
  const done = await complete('default', id, [{ PartNumber: 1, ETag }]);
  expect(done.ChecksumType).toBe('FULL_OBJECT');
  expect(Buffer.from(done.ChecksumCRC64NVME as string, 'base64').toString('hex')).toBe('ae8b14860a799888');
});

test('a part sent again replaces the first', async () => {
  const id = await begin('again');
  await send('again', id, 1, Buffer.from('old'));
  const { ETag } = await send('again', id, 1, Buffer.from('new'));
  await complete('again', id, [{ PartNumber: 1, ETag }]);
  expect((await read('again')).toString()).toBe('new');
});

test('lists of uploads and parts, page by page', async () => {
  const ids = [await begin('list/b'), await begin('list/a'), await begin('list/a'), await begin('list/c/d')];
  for (let i = 1; i <= 5; i++) await send('list/b', ids[0] as string, i, Buffer.from(`part ${i}`));
  const numbers: (number | undefined)[] = [];
  let PartNumberMarker: string | undefined;
  do {
    const page = await s3.send(
      new ListPartsCommand({ Bucket, Key: 'list/b', UploadId: ids[0], MaxParts: 2, PartNumberMarker }),
    );
    numbers.push(...(page.Parts ?? []).map((part) => part.PartNumber));
    PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
  } while (PartNumberMarker);
  expect(numbers).toEqual([1, 2, 3, 4, 5]);

  const found: (string | undefined)[] = [];
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (marker) {
    const page: any = await s3.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: 'list/', MaxUploads: 1, ...marker }),
    );
    found.push(...(page.Uploads ?? []).map((upload: any) => upload.UploadId));
    marker = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
  }
  expect(found).toHaveLength(4);
  expect(new Set(found)).toEqual(new Set(ids));
  const rolled = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'list/', Delimiter: '/' }));
  expect(rolled.CommonPrefixes).toEqual([{ Prefix: 'list/c/' }]);
});

test('an upload and its parts outlive the server', async () => {
  const { id, parts } = await uploaded('later', [Buffer.from('kept')]);
  await server.stop();
  const next = await startS3(server.directory);
  try {
    next.bucket(Bucket, { VersioningConfiguration: { Status: 'Enabled' } });
    const client = next.client();
    await client.send(
      new CompleteMultipartUploadCommand({ Bucket, Key: 'later', UploadId: id, MultipartUpload: { Parts: parts } }),
    );
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'later' }));
    expect(await answer.Body?.transformToString()).toBe('kept');
    const before = await client.send(new GetObjectCommand({ Bucket, Key: 'taken' }));
    expect(await before.Body?.transformToString()).toBe('first');
  } finally {
    await next.close();
  }
});
