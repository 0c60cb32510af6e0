import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketReplicationCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketReplicationCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AwsError } from '../../local/facade.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const day = 86_400_000;
const [here, there] = ['eu-central-1', 'eu-west-1'];
const keyHere = `arn:aws:kms:${here}:111122223333:key/here`;
const keyThere = `arn:aws:kms:${there}:111122223333:key/there`;
const Role = 'arn:aws:iam::111122223333:role/replication';
const versioning = { VersioningConfiguration: { Status: 'Enabled' } };
const underKms = (key: string) => ({
  BucketEncryption: {
    ServerSideEncryptionConfiguration: [
      { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key } },
    ],
  },
});
let server: S3Server;
let s3: S3Client;
let far: S3Client;

const rule = (bucket: string, more: object = {}) => ({
  Id: `to-${bucket}`,
  Status: 'Enabled',
  Priority: 1,
  Filter: { Prefix: '' },
  DeleteMarkerReplication: { Status: 'Disabled' },
  Destination: { Bucket: `arn:aws:s3:::${bucket}` },
  ...more,
});

beforeAll(async () => {
  server = await startS3();
  s3 = server.client();
  far = server.client({ region: there });
  server.bucket('copy', { ...versioning, ObjectLockEnabled: true, ...underKms(keyThere) }, there);
  server.bucket('plain-copy', versioning, there);
  server.bucket('marked-copy', versioning, there);
  server.bucket('source', {
    ...versioning,
    ObjectLockEnabled: true,
    ...underKms(keyHere),
    ReplicationConfiguration: {
      Role,
      Rules: [
        rule('copy', {
          SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
          Destination: {
            Bucket: 'arn:aws:s3:::copy',
            StorageClass: 'STANDARD_IA',
            EncryptionConfiguration: { ReplicaKmsKeyID: keyThere },
            ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
            Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
          },
        }),
      ],
    },
  });
  server.bucket('plain', {
    ...versioning,
    ReplicationConfiguration: {
      Role,
      Rules: [
        rule('plain-copy', { Filter: { Prefix: 'a/' } }),
        rule('marked-copy', {
          Priority: 2,
          Filter: { Prefix: 'a/b/' },
          DeleteMarkerReplication: { Status: 'Enabled' },
        }),
      ],
    },
  });
});
afterAll(() => server.close());

const put = async (Bucket: string, Key: string, more: Partial<PutObjectCommandInput> = {}) =>
  (await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'v', ...more }))).VersionId as string;
const head = (client: S3Client, Bucket: string, Key: string, VersionId?: string) =>
  client.send(new HeadObjectCommand({ Bucket, Key, VersionId, ChecksumMode: 'ENABLED' }));
const status = async (Bucket: string, Key: string, VersionId?: string) =>
  (await head(s3, Bucket, Key, VersionId)).ReplicationStatus;

