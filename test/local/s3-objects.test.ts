import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AwsError } from '../../local/facade.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const MiB = 1024 ** 2;
const Bucket = 'plain';
let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3();
  server.bucket(Bucket);
  server.bucket('far', {}, 'eu-west-1');
  s3 = server.client();
});
afterAll(() => server.close());

const put = (Key: string, Body: PutObjectCommandInput['Body'], more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

async function bytesOf(Key: string, more: object = {}): Promise<Buffer> {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
}

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('base64');
const md5 = (data: Buffer) => createHash('md5').update(data).digest('hex');
/** Files on their way in: empty whenever no request is under way. */
const incoming = () => readdirSync(join(server.directory, 's3', Bucket, 'incoming'));

describe('round trip', () => {
  test.each([0, 1, 65_537, 5 * MiB - 1, 20 * MiB])('%i bytes come back as they went', async (size) => {
    const data = randomBytes(size);
    const stored = await put(`size/${size}`, data);
    expect(stored.ETag).toBe(`"${md5(data)}"`);
    expect(stored.ServerSideEncryption).toBe('AES256');
    expect((await bytesOf(`size/${size}`)).equals(data)).toBe(true);
    expect(readFileSync(server.facade.locate(Bucket, `size/${size}`) as string).equals(data)).toBe(true);
    expect(incoming()).toEqual([]);
  });

  test('a stream with a trailing checksum (aws-chunked)', async () => {
    const data = randomBytes(3 * MiB + 7);
    await put('streamed', Readable.from([data.subarray(0, 100_000), data.subarray(100_000)]), {
      ContentLength: data.length,
    });
    expect((await bytesOf('streamed')).equals(data)).toBe(true);
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'streamed', ChecksumMode: 'ENABLED' }));
    const expected = Buffer.alloc(4);
    expected.writeUInt32BE(crc32(data));
    expect(head.ChecksumCRC32).toBe(expected.toString('base64'));
    expect(head.ChecksumType).toBe('FULL_OBJECT');
    expect(head.ContentEncoding).toBeUndefined();
  });

  test('a stream of unknown length is refused, as AWS refuses it', async () => {
    await expect(put('endless', Readable.from([Buffer.from('x')]))).rejects.toMatchObject({
      name: /MissingContentLength|NotImplemented/,
    });
  });

  test.each(['a b/ä/日本/😀', 'a/../b//c/.', 'quote\'"&<>+%20?#', 'line\nbreak\ttab'])('key %j', async (Key) => {
    await put(Key, 'v');
    expect((await bytesOf(Key)).toString()).toBe('v');
  });

  test('headers and metadata are kept', async () => {
    await put('headers', 'v', {
      ContentType: 'text/plain',
      CacheControl: 'no-store',
      ContentEncoding: 'gzip',
      ContentDisposition: 'attachment',
      StorageClass: 'STANDARD_IA',
      Metadata: { colour: 'blue' },
    });
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: 'headers' }))).toMatchObject({
      ContentType: 'text/plain',
      CacheControl: 'no-store',
      ContentEncoding: 'gzip',
      ContentDisposition: 'attachment',
      StorageClass: 'STANDARD_IA',
      Metadata: { colour: 'blue' },
      ContentLength: 1,
    });
  });

  test('an archived object cannot be read before it is restored', async () => {
    await put('frozen', 'v', { StorageClass: 'DEEP_ARCHIVE' });
    await expect(bytesOf('frozen')).rejects.toMatchObject({ name: 'InvalidObjectState' });
  });
});

