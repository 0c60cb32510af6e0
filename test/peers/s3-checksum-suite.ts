import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { type Case, refused, type S3Endpoint, uniqueName } from './s3-suites.ts';

/** That nothing is kept which is not what its writer said it is, and that checksums are told as S3 reckons them. */

const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
type Algorithm = (typeof algorithms)[number];
const bytesOf: Record<Algorithm, number> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 };

/** The check values that the algorithms' definitions give for this text. */
const checkText = '123456789';
const checkValues: Record<Algorithm, string> = {
  CRC32: 'cbf43926',
  CRC32C: 'e3069283',
  CRC64NVME: 'ae8b14860a799888',
  SHA1: createHash('sha1').update(checkText).digest('hex'),
  SHA256: createHash('sha256').update(checkText).digest('hex'),
};
const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');
const wrongValue = (algorithm: Algorithm): string => Buffer.alloc(bytesOf[algorithm], 1).toString('base64');
const hash = (algorithm: string, ...data: (string | Buffer)[]): string => {
  const digest = createHash(algorithm);
  for (const piece of data) digest.update(piece);
  return digest.digest('base64');
};

interface Bucket {
  readonly s3: S3Client;
  readonly name: string;
}

async function makeBucket({ client, region }: S3Endpoint): Promise<Bucket> {
  const bucket = { s3: client(), name: uniqueName() };
  await bucket.s3.send(
    new CreateBucketCommand({
      Bucket: bucket.name,
      CreateBucketConfiguration: { LocationConstraint: region as 'eu-central-1' },
    }),
  );
  return bucket;
}

const put = ({ s3, name }: Bucket, Key: string, Body: PutObjectCommandInput['Body'], more: object = {}) =>
  s3.send(new PutObjectCommand({ Bucket: name, Key, Body, ...more }));
const head = ({ s3, name }: Bucket, Key: string) =>
  s3.send(new HeadObjectCommand({ Bucket: name, Key, ChecksumMode: 'ENABLED' }));
const isAbsent = async (bucket: Bucket, Key: string) => expect(await refused(head(bucket, Key))).toBe('404 NotFound');

async function begin({ s3, name }: Bucket, Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}) {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: name, Key, ...more }));
  return { Bucket: name, Key, UploadId };
}
type Upload = Awaited<ReturnType<typeof begin>>;
const send = ({ s3 }: Bucket, upload: Upload, PartNumber: number, Body: string | Buffer, more: object = {}) =>
  s3.send(new UploadPartCommand({ ...upload, PartNumber, Body, ...more }));
const complete = ({ s3 }: Bucket, upload: Upload, Parts: CompletedPart[], more: object = {}) =>
  s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more }));

/** Two parts of 5 MiB and a few bytes; what CRCs of pieces and of the whole can be told apart by. */
const first = Buffer.alloc(5 * 1024 ** 2, 'first part ');
const second = Buffer.from('and the last');
const whole = Buffer.concat([first, second]);

/** Both parts sent, as they are to be completed. */
async function sendBoth(bucket: Bucket, upload: Upload, algorithm: Algorithm): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  for (const [i, body] of [first, second].entries()) {
    const answer = await send(bucket, upload, i + 1, body, { ChecksumAlgorithm: algorithm });
    const member = `Checksum${algorithm}` as const;
    parts.push({ PartNumber: i + 1, ETag: answer.ETag, [member]: answer[member] });
  }
  return parts;
}

/** A client whose request bodies are changed after they were signed and reckoned. */
function tampering(server: S3Endpoint, change: (body: Buffer) => Buffer): S3Client {
  const s3 = server.client();
  s3.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { body?: Buffer | string | Readable; method: string };
      if (request.method === 'PUT' && request.body) {
        const { body } = request;
        request.body = change(
          body instanceof Readable ? Buffer.concat(await body.toArray()) : Buffer.from(body as string),
        );
      }
      return next(args);
    },
    // After signing, which is the last of finalizeRequest's.
    { step: 'deserialize', priority: 'low' },
  );
  return s3;
}