describe('an object', () => {
  test('arrives a while later with its version id, metadata, tags, lock and checksum, under the key of the other region', async () => {
    server.facade.replication.lagMs = 300;
    const until = new Date(Date.now() + 30 * day);
    const id = await put('source', 'k', {
      ContentType: 'text/x',
      Metadata: { colour: 'blue' },
      Tagging: 'kind=daily',
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
      ObjectLockLegalHoldStatus: 'ON',
    });
    expect(await status('source', 'k')).toBe('PENDING');
    expect(server.facade.replication.backlog('source')).toBe(1);
    await expect(head(far, 'copy', 'k')).rejects.toMatchObject({ name: 'NotFound' });
    await server.facade.settled();
    expect(await status('source', 'k')).toBe('COMPLETED');
    const source = await head(s3, 'source', 'k');
    const replica = await head(far, 'copy', 'k');
    expect(replica).toMatchObject({
      ReplicationStatus: 'REPLICA',
      VersionId: id,
      ContentType: 'text/x',
      Metadata: { colour: 'blue' },
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: source.ObjectLockRetainUntilDate,
      ObjectLockLegalHoldStatus: 'ON',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: keyThere,
      StorageClass: 'STANDARD_IA',
      LastModified: source.LastModified,
      ChecksumCRC32: source.ChecksumCRC32,
    });
    expect(replica.ETag).not.toBe(source.ETag);
    const { TagSet } = await far.send(new GetObjectTaggingCommand({ Bucket: 'copy', Key: 'k' }));
    expect(TagSet).toEqual([{ Key: 'kind', Value: 'daily' }]);
    await expect(far.send(new DeleteObjectCommand({ Bucket: 'copy', Key: 'k', VersionId: id }))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    const asRole = server.calls.filter(({ principal }) => principal.roleArn === Role);
    expect(asRole.map(({ operation, region }) => `${operation} ${region}`)).toEqual([
      `GetObjectVersionForReplication ${here}`,
      `ReplicateObject ${there}`,
    ]);
    expect(asRole.flatMap(({ needs = [] }) => needs.map(({ action }) => action))).toEqual([
      's3:GetReplicationConfiguration',
      's3:ListBucket',
      's3:GetObjectVersionForReplication',
      's3:GetObjectVersionAcl',
      's3:GetObjectVersionTagging',
      'kms:Decrypt',
      's3:ReplicateObject',
      's3:ReplicateTags',
      'kms:Encrypt',
    ]);
    server.facade.replication.lagMs = 0;
  });

  test('in parts arrives as one, byte for byte', async () => {
    const at = { Bucket: 'source', Key: 'parts' };
    const bodies = [randomBytes(5 * 1024 ** 2), randomBytes(1000)];
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm: 'SHA256' }));
    const Parts = [];
    for (const [i, Body] of bodies.entries()) {
      const sent = { ...at, UploadId, PartNumber: i + 1, Body, ChecksumAlgorithm: 'SHA256' as const };
      const { ETag, ChecksumSHA256 } = await s3.send(new UploadPartCommand(sent));
      Parts.push({ PartNumber: i + 1, ETag, ChecksumSHA256 });
    }
    await s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
    await server.facade.settled();
    const file = server.facade.locate('copy', 'parts') as string;
    expect(readFileSync(file).equals(Buffer.concat(bodies))).toBe(true);
    // Damage on one side is no damage on the other.
    expect(file).not.toBe(server.facade.locate('source', 'parts'));
    const second = await far.send(new GetObjectCommand({ Bucket: 'copy', Key: 'parts', PartNumber: 2 }));
    expect(second.PartsCount).toBe(2);
    expect((await head(far, 'copy', 'parts')).ChecksumSHA256).toMatch(/-2$/);
  });

  test('takes later changes of its lock and tags along', async () => {
    const VersionId = await put('source', 'later');
    await server.facade.settled();
    const at = { Bucket: 'source', Key: 'later', VersionId };
    const RetainUntilDate = new Date(Math.floor(Date.now() / 1000) * 1000 + day);
    await s3.send(new PutObjectRetentionCommand({ ...at, Retention: { Mode: 'GOVERNANCE', RetainUntilDate } }));
    await s3.send(new PutObjectLegalHoldCommand({ ...at, LegalHold: { Status: 'ON' } }));
    await s3.send(new PutObjectTaggingCommand({ ...at, Tagging: { TagSet: [{ Key: 'a', Value: 'b' }] } }));
    expect(await status('source', 'later')).toBe('PENDING');
    await server.facade.settled();
    expect(await status('source', 'later')).toBe('COMPLETED');
    expect(await head(far, 'copy', 'later')).toMatchObject({
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: RetainUntilDate,
      ObjectLockLegalHoldStatus: 'ON',
      TagCount: 1,
    });
  });

  test('keeps its versions in order, and what is deleted for good on one side stays on the other', async () => {
    const ids = [await put('source', 'order'), await put('source', 'order'), await put('source', 'order')];
    await s3.send(new DeleteObjectCommand({ Bucket: 'source', Key: 'order' }));
    await server.facade.settled();
    await s3.send(new DeleteObjectCommand({ Bucket: 'source', Key: 'order', VersionId: ids[0] }));
    const listed = await far.send(new ListObjectVersionsCommand({ Bucket: 'copy', Prefix: 'order' }));
    expect(listed.Versions?.map(({ VersionId }) => VersionId)).toEqual(ids.reverse());
    expect(listed.DeleteMarkers).toBeUndefined();
  });
});