describe('checksums', () => {
  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    '%s is verified, kept and told',
    async (algorithm) => {
      await put(`sum/${algorithm}`, 'hello', { ChecksumAlgorithm: algorithm });
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key: `sum/${algorithm}`, ChecksumMode: 'ENABLED' }));
      expect(head[`Checksum${algorithm}`]).toBeTruthy();
      // The SDK verifies what it is told against what it reads.
      expect((await bytesOf(`sum/${algorithm}`, { ChecksumMode: 'ENABLED' })).toString()).toBe('hello');
      await expect(put('sum/wrong', 'hello', wrongChecksum(algorithm))).rejects.toMatchObject({
        name: 'BadDigest',
        $metadata: { httpStatusCode: 400 },
      });
      expect(server.facade.locate(Bucket, 'sum/wrong')).toBeUndefined();
      expect(incoming()).toEqual([]);
    },
  );

  const wrongChecksum = (algorithm: 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256') => {
    const bytes = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 }[algorithm];
    return { [`Checksum${algorithm}`]: Buffer.alloc(bytes, 1).toString('base64') };
  };

  test('known values', async () => {
    await put('sum/known', '123456789', { ChecksumAlgorithm: 'CRC32C' });
    const c = await s3.send(new HeadObjectCommand({ Bucket, Key: 'sum/known', ChecksumMode: 'ENABLED' }));
    expect(Buffer.from(c.ChecksumCRC32C as string, 'base64').toString('hex')).toBe('e3069283');
    await put('sum/known', '123456789', { ChecksumAlgorithm: 'CRC64NVME' });
    const n = await s3.send(new HeadObjectCommand({ Bucket, Key: 'sum/known', ChecksumMode: 'ENABLED' }));
    expect(Buffer.from(n.ChecksumCRC64NVME as string, 'base64').toString('hex')).toBe('ae8b14860a799888');
  });

  test('an object without a checksum of its own gets CRC64NVME', async () => {
    const plain = server.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    await plain.send(new PutObjectCommand({ Bucket, Key: 'sum/none', Body: '123456789' }));
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'sum/none', ChecksumMode: 'ENABLED' }));
    expect(Buffer.from(head.ChecksumCRC64NVME as string, 'base64').toString('hex')).toBe('ae8b14860a799888');
  });

  test('Content-MD5', async () => {
    await put('md5', 'hello', { ContentMD5: createHash('md5').update('hello').digest('base64') });
    await expect(
      put('md5', 'hello', { ContentMD5: createHash('md5').update('x').digest('base64') }),
    ).rejects.toMatchObject({ name: 'BadDigest' });
    await expect(put('md5', 'hello', { ContentMD5: 'short' })).rejects.toMatchObject({ name: 'InvalidDigest' });
  });

  test('a malformed checksum is InvalidRequest', async () => {
    await expect(put('bad', 'hello', { ChecksumSHA256: 'AAAA' })).rejects.toMatchObject({ name: 'InvalidRequest' });
  });

  test.each([
    ['x-amz-content-sha256', { 'x-amz-content-sha256': '0'.repeat(64) }, 'XAmzContentSHA256Mismatch'],
    ['a trailer that is wrong', chunked('AAAAAA=='), 'BadDigest'],
    ['a trailer that never comes', chunked(undefined), 'MalformedTrailerError'],
    ['two checksums', { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-sha1': 'AA' }, 'InvalidRequest'],
  ])('%s', async (_name, headers, code) => {
    const { body = 'hello', ...rest } = headers as Record<string, string>;
    const answer = await fetch(`${server.endpoint}/${Bucket}/raw`, { method: 'PUT', body, headers: rest });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain(`<Code>${code}</Code>`);
    expect(server.facade.locate(Bucket, 'raw')).toBeUndefined();
  });

  test('aws-chunked that is shorter than it said, or no such thing', async () => {
    for (const body of ['5\r\nhello\r\n0\r\n\r\n', '5\r\nhel', 'zz\r\nhello', '3\r\nhello\r\n0\r\n\r\n']) {
      const headers = { ...chunked('AAAAAA=='), body: '', 'x-amz-decoded-content-length': '9' };
      const answer = await fetch(`${server.endpoint}/${Bucket}/raw`, {
        method: 'PUT',
        headers: without(headers),
        body,
      });
      expect(await answer.text()).toContain('<Code>IncompleteBody</Code>');
    }
    expect(incoming()).toEqual([]);
  });

  const without = ({ body: _, ...headers }: Record<string, string>) => headers;

  function chunked(trailer: string | undefined): Record<string, string> {
    return {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '5',
      'x-amz-trailer': 'x-amz-checksum-crc32',
      body: `5\r\nhello\r\n0\r\n${trailer === undefined ? '' : `x-amz-checksum-crc32:${trailer}\r\n`}\r\n`,
    };
  }
});

