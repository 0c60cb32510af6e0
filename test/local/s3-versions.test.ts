import { existsSync } from 'node:fs';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketEncryptionCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  GetPublicAccessBlockCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  paginateListObjectsV2,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type S3Server, startS3 } from './s3-server.ts';

const day = 86_400_000;
const keyArn = 'arn:aws:kms:eu-central-1:111122223333:key/0b0b';
let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3();
  server.bucket('versioned', { VersioningConfiguration: { Status: 'Enabled' } });
  server.bucket('suspended', { VersioningConfiguration: { Status: 'Suspended' } });
  server.bucket('lists');
  server.bucket('lockable', { ObjectLockEnabled: true });
  server.bucket('locked', {
    ObjectLockEnabled: true,
    ObjectLockConfiguration: {
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } },
    },
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [
        { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: keyArn } },
      ],
    },
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
  });
  s3 = server.client();
});
afterAll(() => server.close());

const put = async (Bucket: string, Key: string, Body: string, more: Partial<PutObjectCommandInput> = {}) =>
  (await s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))).VersionId as string;
const text = async (Bucket: string, Key: string, VersionId?: string) =>
  (await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }))).Body?.transformToString();
const remove = (Bucket: string, Key: string, VersionId?: string, BypassGovernanceRetention?: boolean) =>
  s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention }));
const denied = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };

describe('versions', () => {
  test('each put is one; delete markers hide, and go again', async () => {
    const one = await put('versioned', 'k', '1');
    const two = await put('versioned', 'k', '2');
    expect(await text('versioned', 'k')).toBe('2');
    expect(await text('versioned', 'k', one)).toBe('1');
    const marker = await remove('versioned', 'k');
    expect(marker.DeleteMarker).toBe(true);
    await expect(text('versioned', 'k')).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(text('versioned', 'k', marker.VersionId)).rejects.toMatchObject({ name: 'MethodNotAllowed' });
    expect(await text('versioned', 'k', two)).toBe('2');
    expect((await s3.send(new ListObjectsV2Command({ Bucket: 'versioned' }))).Contents).toBeUndefined();
    // A key under a delete marker is free for a conditional writer.
    const three = await put('versioned', 'k', '3', { IfNoneMatch: '*' });
    const listed = await s3.send(new ListObjectVersionsCommand({ Bucket: 'versioned', Prefix: 'k' }));
    expect(listed.Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [three, true],
      [two, false],
      [one, false],
    ]);
    expect(listed.DeleteMarkers?.map(({ VersionId }) => VersionId)).toEqual([marker.VersionId]);
    const file = server.facade.locate('versioned', 'k', one) as string;
    await remove('versioned', 'k', one);
    expect(existsSync(file)).toBe(false);
    await remove('versioned', 'k', three);
    expect((await remove('versioned', 'k', marker.VersionId)).DeleteMarker).toBe(true);
    expect(await text('versioned', 'k')).toBe('2');
    await expect(text('versioned', 'k', one)).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });

  test('versions page by page', async () => {
    for (const key of ['p/1', 'p/1', 'p/1', 'p/2', 'p/2', 'p/3']) await put('versioned', key, 'v');
    const seen: string[] = [];
    let markers: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
    while (markers) {
      const page: any = await s3.send(
        new ListObjectVersionsCommand({ Bucket: 'versioned', Prefix: 'p/', MaxKeys: 2, ...markers }),
      );
      seen.push(...page.Versions.map((version: any) => `${version.Key} ${version.VersionId}`));
      markers = page.IsTruncated
        ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
        : undefined;
    }
    expect(seen.map((line) => line.slice(0, 3))).toEqual(['p/1', 'p/1', 'p/1', 'p/2', 'p/2', 'p/3']);
    expect(new Set(seen).size).toBe(6);
  });

  test('a suspended bucket keeps one null version', async () => {
    expect(await put('suspended', 'k', '1')).toBe('null');
    await put('suspended', 'k', '2');
    expect(await text('suspended', 'k', 'null')).toBe('2');
    expect(await remove('suspended', 'k')).toMatchObject({ DeleteMarker: true, VersionId: 'null' });
    const listed = await s3.send(new ListObjectVersionsCommand({ Bucket: 'suspended' }));
    expect(listed.Versions).toBeUndefined();
    expect(listed.DeleteMarkers).toHaveLength(1);
  });

  test('DeleteObjects', async () => {
    const version = await put('versioned', 'many/a', '1');
    await put('versioned', 'many/b &', '1');
    const answer = await s3.send(
      new DeleteObjectsCommand({
        Bucket: 'versioned',
        Delete: {
          Objects: [{ Key: 'many/a', VersionId: version }, { Key: 'many/b &' }, { Key: 'many/absent', VersionId: 'x' }],
        },
      }),
    );
    expect(answer.Deleted?.map(({ Key, DeleteMarker }) => [Key, DeleteMarker])).toEqual([
      ['many/a', undefined],
      ['many/b &', true],
      ['many/absent', undefined],
    ]);
    expect(server.calls.at(-1)).toMatchObject({
      action: 's3:DeleteObjectVersion',
      resource: 'arn:aws:s3:::versioned/many/*',
    });
    await expect(text('versioned', 'many/b &')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  test('what the bucket says of itself', async () => {
    expect((await s3.send(new GetBucketVersioningCommand({ Bucket: 'locked' }))).Status).toBe('Enabled');
    expect((await s3.send(new GetBucketVersioningCommand({ Bucket: 'lists' }))).Status).toBeUndefined();
    const encryption = await s3.send(new GetBucketEncryptionCommand({ Bucket: 'locked' }));
    expect(encryption.ServerSideEncryptionConfiguration?.Rules?.[0]).toMatchObject({
      BucketKeyEnabled: true,
      ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: keyArn },
    });
    const block = await s3.send(new GetPublicAccessBlockCommand({ Bucket: 'locked' }));
    expect(block.PublicAccessBlockConfiguration?.BlockPublicAcls).toBe(true);
    const lock = await s3.send(new GetObjectLockConfigurationCommand({ Bucket: 'locked' }));
    expect(lock.ObjectLockConfiguration?.Rule?.DefaultRetention).toEqual({ Mode: 'GOVERNANCE', Days: 30 });
  });
});

describe('object lock', () => {
  test('the default retention and encryption hold for every put', async () => {
    const answer = await s3.send(new PutObjectCommand({ Bucket: 'locked', Key: 'd', Body: 'v' }));
    expect(answer).toMatchObject({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: keyArn, BucketKeyEnabled: true });
    // With KMS an ETag is not the MD5 of the content.
    expect(answer.ETag).not.toBe('"9e3669d19b675bd57058fd4664205d2a"');
    const head = await s3.send(new HeadObjectCommand({ Bucket: 'locked', Key: 'd' }));
    expect(head).toMatchObject({ ObjectLockMode: 'GOVERNANCE', SSEKMSKeyId: keyArn });
    expect(Math.abs((head.ObjectLockRetainUntilDate?.getTime() ?? 0) - Date.now() - 30 * day)).toBeLessThan(60_000);
    const id = answer.VersionId as string;
    await expect(remove('locked', 'd', id)).rejects.toMatchObject(denied);
    expect(await text('locked', 'd', id)).toBe('v');
    expect((await remove('locked', 'd')).DeleteMarker).toBe(true);
    await remove('locked', 'd', id, true);
    await expect(text('locked', 'd', id)).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });

  test('a multipart object is locked as well, and its parts need a digest', async () => {
    const at = { Bucket: 'locked', Key: 'm' };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(at));
    const part = await s3.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'v' }));
    const done = await s3.send(
      new CompleteMultipartUploadCommand({
        ...at,
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag: part.ETag }] },
      }),
    );
    expect(done.SSEKMSKeyId).toBe(keyArn);
    await expect(remove('locked', 'm', done.VersionId)).rejects.toMatchObject(denied);

    const plain = server.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    const other = await plain.send(new CreateMultipartUploadCommand(at));
    const bare = new UploadPartCommand({ ...at, UploadId: other.UploadId, PartNumber: 1, Body: 'v' });
    await expect(plain.send(bare)).rejects.toMatchObject({
      name: 'InvalidRequest',
      message: expect.stringMatching(/Put Part/),
    });
  });

  test('a put without any digest is refused', async () => {
    for (const headers of [{}, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }]) {
      const answer = await fetch(`${server.endpoint}/locked/bare`, { method: 'PUT', body: 'v', headers });
      expect(await answer.text()).toContain('Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object');
    }
    expect(server.facade.locate('locked', 'bare')).toBeUndefined();
  });

  test('COMPLIANCE yields to nobody, until its time is over', async () => {
    const until = new Date(Date.now() + day);
    const id = await put('lockable', 'c', 'v', { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until });
    await expect(remove('lockable', 'c', id, true)).rejects.toMatchObject(denied);
    const retain = (Mode: 'GOVERNANCE' | 'COMPLIANCE', RetainUntilDate: Date) =>
      s3.send(
        new PutObjectRetentionCommand({
          Bucket: 'lockable',
          Key: 'c',
          VersionId: id,
          Retention: { Mode, RetainUntilDate },
          BypassGovernanceRetention: true,
        }),
      );
    await expect(retain('COMPLIANCE', new Date(Date.now() + day / 2))).rejects.toMatchObject(denied);
    await expect(retain('GOVERNANCE', new Date(Date.now() + 2 * day))).rejects.toMatchObject(denied);
    await retain('COMPLIANCE', new Date(Date.now() + 2 * day));
    server.elapsed = day + 1000;
    try {
      await expect(remove('lockable', 'c', id)).rejects.toMatchObject(denied);
      server.elapsed = 2 * day + 1000;
      await remove('lockable', 'c', id);
    } finally {
      server.elapsed = 0;
    }
    await expect(text('lockable', 'c')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  test('GOVERNANCE may be extended by all, shortened only by a bypass', async () => {
    const until = new Date(Date.now() + day);
    const id = await put('lockable', 'g', 'v', { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until });
    const retain = (days: number, BypassGovernanceRetention?: boolean) =>
      s3.send(
        new PutObjectRetentionCommand({
          Bucket: 'lockable',
          Key: 'g',
          Retention: { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + days * day) },
          BypassGovernanceRetention,
        }),
      );
    await retain(3);
    await expect(retain(2)).rejects.toMatchObject(denied);
    await retain(2, true);
    await expect(retain(-1, true)).rejects.toMatchObject({ name: 'InvalidArgument' });
    const { Retention } = await s3.send(new GetObjectRetentionCommand({ Bucket: 'lockable', Key: 'g', VersionId: id }));
    expect(Math.abs((Retention?.RetainUntilDate?.getTime() ?? 0) - Date.now() - 2 * day)).toBeLessThan(60_000);
  });

  test('a legal hold holds whatever the retention', async () => {
    const id = await put('lockable', 'h', 'v', { ObjectLockLegalHoldStatus: 'ON' });
    await expect(remove('lockable', 'h', id, true)).rejects.toMatchObject(denied);
    const answer = await s3.send(
      new DeleteObjectsCommand({
        Bucket: 'lockable',
        Delete: { Objects: [{ Key: 'h', VersionId: id }] },
        BypassGovernanceRetention: true,
      }),
    );
    expect(answer.Errors).toMatchObject([{ Key: 'h', Code: 'AccessDenied' }]);
    const at = { Bucket: 'lockable', Key: 'h' };
    expect((await s3.send(new GetObjectLegalHoldCommand(at))).LegalHold?.Status).toBe('ON');
    await s3.send(new PutObjectLegalHoldCommand({ ...at, LegalHold: { Status: 'OFF' } }));
    await remove('lockable', 'h', id);
  });

  test('what cannot be', async () => {
    const until = new Date(Date.now() + day);
    await expect(put('lockable', 'x', 'v', { ObjectLockMode: 'GOVERNANCE' })).rejects.toMatchObject({
      name: 'InvalidArgument',
    });
    await expect(
      put('lists', 'x', 'v', { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until }),
    ).rejects.toMatchObject({ name: 'InvalidRequest' });
    await put('lockable', 'none', 'v');
    await expect(s3.send(new GetObjectRetentionCommand({ Bucket: 'lockable', Key: 'none' }))).rejects.toMatchObject({
      name: 'NoSuchObjectLockConfiguration',
    });
    await expect(s3.send(new GetObjectLockConfigurationCommand({ Bucket: 'lists' }))).rejects.toMatchObject({
      name: 'ObjectLockConfigurationNotFoundError',
    });
  });
});