describe('rules', () => {
  test('by prefix and destination; delete markers go where the rule says', async () => {
    await put('plain', 'other');
    await put('plain', 'a/1');
    await put('plain', 'a/b/1');
    for (const Key of ['a/1', 'a/b/1']) await s3.send(new DeleteObjectCommand({ Bucket: 'plain', Key }));
    await server.facade.settled();
    expect(await status('plain', 'other')).toBeUndefined();
    const list = async (Bucket: string) => {
      const { Versions = [], DeleteMarkers = [] } = await far.send(new ListObjectVersionsCommand({ Bucket }));
      return [...Versions.map(({ Key }) => Key), ...DeleteMarkers.map(({ Key }) => `-${Key}`)];
    };
    expect(await list('plain-copy')).toEqual(['a/1', 'a/b/1']);
    expect(await list('marked-copy')).toEqual(['a/b/1', '-a/b/1']);
    const etag = (await head(far, 'marked-copy', 'a/b/1', await firstVersion('marked-copy', 'a/b/1'))).ETag;
    // Not under KMS, a copy has the entity tag of its source.
    expect(etag).toBe(`"9e3669d19b675bd57058fd4664205d2a"`);
  });

  const firstVersion = async (Bucket: string, Prefix: string) =>
    (await far.send(new ListObjectVersionsCommand({ Bucket, Prefix }))).Versions?.[0]?.VersionId;

  test('objects under KMS stay where the rule does not choose them', async () => {
    await put('plain', 'a/kms', { ServerSideEncryption: 'aws:kms' });
    await server.facade.settled();
    expect(await status('plain', 'a/kms')).toBeUndefined();
    await expect(head(far, 'plain-copy', 'a/kms')).rejects.toMatchObject({ name: 'NotFound' });
  });

  test('both ways: a copy is not copied back', async () => {
    server.bucket('left', versioning, here);
    server.bucket('right', { ...versioning, ReplicationConfiguration: { Role, Rules: [rule('left')] } }, there);
    // As AWS wants it: the first of the two can only be told of the second once that exists.
    await s3.send(
      new PutBucketReplicationCommand({
        Bucket: 'left',
        ReplicationConfiguration: {
          Role,
          Rules: [
            {
              ID: 'back',
              Status: 'Enabled',
              Priority: 1,
              Filter: { Prefix: '' },
              DeleteMarkerReplication: { Status: 'Disabled' },
              Destination: { Bucket: 'arn:aws:s3:::right' },
            },
          ],
        },
      }),
    );
    const told = await s3.send(new GetBucketReplicationCommand({ Bucket: 'left' }));
    expect(told.ReplicationConfiguration).toMatchObject({
      Role,
      Rules: [{ ID: 'back', Priority: 1, Destination: { Bucket: 'arn:aws:s3:::right' } }],
    });
    await put('left', 'from-left');
    await far.send(new PutObjectCommand({ Bucket: 'right', Key: 'from-right', Body: 'v' }));
    await server.facade.settled();
    expect((await head(far, 'right', 'from-left')).ReplicationStatus).toBe('REPLICA');
    expect((await head(s3, 'left', 'from-right')).ReplicationStatus).toBe('REPLICA');
    const { Versions } = await s3.send(new ListObjectVersionsCommand({ Bucket: 'left' }));
    expect(Versions?.map(({ Key }) => Key)).toEqual(['from-left', 'from-right']);
  });

  const onKms = { SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } } };
  test.each([
    [versioning, rule('absent'), /Destination bucket must exist/],
    [versioning, rule('unversioned'), /versioning enabled/],
    [{ ...versioning, ObjectLockEnabled: true }, rule('plain-copy'), /Object Lock must be enabled/],
    [{}, rule('plain-copy'), /needs versioning Enabled/],
    [versioning, rule('copy', onKms), /ReplicaKmsKeyID need each other/],
    [versioning, rule('copy', { Priority: undefined }), /needs DeleteMarkerReplication and Priority/],
    [versioning, rule('copy', { Surprise: 1 }), /Surprise is not carried out/],
  ])('one that AWS would refuse, or that is not understood, is refused (%#)', (properties, given, message) => {
    if (message.source.includes('versioning enabled')) server.bucket('unversioned', {}, there);
    const bucket = { ...properties, ReplicationConfiguration: { Role, Rules: [given] } };
    expect(() => server.bucket('refused', bucket)).toThrow(message);
    // What was refused is not there.
    expect(() => server.bucket('refused', bucket)).toThrow(message);
  });
});

