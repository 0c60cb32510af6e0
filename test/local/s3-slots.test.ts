import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { combineCrcs } from '../../local/facades/s3/combine.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const MiB = 1024 ** 2;
const Bucket = 'parts';
let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3();
  server.bucket(Bucket);
  s3 = server.client();
});
afterAll(() => server.close());

const begin = async (Key: string) => {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  return { Bucket, Key, UploadId: UploadId as string };
};
type Upload = Awaited<ReturnType<typeof begin>>;
const send = async (upload: Upload, PartNumber: number, Body: Buffer): Promise<CompletedPart> => {
  const { ETag } = await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
  return { PartNumber, ETag };
};
const complete = (upload: Upload, Parts: CompletedPart[]) =>
  s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
const stored = (Key: string) => readFileSync(server.facade.locate(Bucket, Key) as string);
const files = ({ UploadId }: Upload) =>
  readdirSync(join(server.directory, 's3', Bucket, 'uploads', UploadId)).filter((name) => !name.endsWith('.json'));
const inode = (path: string) => statSync(path).ino;
const wholeOf = ({ UploadId }: Upload) => join(server.directory, 's3', Bucket, 'uploads', UploadId, 'whole.data');

const [one, two, three] = [randomBytes(5 * MiB), randomBytes(5 * MiB), randomBytes(1000)];

describe('parts of one size', () => {
  test('are written where they belong, in whatever order they come; completion is a rename', async () => {
    const upload = await begin('order');
    const parts = [await send(upload, 2, two), await send(upload, 3, three), await send(upload, 1, one)];
    expect(files(upload)).toEqual(['whole.data']);
    const before = inode(wholeOf(upload));
    await complete(
      upload,
      parts.sort((a, b) => (a.PartNumber as number) - (b.PartNumber as number)),
    );
    expect(stored('order').equals(Buffer.concat([one, two, three]))).toBe(true);
    expect(inode(server.facade.locate(Bucket, 'order') as string)).toBe(before);
    expect(existsSync(wholeOf(upload))).toBe(false);
  });

  test('sent again, left out, or of another size are copied together', async () => {
    const upload = await begin('mixed');
    await send(upload, 1, one);
    const again = await send(upload, 1, two);
    await send(upload, 2, one);
    const larger = await send(upload, 3, Buffer.concat([one, three]));
    const last = await send(upload, 7, three);
    await complete(upload, [again, larger, last]);
    expect(stored('mixed').equals(Buffer.concat([two, one, three, three]))).toBe(true);
  });

  test('a part that broke off leaves nothing behind in the object', async () => {
    const upload = await begin('broken');
    const first = await send(upload, 1, one);
    const url = `${server.endpoint}/${Bucket}/broken?uploadId=${upload.UploadId}&partNumber=3`;
    await new Promise<void>((resolve) => {
      const request = httpRequest(url, { method: 'PUT', headers: { 'content-length': 5 * MiB } });
      request.on('error', () => {});
      request.on('close', resolve);
      request.write(randomBytes(3 * MiB), () => setTimeout(() => request.destroy(), 50));
    });
    await expect.poll(() => statSync(wholeOf(upload)).size).toBeGreaterThan(10 * MiB);
    await complete(upload, [first, await send(upload, 2, three)]);
    expect(stored('broken').equals(Buffer.concat([one, three]))).toBe(true);
  });

  test('a part that arrives while its upload is completed does not reach the object', async () => {
    const upload = await begin('late');
    const first = await send(upload, 1, one);
    const late = Array.from({ length: 4 }, () => send(upload, 2, two).catch((error: Error) => error.name));
    await complete(upload, [first]);
    await Promise.all(late);
    expect(stored('late').equals(one)).toBe(true);
  });

  test('a completion that is refused can be tried again', async () => {
    const upload = await begin('again');
    const parts = [await send(upload, 1, one), await send(upload, 2, three)];
    await s3.send(new PutObjectCommand({ Bucket, Key: 'again', Body: 'there' }));
    const once = new CompleteMultipartUploadCommand({
      ...upload,
      IfNoneMatch: '*',
      MultipartUpload: { Parts: parts },
    });
    await expect(s3.send(once)).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await complete(upload, parts);
    expect(stored('again').equals(Buffer.concat([one, three]))).toBe(true);
  });

  test('are found again by the next server', async () => {
    const first = await startS3();
    first.bucket(Bucket);
    const own = first.client();
    const { UploadId } = await own.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
    const at = { Bucket, Key: 'k', UploadId };
    const sent = await own.send(new UploadPartCommand({ ...at, PartNumber: 1, Body: one }));
    await first.stop();
    const second = await startS3(first.directory);
    try {
      second.bucket(Bucket);
      const other = second.client();
      const last = await other.send(new UploadPartCommand({ ...at, PartNumber: 2, Body: three }));
      const Parts = [
        { PartNumber: 1, ETag: sent.ETag },
        { PartNumber: 2, ETag: last.ETag },
      ];
      await other.send(new CompleteMultipartUploadCommand({ ...at, MultipartUpload: { Parts } }));
      const answer = await other.send(new GetObjectCommand({ Bucket, Key: 'k' }));
      const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      expect(bytes.equals(Buffer.concat([one, three]))).toBe(true);
    } finally {
      await second.close();
    }
  });
});

