import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  RestoreObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type S3Server, startS3 } from './s3-server.ts';

const day = 86_400_000;
const versioned = { VersioningConfiguration: { Status: 'Enabled' } };
let server: S3Server;
let s3: S3Client;

// The clock goes forward only, so every test has its own.
beforeEach(async () => {
  server = await startS3();
  s3 = server.client();
});
afterEach(() => server.close());

const bucket = (name: string, properties: object, ...Rules: object[]) =>
  server.bucket(name, { ...properties, LifecycleConfiguration: { Rules } });
const put = async (Bucket: string, Key: string, more: Partial<PutObjectCommandInput> = {}) =>
  (await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'v', ...more }))).VersionId as string;

async function pass(days: number): Promise<void> {
  await server.clock.advance(days * day);
  await server.facade.settled();
}

/** `key` per version, newest first, delete markers as `-key`. */
async function versions(Bucket: string): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
  return [
    ...DeleteMarkers.map(({ Key, IsLatest }) => `-${Key}${IsLatest ? '' : ' old'}`),
    ...Versions.map(({ Key, IsLatest }) => `${Key}${IsLatest ? '' : ' old'}`),
  ];
}

test('objects expire at the midnight after their days, below their prefix only', async () => {
  bucket('plain', {}, { Id: 'logs', Status: 'Enabled', Prefix: 'logs/', ExpirationInDays: 3 });
  await put('plain', 'logs/a');
  await put('plain', 'other');
  const written = server.clock.now();
  await pass(2);
  expect(await versions('plain')).toEqual(['logs/a', 'other']);
  const due = Math.ceil((written + 3 * day) / day) * day;
  await server.clock.advance(due - server.clock.now() - 60_000);
  await server.facade.settled();
  expect(await versions('plain')).toEqual(['logs/a', 'other']);
  await server.clock.advance(61_000);
  await server.facade.settled();
  expect(await versions('plain')).toEqual(['other']);
});

test('a rule that is disabled does nothing', async () => {
  bucket('idle', {}, { Status: 'Disabled', ExpirationInDays: 1 });
  await put('idle', 'a');
  await pass(10);
  expect(await versions('idle')).toEqual(['a']);
});

test('in a versioned bucket an expired object gets a delete marker, and its versions go by their own rule', async () => {
  bucket(
    'kept',
    versioned,
    { Status: 'Enabled', ExpirationInDays: 1, NoncurrentVersionExpiration: { NoncurrentDays: 5 } },
    { Status: 'Enabled', ExpiredObjectDeleteMarker: true },
  );
  await put('kept', 'a');
  await pass(2.5);
  expect(await versions('kept')).toEqual(['-a', 'a old']);
  await pass(3);
  expect(await versions('kept')).toEqual(['-a', 'a old']);
  await pass(3.5);
  // With nothing below it the marker goes as well.
  expect(await versions('kept')).toEqual([]);
});

test('the newest noncurrent versions stay where the rule keeps some', async () => {
  bucket('some', versioned, {
    Status: 'Enabled',
    NoncurrentVersionExpiration: { NoncurrentDays: 1, NewerNoncurrentVersions: 2 },
  });
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push(await put('some', 'a'));
  await pass(3);
  const { Versions } = await s3.send(new ListObjectVersionsCommand({ Bucket: 'some' }));
  expect(Versions?.map(({ VersionId }) => VersionId)).toEqual([ids[4], ids[3], ids[2]]);
});

test('what is locked is never removed, and goes once its lock is over', async () => {
  bucket(
    'locked',
    { ObjectLockEnabled: true },
    { Status: 'Enabled', NoncurrentVersionExpiration: { NoncurrentDays: 1 }, ExpirationInDays: 1 },
  );
  const lock = (ObjectLockMode: 'GOVERNANCE' | 'COMPLIANCE') => ({
    ObjectLockMode,
    ObjectLockRetainUntilDate: new Date(server.clock.now() + 10 * day),
  });
  await put('locked', 'compliance', lock('COMPLIANCE'));
  await put('locked', 'governance', lock('GOVERNANCE'));
  await put('locked', 'hold', { ObjectLockLegalHoldStatus: 'ON' });
  await put('locked', 'free');
  await pass(6);
  const locked = ['compliance old', 'governance old', 'hold old'];
  expect((await versions('locked')).filter((name) => !name.startsWith('-'))).toEqual(locked);
  await pass(6);
  expect((await versions('locked')).filter((name) => !name.startsWith('-'))).toEqual(['hold old']);
});

test('an upload that nobody completes is aborted', async () => {
  bucket('uploads', {}, { Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } });
  const at = { Bucket: 'uploads', Key: 'a' };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(at));
  const uploads = async () => (await s3.send(new ListMultipartUploadsCommand({ Bucket: 'uploads' }))).Uploads ?? [];
  await pass(0.9);
  expect(await uploads()).toHaveLength(1);
  await pass(1.2);
  expect(await uploads()).toEqual([]);
  await expect(s3.send(new AbortMultipartUploadCommand({ ...at, UploadId }))).rejects.toMatchObject({
    name: 'NoSuchUpload',
  });
});