describe('lists', () => {
  const keys = ['a', 'dir/1', 'dir/2', 'dir/sub/x', 'e&<>', 'spa ce', 'z/\ue000', 'z/😀', 'ä'];
  beforeAll(async () => {
    for (const key of [...keys].reverse()) await put('lists', key, key);
  });

  test('sorted by bytes, in pages of any size', async () => {
    for (const MaxKeys of [1, 2, 4, 1000]) {
      const found: (string | undefined)[] = [];
      for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket: 'lists', MaxKeys })) {
        expect(page.KeyCount).toBeLessThanOrEqual(MaxKeys);
        found.push(...(page.Contents ?? []).map(({ Key }) => Key));
      }
      expect(found).toEqual(keys);
    }
  });

  test('rolled up at a delimiter, in pages of any size', async () => {
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const found: (string | undefined)[] = [];
      for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket: 'lists', Delimiter: '/', MaxKeys })) {
        found.push(
          ...(page.Contents ?? []).map(({ Key }) => Key),
          ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
        );
      }
      expect(found.sort()).toEqual(['a', 'dir/', 'e&<>', 'spa ce', 'z/', 'ä'].sort());
    }
    const below = await s3.send(new ListObjectsV2Command({ Bucket: 'lists', Prefix: 'dir/', Delimiter: '/' }));
    expect(below.Contents?.map(({ Key }) => Key)).toEqual(['dir/1', 'dir/2']);
    expect(below.CommonPrefixes).toEqual([{ Prefix: 'dir/sub/' }]);
  });

  test('start-after, url encoding, size and owner', async () => {
    const page = await s3.send(
      new ListObjectsV2Command({ Bucket: 'lists', StartAfter: 'dir/2', EncodingType: 'url', FetchOwner: true }),
    );
    expect(page.Contents?.map(({ Key }) => decodeURIComponent(Key as string))).toEqual(keys.slice(3));
    expect(page.Contents?.[2]).toMatchObject({
      Key: 'spa%20ce',
      Size: 6,
      StorageClass: 'STANDARD',
      Owner: { ID: '111122223333' },
    });
    await expect(s3.send(new ListObjectsV2Command({ Bucket: 'absent' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });

  test('version 1', async () => {
    const found: (string | undefined)[] = [];
    let Marker: string | undefined;
    do {
      const page = await s3.send(new ListObjectsCommand({ Bucket: 'lists', Delimiter: '/', MaxKeys: 2, Marker }));
      found.push(
        ...(page.Contents ?? []).map(({ Key }) => Key),
        ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
      );
      Marker = page.IsTruncated ? page.NextMarker : undefined;
    } while (Marker);
    expect(found.sort()).toEqual(['a', 'dir/', 'e&<>', 'spa ce', 'z/', 'ä'].sort());
  });
});

test('a thousand keys of awkward characters are listed and deleted at once', async () => {
  server.bucket('awkward');
  const awkward = Array.from({ length: 200 }, (_, i) => ` ${i}&<>"'\r\n\t&amp;&#65; `);
  for (const key of awkward) await put('awkward', key, 'v');
  const page = await s3.send(new ListObjectsV2Command({ Bucket: 'awkward' }));
  expect(page.Contents?.map(({ Key }) => Key)).toEqual([...awkward].sort());
  const absent = Array.from({ length: 800 }, (_, i) => `absent/${i} & more & more`);
  const Objects = [...awkward, ...absent].map((Key) => ({ Key }));
  const answer = await s3.send(new DeleteObjectsCommand({ Bucket: 'awkward', Delete: { Objects } }));
  expect(answer.Deleted).toHaveLength(1000);
  expect((await s3.send(new ListObjectsV2Command({ Bucket: 'awkward' }))).KeyCount).toBe(0);
});

describe('resources', () => {
  const context = {
    region: 'eu-west-1',
    stack: 'st',
    logicalId: 'Vault',
    generatedName: 'St-Vault-1A2B',
    assembly: '',
  };
  const make = (properties: object) => server.facade.resources['AWS::S3::Bucket']?.(properties, context);

  test('name and attributes', () => {
    expect(make({})).toEqual({
      ref: 'st-vault-1a2b',
      attributes: expect.objectContaining({
        Arn: 'arn:aws:s3:::st-vault-1a2b',
        RegionalDomainName: 'st-vault-1a2b.s3.eu-west-1.amazonaws.com',
      }),
    });
    expect(() => make({})).toThrow(/exists already/);
  });

  test.each([
    [{ BucketName: 'refused', NotificationConfiguration: {} }, /NotificationConfiguration/],
    [{ BucketName: 'refused', ObjectLockConfiguration: { Rule: {} } }, /ObjectLockEnabled/],
    [{ BucketName: 'Upper_Case' }, /bucket name/],
    [{ BucketName: 'lock-1', ObjectLockEnabled: true, VersioningConfiguration: { Status: 'Suspended' } }, /versioning/],
  ])('refuses %j', (properties, message) => {
    expect(() => make(properties)).toThrow(message);
    expect(() => make(properties)).toThrow(/Vault/);
  });

  test('a policy is kept with its bucket', () => {
    const document = {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: '*' }],
    };
    const policy = server.facade.resources['AWS::S3::BucketPolicy'];
    expect(policy?.({ Bucket: 'lists', PolicyDocument: document }, context)).toEqual({ ref: 'lists' });
    expect(server.facade.policyOf('lists')).toEqual(document);
    expect(() => policy?.({ Bucket: 'absent', PolicyDocument: document }, context)).toThrow(/absent/);
  });
});