describe('UploadPartCopy', () => {
  test('makes parts of objects and of ranges of them', async () => {
    await s3.send(new PutObjectCommand({ Bucket, Key: 'source', Body: Buffer.concat([one, two]) }));
    const upload = await begin('copied');
    const copy = async (PartNumber: number, CopySourceRange?: string): Promise<CompletedPart> => {
      const { CopyPartResult } = await s3.send(
        new UploadPartCopyCommand({ ...upload, PartNumber, CopySource: `${Bucket}/source`, CopySourceRange }),
      );
      return { PartNumber, ETag: CopyPartResult?.ETag };
    };
    const parts = [await copy(1, `bytes=0-${5 * MiB - 1}`), await copy(2), await copy(3, 'bytes=10-19')];
    expect(parts[0]?.ETag).toBe(`"${createHash('md5').update(one).digest('hex')}"`);
    await complete(upload, parts);
    expect(stored('copied').equals(Buffer.concat([one, one, two, one.subarray(10, 20)]))).toBe(true);
    expect(server.calls.findLast(({ operation }) => operation === 'UploadPartCopy')?.needs).toContainEqual(
      expect.objectContaining({ action: 's3:GetObject', resource: `arn:aws:s3:::${Bucket}/source` }),
    );
  });

  test('holds to conditions on its source, as a copy does', async () => {
    const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key: 'conditional', Body: 'v' }));
    const upload = await begin('conditions');
    const CopySource = `${Bucket}/conditional`;
    const copyPart = (more: object) =>
      s3.send(new UploadPartCopyCommand({ ...upload, PartNumber: 1, CopySource, ...more }));
    const copy = (more: object) => s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource, ...more }));
    for (const attempt of [copyPart, copy]) {
      await attempt({ CopySourceIfMatch: ETag });
      for (const condition of [
        { CopySourceIfMatch: '"other"' },
        { CopySourceIfNoneMatch: ETag },
        { CopySourceIfModifiedSince: new Date(Date.now() + 60_000) },
        { CopySourceIfUnmodifiedSince: new Date(Date.now() - 60_000) },
      ]) {
        await expect(attempt(condition)).rejects.toMatchObject({ name: 'PreconditionFailed' });
      }
    }
  });

  test('refuses what is not there', async () => {
    const upload = await begin('refused');
    const copy = (CopySource: string, CopySourceRange?: string) =>
      s3.send(new UploadPartCopyCommand({ ...upload, PartNumber: 1, CopySource, CopySourceRange }));
    await expect(copy(`${Bucket}/absent`)).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(copy(`${Bucket}/source`, 'bytes=0-99999999')).rejects.toMatchObject({ name: 'InvalidRange' });
    await expect(copy(`${Bucket}/source`, 'bytes=5-')).rejects.toMatchObject({ name: 'InvalidArgument' });
  });
});

test('the CRC of pieces put together is the one of the whole', () => {
  const crc = (data: Buffer): string => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(crc32(data));
    return bytes.toString('base64');
  };
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { minLength: 1, maxLength: 6 }), (arrays) => {
      const pieces = arrays.map((array) => Buffer.from(array));
      const combined = combineCrcs(
        'CRC32',
        pieces.map((piece) => ({ checksum: crc(piece), size: piece.length })),
      );
      expect(combined).toBe(crc(Buffer.concat(pieces)));
    }),
  );
  expect(() => combineCrcs('SHA256', [])).toThrow(RangeError);
});

test('a checksum of an upload without algorithm is that of its bytes', async () => {
  const upload = await begin('crc64');
  await complete(upload, [await send(upload, 1, one), await send(upload, 2, three)]);
  const plain = server.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  await plain.send(new PutObjectCommand({ Bucket, Key: 'single', Body: Buffer.concat([one, three]) }));
  const told = async (Key: string) =>
    (await s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }))).ChecksumCRC64NVME;
  expect(await told('crc64')).toBe(await told('single'));
});