describe('what goes wrong', () => {
  test('a role that may not write there: FAILED, and nothing arrives', async () => {
    server.intercept = ({ operation }) => {
      if (operation === 'ReplicateObject') throw new AwsError('AccessDenied', 'no', 403);
    };
    await put('source', 'denied');
    await server.facade.settled();
    server.intercept = undefined;
    expect(await status('source', 'denied')).toBe('FAILED');
    await expect(head(far, 'copy', 'denied')).rejects.toMatchObject({ name: 'NotFound' });
  });

  test('a throttled or unreachable destination: PENDING, until it is there again', async () => {
    let refusals = 0;
    server.intercept = ({ operation }) => {
      if (operation === 'ReplicateObject' && refusals++ === 0) throw new AwsError('SlowDown', 'later', 503);
    };
    await put('source', 'slow');
    await expect.poll(() => refusals).toBe(1);
    expect(await status('source', 'slow')).toBe('PENDING');
    server.outages.set(there, 'cut-off');
    await server.clock.advance(5000);
    expect(await status('source', 'slow')).toBe('PENDING');
    expect(refusals).toBe(1);
    server.outages.set(there, 'up');
    await server.clock.advance(5000);
    await server.facade.settled();
    server.intercept = undefined;
    expect(await status('source', 'slow')).toBe('COMPLETED');
    expect((await head(far, 'copy', 'slow')).ReplicationStatus).toBe('REPLICA');
  });

  test('what is pending and what failed is told to CloudWatch every minute, by rules that have metrics', async () => {
    const minute = async () => {
      const before = server.samples.length;
      await server.clock.advance(60_000);
      return server.samples.slice(before).map(({ region, name, values }) => [region, name, ...values]);
    };
    await server.facade.settled();
    await minute();
    server.intercept = ({ operation }) => {
      if (operation === 'ReplicateObject') throw new AwsError('SlowDown', 'later', 503);
    };
    await put('source', 'metered', { Body: 'four' });
    await put('plain', 'a/unmetered');
    const [failed, bytes, operations, latency, ...others] = await minute();
    expect([failed, bytes, operations, others]).toEqual([
      [here, 'OperationsFailedReplication', 0],
      [there, 'BytesPendingReplication', 4],
      [there, 'OperationsPendingReplication', 1],
      [],
    ]);
    expect(latency).toEqual([there, 'ReplicationLatency', expect.any(Number)]);
    expect(server.samples.at(-1)?.values[0]).toBeGreaterThan(1);
    expect(server.samples.at(-1)).toMatchObject({
      namespace: 'AWS/S3',
      dimensions: { SourceBucket: 'source', DestinationBucket: 'copy', RuleId: 'to-copy' },
    });
    server.outages.set(there, 'down');
    expect(await minute()).toEqual([[here, 'OperationsFailedReplication', 0]]);
    server.outages.set(there, 'up');
    server.intercept = ({ operation }) => {
      if (operation === 'ReplicateObject') throw new AwsError('AccessDenied', 'no', 403);
    };
    await server.clock.advance(5000);
    await server.facade.settled();
    server.intercept = undefined;
    expect(await minute()).toEqual([
      [here, 'OperationsFailedReplication', 1],
      [there, 'BytesPendingReplication', 0],
      [there, 'OperationsPendingReplication', 0],
      [there, 'ReplicationLatency', 0],
    ]);
  });

  test('a server that stops: the next one goes on', async () => {
    server.facade.replication.lagMs = day;
    await put('source', 'restarted');
    const old = server;
    await old.stop();
    server = await startS3(old.directory);
    s3 = server.client();
    far = server.client({ region: there });
    server.bucket('copy', { ...versioning, ObjectLockEnabled: true, ...underKms(keyThere) }, there);
    const replication = {
      Role,
      Rules: [
        rule('copy', {
          SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
          Destination: { Bucket: 'arn:aws:s3:::copy', EncryptionConfiguration: { ReplicaKmsKeyID: keyThere } },
        }),
      ],
    };
    server.bucket('source', { ...versioning, ObjectLockEnabled: true, ReplicationConfiguration: replication });
    await server.facade.settled();
    expect(await status('source', 'restarted')).toBe('COMPLETED');
    expect((await head(far, 'copy', 'restarted')).ReplicationStatus).toBe('REPLICA');
  });
});