test('rules choose by tag and size', async () => {
  bucket(
    'chosen',
    {},
    { Status: 'Enabled', TagFilters: [{ Key: 'keep', Value: 'no' }], ExpirationInDays: 1 },
    { Status: 'Enabled', ObjectSizeGreaterThan: '100', ExpirationInDays: 1 },
  );
  await put('chosen', 'tagged', { Tagging: 'keep=no' });
  await put('chosen', 'other', { Tagging: 'keep=yes' });
  await put('chosen', 'large', { Body: 'x'.repeat(101) });
  await pass(3);
  expect(await versions('chosen')).toEqual(['other']);
});

test('transitions go to colder classes; an archived object is readable once it has been restored', async () => {
  bucket('cooling', versioned, {
    Status: 'Enabled',
    Transitions: [
      { StorageClass: 'STANDARD_IA', TransitionInDays: 30 },
      { StorageClass: 'GLACIER', TransitionInDays: 60 },
    ],
  });
  await put('cooling', 'large', { Body: 'x'.repeat(200_000) });
  await put('cooling', 'small');
  const head = async (Key: string) => s3.send(new HeadObjectCommand({ Bucket: 'cooling', Key }));
  const read = () => s3.send(new GetObjectCommand({ Bucket: 'cooling', Key: 'large' }));
  await pass(32);
  expect((await head('large')).StorageClass).toBe('STANDARD_IA');
  await (await read()).Body?.transformToString();
  await pass(31);
  expect((await head('large')).StorageClass).toBe('GLACIER');
  // Below 128 KiB it is not worth the request.
  expect((await head('small')).StorageClass).toBeUndefined();
  await expect(read()).rejects.toMatchObject({ name: 'InvalidObjectState' });

  const restore = (Tier: 'Standard' | 'Expedited') =>
    s3.send(
      new RestoreObjectCommand({
        Bucket: 'cooling',
        Key: 'large',
        RestoreRequest: { Days: 2, GlacierJobParameters: { Tier } },
      }),
    );
  expect((await restore('Standard')).$metadata.httpStatusCode).toBe(202);
  expect((await head('large')).Restore).toBe('ongoing-request="true"');
  await expect(restore('Standard')).rejects.toMatchObject({ name: 'RestoreAlreadyInProgress' });
  await expect(read()).rejects.toMatchObject({ name: 'InvalidObjectState' });
  await server.clock.advance(6 * 3_600_000);
  expect((await head('large')).Restore).toMatch(/ongoing-request="false", expiry-date="/);
  expect((await (await read()).Body?.transformToString())?.length).toBe(200_000);
  await pass(4);
  await expect(read()).rejects.toMatchObject({ name: 'InvalidObjectState' });
  expect((await head('large')).Restore).toBeUndefined();
});

test('deleting the newest version makes the next one current, and its noncurrent days are over', async () => {
  bucket('again', versioned, { Status: 'Enabled', NoncurrentVersionExpiration: { NoncurrentDays: 3 } });
  await put('again', 'a');
  const marker = await s3.send(new DeleteObjectCommand({ Bucket: 'again', Key: 'a' }));
  await pass(2);
  await s3.send(new DeleteObjectCommand({ Bucket: 'again', Key: 'a', VersionId: marker.VersionId }));
  await pass(5);
  expect(await versions('again')).toEqual(['a']);
});

test('the rules are told as they are', async () => {
  bucket(
    'told',
    versioned,
    {
      Id: 'one',
      Status: 'Enabled',
      Prefix: 'p/',
      ExpirationInDays: 365,
      NoncurrentVersionExpiration: { NoncurrentDays: 31, NewerNoncurrentVersions: 1 },
      Transitions: [{ StorageClass: 'DEEP_ARCHIVE', TransitionInDays: 90 }],
    },
    { Id: 'two', Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } },
  );
  const { Rules } = await s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket: 'told' }));
  expect(Rules).toEqual([
    {
      ID: 'one',
      Status: 'Enabled',
      Filter: { Prefix: 'p/' },
      Expiration: { Days: 365 },
      NoncurrentVersionExpiration: { NoncurrentDays: 31, NewerNoncurrentVersions: 1 },
      Transitions: [{ Days: 90, StorageClass: 'DEEP_ARCHIVE' }],
    },
    {
      ID: 'two',
      Status: 'Enabled',
      Filter: { Prefix: '' },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
    },
  ]);
  server.bucket('none');
  await expect(s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket: 'none' }))).rejects.toMatchObject({
    name: 'NoSuchLifecycleConfiguration',
  });
});

test.each([
  [{ Status: 'Enabled', Surprise: 1 }, /Surprise is not carried out/],
  [{ Status: 'On', ExpirationInDays: 1 }, /Status On is neither/],
  [{ Status: 'Enabled', ExpirationInDays: 0 }, /0 is no whole number of days/],
  [{ Status: 'Enabled', Transitions: [{ StorageClass: 'COLD', TransitionInDays: 1 }] }, /COLD is no storage class/],
])('a rule that is not understood is refused: %j', (rule, message) => {
  expect(() => bucket('refused', {}, rule)).toThrow(message);
});