const eachAlgorithm = (name: (algorithm: Algorithm) => string, run: (a: Algorithm, s: S3Endpoint) => Promise<void>) =>
  algorithms.map((algorithm): Case => ({ name: name(algorithm), run: (server) => run(algorithm, server) }));

export const checksumCases: readonly Case[] = [
  ...eachAlgorithm(
    (algorithm) => `${algorithm} of a put is verified, kept and told`,
    async (algorithm, server) => {
      const bucket = await makeBucket(server);
      const expected = base64(checkValues[algorithm]);
      const member = `Checksum${algorithm}` as const;
      expect((await put(bucket, 'k', checkText, { ChecksumAlgorithm: algorithm }))[member]).toBe(expected);
      const told = await head(bucket, 'k');
      expect(told[member]).toBe(expected);
      expect(told.ChecksumType).toBe('FULL_OBJECT');
      const answer = await bucket.s3.send(
        new GetObjectCommand({ Bucket: bucket.name, Key: 'k', ChecksumMode: 'ENABLED' }),
      );
      expect(answer[member]).toBe(expected);
      expect(await answer.Body?.transformToString()).toBe(checkText);
    },
  ),
  ...eachAlgorithm(
    (algorithm) => `a wrong ${algorithm} is BadDigest, and nothing is kept`,
    async (algorithm, server) => {
      const bucket = await makeBucket(server);
      const wrong = { [`Checksum${algorithm}`]: wrongValue(algorithm) };
      expect(await refused(put(bucket, 'k', checkText, wrong))).toBe('400 BadDigest');
      await isAbsent(bucket, 'k');
    },
  ),
  ...eachAlgorithm(
    (algorithm) => `${algorithm} in a trailer is verified as well`,
    async (algorithm, server) => {
      const bucket = await makeBucket(server);
      const body = () => Readable.from([Buffer.from(checkText)]);
      const more = { ChecksumAlgorithm: algorithm, ContentLength: checkText.length };
      await put(bucket, 'k', body(), more);
      expect((await head(bucket, 'k'))[`Checksum${algorithm}`]).toBe(base64(checkValues[algorithm]));
      const flip = (sent: Buffer) => Buffer.from(sent.toString('latin1').replace(checkText, '123456780'), 'latin1');
      const other = { s3: tampering(server, flip), name: bucket.name };
      expect(await refused(put(other, 'other', body(), more))).toBe('400 BadDigest');
      await isAbsent(bucket, 'other');
    },
  ),
  {
    name: 'a checksum of the wrong length is InvalidRequest',
    async run(server) {
      const bucket = await makeBucket(server);
      expect(await refused(put(bucket, 'k', 'v', { ChecksumSHA256: 'AAAA' }))).toBe('400 InvalidRequest');
    },
  },
  {
    name: 'two checksums in one request are InvalidRequest',
    async run(server) {
      const bucket = await makeBucket(server);
      const two = { ChecksumSHA1: hash('sha1', 'v'), ChecksumSHA256: hash('sha256', 'v') };
      expect(await refused(put(bucket, 'k', 'v', two))).toBe('400 InvalidRequest');
    },
  },
  {
    name: 'a body that was changed on its way does not match its signed hash',
    async run(server) {
      const bucket = await makeBucket(server);
      const s3 = tampering(server, () => Buffer.from('123456780'));
      // Without a checksum, so that only the hash under the signature can tell.
      s3.middlewareStack.add(
        (next) => (args) => {
          const { headers } = args.request as { headers: Record<string, string> };
          for (const name of Object.keys(headers)) if (/^x-amz-(sdk-)?checksum/i.test(name)) delete headers[name];
          return next(args);
        },
        { step: 'build', priority: 'low' },
      );
      expect(await refused(put({ s3, name: bucket.name }, 'k', checkText))).toBe('400 XAmzContentSHA256Mismatch');
      await isAbsent(bucket, 'k');
    },
  },
  {
    name: 'Content-MD5 is verified',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', 'v', { ContentMD5: hash('md5', 'v') });
      expect(await refused(put(bucket, 'wrong', 'v', { ContentMD5: hash('md5', 'x') }))).toBe('400 BadDigest');
      await isAbsent(bucket, 'wrong');
      expect(await refused(put(bucket, 'wrong', 'v', { ContentMD5: 'short' }))).toBe('400 InvalidDigest');
    },
  },
  {
    name: 'an object that comes without a checksum gets CRC64NVME',
    async run(server) {
      const { name } = await makeBucket(server);
      const bucket = { name, s3: server.client({ requestChecksumCalculation: 'WHEN_REQUIRED' }) };
      await put(bucket, 'k', checkText);
      expect((await head(bucket, 'k')).ChecksumCRC64NVME).toBe(base64(checkValues.CRC64NVME));
    },
  },
  {
    name: 'SHA256 of parts is a composite, told with the parts',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'SHA256' });
      const parts = await sendBoth(bucket, upload, 'SHA256');
      expect(parts.map(({ ChecksumSHA256 }) => ChecksumSHA256)).toEqual([
        hash('sha256', first),
        hash('sha256', second),
      ]);
      const listed = await bucket.s3.send(new ListPartsCommand(upload));
      expect(listed.Parts?.map(({ ChecksumSHA256 }) => ChecksumSHA256)).toEqual(
        parts.map(({ ChecksumSHA256 }) => ChecksumSHA256),
      );
      const done = await complete(bucket, upload, parts);
      const digests = [first, second].map((part) => createHash('sha256').update(part).digest());
      expect(done.ChecksumSHA256).toBe(`${hash('sha256', ...digests)}-2`);
      expect(done.ChecksumType).toBe('COMPOSITE');
      expect(await head(bucket, 'k')).toMatchObject({
        ChecksumSHA256: done.ChecksumSHA256,
        ChecksumType: 'COMPOSITE',
        ContentLength: whole.length,
      });
      const md5s = [first, second].map((part) => createHash('md5').update(part).digest());
      expect(done.ETag).toBe(`"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-2"`);
    },
  },
  {
    name: "GetObjectAttributes tells the whole's checksum",
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', checkText, { ChecksumAlgorithm: 'SHA256' });
      const asked = { Bucket: bucket.name, Key: 'k', ObjectAttributes: ['Checksum' as const] };
      const { Checksum } = await bucket.s3.send(new GetObjectAttributesCommand(asked));
      expect(Checksum).toEqual({ ChecksumSHA256: base64(checkValues.SHA256), ChecksumType: 'FULL_OBJECT' });
    },
  },
  {
    name: 'GetObjectAttributes tells the sizes and checksums of the parts',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'SHA256' });
      await complete(bucket, upload, await sendBoth(bucket, upload, 'SHA256'));
      const asked = { Bucket: bucket.name, Key: 'k', ObjectAttributes: ['ObjectParts' as const] };
      const { ObjectParts } = await bucket.s3.send(new GetObjectAttributesCommand(asked));
      expect(ObjectParts?.TotalPartsCount).toBe(2);
      expect(ObjectParts?.Parts?.map(({ Size, ChecksumSHA256 }) => [Size, ChecksumSHA256])).toEqual([
        [first.length, hash('sha256', first)],
        [second.length, hash('sha256', second)],
      ]);
    },
  },
  {
    name: 'CRC32 of parts is a composite unless the whole is asked for',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'CRC32' });
      const done = await complete(bucket, upload, await sendBoth(bucket, upload, 'CRC32'));
      expect(done.ChecksumType).toBe('COMPOSITE');
      expect(done.ChecksumCRC32).toMatch(/-2$/);
    },
  },
  ...(['CRC32', 'CRC32C', 'CRC64NVME'] as const).map(
    (algorithm): Case => ({
      name: `${algorithm} of the whole of an upload is that of one put; a wrong one is BadDigest`,
      async run(server) {
        const bucket = await makeBucket(server);
        const member = `Checksum${algorithm}` as const;
        await put(bucket, 'single', whole, { ChecksumAlgorithm: algorithm });
        const expected = (await head(bucket, 'single'))[member];
        const upload = await begin(bucket, 'k', { ChecksumAlgorithm: algorithm, ChecksumType: 'FULL_OBJECT' });
        const parts = await sendBoth(bucket, upload, algorithm);
        const wrong = { [member]: wrongValue(algorithm), ChecksumType: 'FULL_OBJECT' };
        expect(await refused(complete(bucket, upload, parts, wrong))).toBe('400 BadDigest');
        await isAbsent(bucket, 'k');
        const done = await complete(bucket, upload, parts, { [member]: expected, ChecksumType: 'FULL_OBJECT' });
        expect(done[member]).toBe(expected);
        expect(await head(bucket, 'k')).toMatchObject({ [member]: expected, ChecksumType: 'FULL_OBJECT' });
      },
    }),
  ),
  {
    name: 'an upload that names no algorithm gets CRC64NVME of its whole',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k');
      const { ETag } = await send(bucket, upload, 1, checkText);
      const done = await complete(bucket, upload, [{ PartNumber: 1, ETag }]);
      expect(done.ChecksumCRC64NVME).toBe(base64(checkValues.CRC64NVME));
      expect(done.ChecksumType).toBe('FULL_OBJECT');
    },
  },
  {
    name: 'types that an algorithm does not have are InvalidRequest',
    async run(server) {
      const bucket = await makeBucket(server);
      for (const [ChecksumAlgorithm, ChecksumType] of [
        ['SHA256', 'FULL_OBJECT'],
        ['SHA1', 'FULL_OBJECT'],
        ['CRC64NVME', 'COMPOSITE'],
      ] as const) {
        expect(await refused(begin(bucket, 'k', { ChecksumAlgorithm, ChecksumType }))).toBe('400 InvalidRequest');
      }
    },
  },
  {
    name: 'a wrong checksum of a part is BadDigest, and the part is not there',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'SHA256' });
      const wrong = { ChecksumSHA256: wrongValue('SHA256') };
      expect(await refused(send(bucket, upload, 1, 'v', wrong))).toBe('400 BadDigest');
      expect((await bucket.s3.send(new ListPartsCommand(upload))).Parts ?? []).toEqual([]);
    },
  },
  {
    name: "a part with another algorithm than its upload's is InvalidRequest",
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'SHA256' });
      expect(await refused(send(bucket, upload, 1, 'v', { ChecksumAlgorithm: 'CRC32' }))).toBe('400 InvalidRequest');
    },
  },
  {
    name: 'a completion that names another checksum of a part is InvalidPart',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'SHA256' });
      const { ETag } = await send(bucket, upload, 1, 'v', { ChecksumAlgorithm: 'SHA256' });
      const part = { PartNumber: 1, ETag, ChecksumSHA256: wrongValue('SHA256') };
      expect(await refused(complete(bucket, upload, [part]))).toBe('400 InvalidPart');
      await isAbsent(bucket, 'k');
    },
  },
  {
    name: 'a completion that leaves out the checksums of a composite is InvalidRequest',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k', { ChecksumAlgorithm: 'SHA256' });
      const { ETag } = await send(bucket, upload, 1, 'v', { ChecksumAlgorithm: 'SHA256' });
      expect(await refused(complete(bucket, upload, [{ PartNumber: 1, ETag }]))).toBe('400 InvalidRequest');
      await isAbsent(bucket, 'k');
    },
  },
  {
    name: 'a completion that expects another size is InvalidRequest',
    async run(server) {
      const bucket = await makeBucket(server);
      const upload = await begin(bucket, 'k');
      const { ETag } = await send(bucket, upload, 1, 'v');
      const parts = [{ PartNumber: 1, ETag }];
      expect(await refused(complete(bucket, upload, parts, { MpuObjectSize: 2 }))).toBe('400 InvalidRequest');
      await complete(bucket, upload, parts, { MpuObjectSize: 1 });
    },
  },
  {
    name: 'a copy has the checksum that is asked for',
    async run(server) {
      const bucket = await makeBucket(server);
      await put(bucket, 'k', checkText, { ChecksumAlgorithm: 'CRC32' });
      await bucket.s3.send(
        new CopyObjectCommand({
          Bucket: bucket.name,
          Key: 'copy',
          CopySource: `${bucket.name}/k`,
          ChecksumAlgorithm: 'SHA256',
        }),
      );
      expect((await head(bucket, 'copy')).ChecksumSHA256).toBe(base64(checkValues.SHA256));
    },
  },
];