describe('reading', () => {
  const data = randomBytes(1000);
  beforeAll(() => put('ranged', data));

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['bytes=990-', 990, 1000],
    ['bytes=-5', 995, 1000],
    ['bytes=990-5000', 990, 1000],
  ])('%s', async (Range, from, to) => {
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range }));
    expect(answer.$metadata.httpStatusCode).toBe(206);
    expect(answer.ContentRange).toBe(`bytes ${from}-${to - 1}/1000`);
    expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(data.subarray(from, to))).toBe(true);
  });

  test('beyond the end is InvalidRange', async () => {
    await expect(bytesOf('ranged', { Range: 'bytes=1000-' })).rejects.toMatchObject({
      name: 'InvalidRange',
      $metadata: { httpStatusCode: 416 },
    });
  });

  test('conditions', async () => {
    const ETag = `"${md5(data)}"`;
    expect((await bytesOf('ranged', { IfMatch: ETag })).length).toBe(1000);
    await expect(bytesOf('ranged', { IfMatch: '"other"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await expect(bytesOf('ranged', { IfNoneMatch: ETag })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 304 },
    });
    await expect(bytesOf('ranged', { IfModifiedSince: new Date(Date.now() + 60_000) })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 304 },
    });
  });

  test('what is not there', async () => {
    await expect(bytesOf('absent')).rejects.toMatchObject({ name: 'NoSuchKey', $metadata: { httpStatusCode: 404 } });
    await expect(s3.send(new HeadObjectCommand({ Bucket, Key: 'absent' }))).rejects.toMatchObject({ name: 'NotFound' });
    await expect(s3.send(new GetObjectCommand({ Bucket: 'absent', Key: 'k' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });

  test('damage on disk shows as it lies there', async () => {
    await put('damaged', data);
    const file = server.facade.locate(Bucket, 'damaged') as string;
    const flipped = Buffer.from(data);
    flipped[500] = (flipped[500] as number) ^ 1;
    writeFileSync(file, flipped);
    expect((await bytesOf('damaged', { Range: 'bytes=0-' })).equals(flipped)).toBe(true);
    await expect(bytesOf('damaged')).rejects.toThrow(/[Cc]hecksum/);
    truncateSync(file, 400);
    expect((await s3.send(new HeadObjectCommand({ Bucket, Key: 'damaged' }))).ContentLength).toBe(400);
    await expect(bytesOf('damaged', { Range: 'bytes=400-' })).rejects.toMatchObject({ name: 'InvalidRange' });
  });

  test('attributes', async () => {
    const answer = await s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'ranged',
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectSize', 'StorageClass'],
      }),
    );
    expect(answer).toMatchObject({ ETag: md5(data), ObjectSize: 1000, StorageClass: 'STANDARD' });
    expect(answer.Checksum?.ChecksumType).toBe('FULL_OBJECT');
  });
});

describe('writing', () => {
  test('of many writers with If-None-Match exactly one wins', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => put('once', `writer ${i}`, { IfNoneMatch: '*' })),
    );
    const lost = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(lost).toHaveLength(7);
    for (const { reason } of lost)
      expect(reason).toMatchObject({ name: 'PreconditionFailed', $metadata: { httpStatusCode: 412 } });
    const winner = outcomes.findIndex((outcome) => outcome.status === 'fulfilled');
    expect((await bytesOf('once')).toString()).toBe(`writer ${winner}`);
    expect(incoming()).toEqual([]);
  });

  test('If-Match', async () => {
    const { ETag } = await put('swap', '1');
    await put('swap', '2', { IfMatch: ETag });
    await expect(put('swap', '3', { IfMatch: ETag })).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await expect(put('swap/absent', '3', { IfMatch: ETag })).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect((await bytesOf('swap')).toString()).toBe('2');
  });

  test('an object replaced or deleted while it is read is read to its end', async () => {
    const data = randomBytes(8 * MiB);
    await put('busy', data);
    const old = server.facade.locate(Bucket, 'busy') as string;
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key: 'busy' }));
    await put('busy', 'new');
    expect(existsSync(old)).toBe(false);
    expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(data)).toBe(true);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'busy' }));
    await expect(bytesOf('busy')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  test('an upload that breaks off leaves nothing', async () => {
    await new Promise<void>((resolve) => {
      const request = httpRequest(`${server.endpoint}/${Bucket}/broken`, {
        method: 'PUT',
        headers: { 'content-length': 10 * MiB },
      });
      request.on('error', () => {});
      request.on('close', resolve);
      request.write(randomBytes(2 * MiB), () => setTimeout(() => request.destroy(), 50));
    });
    await expect.poll(incoming).toEqual([]);
    expect(server.facade.locate(Bucket, 'broken')).toBeUndefined();
    expect(server.notes).toEqual([]);
  });

  test('copy', async () => {
    const data = randomBytes(100);
    await put('copy/a ä+b', data, { ContentType: 'text/x', Metadata: { a: '1' } });
    await s3.send(new CopyObjectCommand({ Bucket, Key: 'copy/to', CopySource: encodeURI(`${Bucket}/copy/a ä+b`) }));
    expect((await bytesOf('copy/to')).equals(data)).toBe(true);
    expect(await s3.send(new HeadObjectCommand({ Bucket, Key: 'copy/to' }))).toMatchObject({
      ContentType: 'text/x',
      Metadata: { a: '1' },
    });
    const self = { Bucket, Key: 'copy/to', CopySource: `${Bucket}/copy/to` };
    await expect(s3.send(new CopyObjectCommand(self))).rejects.toMatchObject({ name: 'InvalidRequest' });
    await s3.send(new CopyObjectCommand({ ...self, MetadataDirective: 'REPLACE', ContentType: 'text/y' }));
    expect((await s3.send(new HeadObjectCommand({ Bucket, Key: 'copy/to' }))).ContentType).toBe('text/y');
  });
});

