import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type S3Server, startS3 } from './s3-server.ts';

let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3();
  server.bucket('plain', { VersioningConfiguration: { Status: 'Enabled' } });
  s3 = server.client();
});
afterAll(() => server.close());

const put = (Bucket: string, Key: string, more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body: 'v', ...more }));
const here = { CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' as const } };

describe('buckets of the API', () => {
  test('come, are listed, and go once they are empty', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: 'made', ...here }));
    expect((await s3.send(new HeadBucketCommand({ Bucket: 'made' }))).BucketRegion).toBe('eu-central-1');
    await put('made', 'k');
    const remove = () => s3.send(new DeleteBucketCommand({ Bucket: 'made' }));
    await expect(remove()).rejects.toMatchObject({ name: 'BucketNotEmpty', $metadata: { httpStatusCode: 409 } });
    await s3.send(new DeleteObjectCommand({ Bucket: 'made', Key: 'k' }));
    await remove();
    const { Buckets } = await s3.send(new ListBucketsCommand());
    expect(Buckets?.map(({ Name }) => Name)).toEqual(['plain']);
    expect(readdirSync(join(server.directory, 's3'))).toEqual(['plain']);
  });

  test('outlive the server with what they are', async () => {
    const first = await startS3();
    const client = first.client();
    await client.send(new CreateBucketCommand({ Bucket: 'kept', ...here }));
    const status = { VersioningConfiguration: { Status: 'Enabled' as const } };
    await client.send(new PutBucketVersioningCommand({ Bucket: 'kept', ...status }));
    await first.stop();
    const second = await startS3(first.directory);
    try {
      const answer = await second.client().send(new PutObjectCommand({ Bucket: 'kept', Key: 'k', Body: 'v' }));
      expect(answer.VersionId).toMatch(/^[0-9a-f]{32}$/);
    } finally {
      await second.close();
    }
  });

  test.each([
    ['plain', 'eu-central-1', 'BucketAlreadyOwnedByYou'],
    ['Bad_Name', 'eu-central-1', 'InvalidBucketName'],
    ['elsewhere', 'eu-west-1', 'IllegalLocationConstraintException'],
  ] as const)('%s in %s is refused: %s', async (Bucket, LocationConstraint, name) => {
    const create = new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint } });
    await expect(s3.send(create)).rejects.toMatchObject({ name });
  });
});

describe('tags', () => {
  const tags = async (Key: string, VersionId?: string) => {
    const { TagSet = [] } = await s3.send(new GetObjectTaggingCommand({ Bucket: 'plain', Key, VersionId }));
    return Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value]));
  };

  test('come with a put, are replaced, and go; each version has its own', async () => {
    const { VersionId } = await put('plain', 't', { Tagging: 'a=1&b=x%20%26%20y' });
    expect(await tags('t')).toEqual({ a: '1', b: 'x & y' });
    expect((await s3.send(new HeadObjectCommand({ Bucket: 'plain', Key: 't' }))).TagCount).toBe(2);
    await put('plain', 't');
    expect(await tags('t')).toEqual({});
    const TagSet = [{ Key: 'c <', Value: '3' }];
    await s3.send(new PutObjectTaggingCommand({ Bucket: 'plain', Key: 't', VersionId, Tagging: { TagSet } }));
    expect(await tags('t', VersionId)).toEqual({ 'c <': '3' });
    await s3.send(new DeleteObjectTaggingCommand({ Bucket: 'plain', Key: 't', VersionId }));
    expect(await tags('t', VersionId)).toEqual({});
  });

  test('follow an upload and a copy, unless the copy brings its own', async () => {
    const at = { Bucket: 'plain', Key: 'parts' };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, Tagging: 'a=1' }));
    await put('plain', 'source', { Tagging: 'b=2' });
    await expect(
      s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: [] } })),
    ).rejects.toMatchObject({ name: 'MalformedXML' });
    const copy = { Bucket: 'plain', Key: 'copy', CopySource: 'plain/source' };
    await s3.send(new CopyObjectCommand(copy));
    expect(await tags('copy')).toEqual({ b: '2' });
    await s3.send(new CopyObjectCommand({ ...copy, TaggingDirective: 'REPLACE', Tagging: 'c=3' }));
    expect(await tags('copy')).toEqual({ c: '3' });
  });

  test.each([
    [Array.from({ length: 11 }, (_, i) => `k${i}=v`).join('&'), 'BadRequest'],
    ['a=1&a=2', 'InvalidArgument'],
    [`a=${'x'.repeat(257)}`, 'InvalidTag'],
  ])('too many, the same twice, or too long: refused (%#)', async (Tagging, name) => {
    await expect(put('plain', 'refused', { Tagging })).rejects.toMatchObject({ name });
  });
});

test('the first version of the list goes page by page, with and without a delimiter', async () => {
  server.bucket('pages');
  const keys = ['a', 'b/1', 'b/2', 'c', 'd/1', 'e'];
  for (const Key of keys) await put('pages', Key);
  const pages = async (Delimiter?: string) => {
    const seen: (string | undefined)[] = [];
    let Marker: string | undefined;
    for (;;) {
      const page = await s3.send(new ListObjectsCommand({ Bucket: 'pages', MaxKeys: 2, Marker, Delimiter }));
      expect((page.Contents?.length ?? 0) + (page.CommonPrefixes?.length ?? 0)).toBeLessThanOrEqual(2);
      const entries = [
        ...(page.Contents ?? []).map(({ Key }) => Key as string),
        ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix as string),
      ].sort();
      seen.push(...entries);
      if (!page.IsTruncated) return seen;
      // Only with a delimiter does S3 say where the next page begins.
      expect(page.NextMarker === undefined).toBe(Delimiter === undefined);
      Marker = page.NextMarker ?? page.Contents?.at(-1)?.Key;
    }
  };
  expect(await pages()).toEqual(keys);
  expect(await pages('/')).toEqual(['a', 'b/', 'c', 'd/', 'e']);
});