describe('authorisation', () => {
  test('each call is told once, with action, resource and parameters', async () => {
    server.calls.length = 0;
    await put('told', 'v', { IfNoneMatch: '*' });
    expect(server.calls).toHaveLength(1);
    expect(server.calls[0]).toMatchObject({
      operation: 'PutObject',
      action: 's3:PutObject',
      resource: `arn:aws:s3:::${Bucket}/told`,
      region: 'eu-central-1',
      input: { Bucket, Key: 'told', IfNoneMatch: '*', ContentLength: 1 },
    });
  });

  test.each([10, 30 * MiB, 90 * MiB])('a refusal is heard by a client that sends %i bytes', async (size) => {
    server.intercept = () => {
      throw new AwsError('SlowDown', 'Please reduce your request rate.', 503);
    };
    try {
      const body = Buffer.alloc(size, 7);
      await expect(put(`slow/${size}`, body)).rejects.toMatchObject({
        name: 'SlowDown',
        $metadata: { httpStatusCode: 503 },
      });
    } finally {
      server.intercept = undefined;
    }
    expect(server.facade.locate(Bucket, `slow/${size}`)).toBeUndefined();
    await put(`slow/${size}`, 'now it works');
  });

  test.each([30 * MiB, 90 * MiB])(
    'so is one that comes in the middle of %i bytes, and the connection serves on',
    async (size) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const send = (headers: Record<string, string>, body: Buffer) =>
        new Promise<string>((resolve, reject) => {
          const request = httpRequest(`${server.endpoint}/${Bucket}/middle`, { method: 'PUT', agent, headers });
          request.on('response', async (response) => {
            resolve(`${response.statusCode} ${Buffer.concat(await response.toArray()).toString()}`);
          });
          request.on('error', reject).end(body);
        });
      const headers = {
        'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        'x-amz-decoded-content-length': String(size),
        'x-amz-trailer': 'x-amz-checksum-crc32',
        'content-length': String(size),
      };
      expect(await send(headers, Buffer.alloc(size, 'no chunk\r\n'))).toMatch(/^400 .*IncompleteBody/s);
      expect(await send({ 'content-length': '1' }, Buffer.from('v'))).toMatch(/^200/);
      agent.destroy();
    },
  );

  test('a bucket of another region says where it is', async () => {
    const answer = s3.send(new GetObjectCommand({ Bucket: 'far', Key: 'k' }));
    await expect(answer).rejects.toMatchObject({
      name: 'PermanentRedirect',
      message: expect.stringMatching(/eu-west-1/),
    });
    expect((await s3.send(new GetBucketLocationCommand({ Bucket: 'far' }))).LocationConstraint).toBe('eu-west-1');
    const { Buckets } = await s3.send(new ListBucketsCommand({}));
    expect(Buckets?.map(({ Name }) => Name)).toEqual(['far', Bucket]);
    const following = server.client({ followRegionRedirects: true });
    await following.send(new PutObjectCommand({ Bucket: 'far', Key: 'k', Body: 'v' }));
    expect(server.facade.locate('far', 'k')).toBeTruthy();
  });

  test('what is not there to be called is named', async () => {
    const answer = await fetch(`${server.endpoint}/${Bucket}/k?torrent`);
    expect(answer.status).toBe(501);
    expect(await answer.text()).toContain('torrent');
  });
});

test('the address of a bucket in the host name', async () => {
  await put('hosted', 'v');
  const port = Number(new URL(server.endpoint).port);
  const body = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path: '/hosted', headers: { host: `${Bucket}.localhost:${port}` } },
      async (response) => {
        resolve(Buffer.concat(await response.toArray()).toString());
      },
    );
    request.on('error', reject).end();
  });
  expect(body).toBe('v');
});

test('sha256 of what is stored equals what was sent', async () => {
  const data = randomBytes(123_456);
  await put('hash', data, { ChecksumSHA256: sha256(data) });
  expect(sha256(readFileSync(server.facade.locate(Bucket, 'hash') as string))).toBe(sha256(data));
});
