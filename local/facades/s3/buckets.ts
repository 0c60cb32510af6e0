import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { World } from '../../facade.ts';
import { readPolicy } from '../../iam/policy.ts';
import { receiveDocument } from './body.ts';
import { lifecycleOf, lifecycleProperty } from './lifecycle-rules.ts';
import { lockRuleOf } from './lock.ts';
import {
  type Bucket,
  type BucketConfiguration,
  type Buckets,
  type Call,
  type Destination,
  type Replicator,
  s3Error,
} from './model.ts';
import { assertDestinations, replicationOf } from './replication-rules.ts';
import { assertBucketName } from './resources.ts';
import { openBucket } from './store.ts';
import { fromXml, malformed } from './xml.ts';

/** Buckets that come and go through the API. Those of templates are made anew by every deployment. */

/** Beside a bucket that the API made: what it takes to open it again. */
const lastingFile = 'bucket.json';

export function openBuckets(
  root: string,
  world: World,
  replicator: Replicator,
  elsewhere: (name: string) => Destination | undefined,
): Buckets {
  const { now } = world;
  const buckets = new Map<string, Bucket>();
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(root)) {
    const file = join(root, name, lastingFile);
    if (!existsSync(file)) continue;
    const { region, configuration, created, policy } = JSON.parse(readFileSync(file, 'utf8'));
    const bucket = openBucket(root, name, region, configuration, created, replicator);
    buckets.set(name, Object.assign(bucket, { policy }));
  }
  return Object.assign(buckets, {
    destination(name: string) {
      const bucket = buckets.get(name);
      return bucket ? { bucket, world } : elsewhere(name);
    },
    create(name: string, region: string, configuration: BucketConfiguration, lasting: boolean) {
      const bucket = openBucket(root, name, region, configuration, now(), replicator);
      buckets.set(name, bucket);
      if (lasting) writeFileSync(join(bucket.directory, lastingFile), '{}');
      keep(bucket);
      return bucket;
    },
    remove(bucket: Bucket) {
      buckets.delete(bucket.name);
      rmSync(bucket.directory, { recursive: true, force: true });
    },
  });
}

/** Writes down what a bucket of the API has become. */
function keep({ directory, region, configuration, created, policy }: Bucket): void {
  const file = join(directory, lastingFile);
  if (existsSync(file)) writeFileSync(file, JSON.stringify({ region, configuration, created, policy }));
}

function configure(bucket: Bucket, change: Partial<BucketConfiguration>): void {
  bucket.configuration = { ...bucket.configuration, ...change };
  keep(bucket);
}

async function createBucket(call: Call): Promise<void> {
  const { region } = call.context;
  const body = await receiveDocument(call.request);
  const wanted = body.length > 0 ? fromXml(body, 'CreateBucketConfiguration').LocationConstraint : undefined;
  const name = call.bucketName;
  try {
    assertBucketName(name);
  } catch {
    throw s3Error('InvalidBucketName', 'The specified bucket is not valid.', 400, { BucketName: name });
  }
  if ((wanted ?? 'us-east-1') !== region) {
    throw s3Error(
      'IllegalLocationConstraintException',
      `The ${wanted ?? 'unspecified'} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  }
  if (call.buckets.has(name)) {
    throw s3Error(
      'BucketAlreadyOwnedByYou',
      'Your previous request to create the named bucket succeeded and you already own it.',
      409,
      { BucketName: name },
    );
  }
  const locked = call.header('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true';
  call.buckets.create(
    name,
    region,
    {
      ...(locked && { versioning: 'Enabled' as const, objectLock: {} }),
      encryption: { algorithm: 'AES256' },
      objectOwnership: 'BucketOwnerEnforced',
      // As S3 has made buckets since 2023.
      publicAccessBlock: {
        BlockPublicAcls: true,
        IgnorePublicAcls: true,
        BlockPublicPolicy: true,
        RestrictPublicBuckets: true,
      },
      lifecycle: [],
    },
    true,
  );
  call.response.writeHead(200, { location: `/${name}`, 'content-length': 0 }).end();
}

function deleteBucket(call: Call): void {
  const bucket = call.bucket();
  if (bucket.versions.size > 0) {
    const which = bucket.configuration.versioning ? ' You must delete all versions in the bucket.' : '';
    throw s3Error('BucketNotEmpty', `The bucket you tried to delete is not empty.${which}`, 409, {
      BucketName: bucket.name,
    });
  }
  call.buckets.remove(bucket);
  call.response.writeHead(204).end();
}

async function putBucketVersioning(call: Call): Promise<void> {
  const { Status: status } = fromXml(await receiveDocument(call.request), 'VersioningConfiguration');
  const bucket = call.bucket();
  if (status !== 'Enabled' && status !== 'Suspended') throw malformed('Status is neither Enabled nor Suspended');
  const { objectLock, replication } = bucket.configuration;
  if (status === 'Suspended' && (objectLock || replication)) {
    throw s3Error(
      'InvalidBucketState',
      `${objectLock ? 'An Object Lock' : 'A replication'} configuration is present on this bucket, so the versioning state cannot be changed.`,
      409,
    );
  }
  configure(bucket, { versioning: status });
  call.response.writeHead(200, { 'content-length': 0 }).end();
}

async function putObjectLockConfiguration(call: Call): Promise<void> {
  const body = fromXml(await receiveDocument(call.request), 'ObjectLockConfiguration');
  const bucket = call.bucket();
  if (bucket.configuration.versioning !== 'Enabled') {
    throw s3Error(
      'InvalidBucketState',
      "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
      409,
    );
  }
  if (body.ObjectLockEnabled !== 'Enabled') throw malformed('ObjectLockEnabled is not Enabled');
  configure(bucket, { objectLock: lockRuleOf(body.Rule?.DefaultRetention) });
  call.response.writeHead(200, { 'content-length': 0 }).end();
}

async function putBucketReplication(call: Call): Promise<void> {
  const { Role, Rule } = fromXml(await receiveDocument(call.request), 'ReplicationConfiguration');
  const bucket = call.bucket();
  if (bucket.configuration.versioning !== 'Enabled') {
    throw s3Error('InvalidRequest', "Versioning must be 'Enabled' on the bucket to apply a replication configuration");
  }
  assertPassed(call, String(Role));
  try {
    const replication = replicationOf({ Role, Rules: [Rule ?? []].flat() }, bucket.name);
    assertDestinations(bucket.name, { ...bucket.configuration, replication }, call.buckets);
    configure(bucket, { replication });
  } catch (error) {
    throw s3Error('InvalidRequest', (error as Error).message);
  }
  call.response.writeHead(200, { 'content-length': 0 }).end();
}

/** Who configures it hands S3 the role as which it copies from then on. */
function assertPassed(call: Call, resource: string): void {
  const { region, principal } = call.context;
  const conditions = { 'iam:PassedToService': 's3.amazonaws.com' };
  const refused = call.world.refusal(
    { service: 's3', region, principal },
    { action: 'iam:PassRole', resource, conditions },
  );
  if (refused) throw refused;
}

function deleteBucketReplication(call: Call): void {
  configure(call.bucket(), { replication: undefined });
  call.response.writeHead(204).end();
}

async function putBucketPolicy(call: Call): Promise<void> {
  const text = (await receiveDocument(call.request)).toString();
  const bucket = call.bucket();
  try {
    const policy = JSON.parse(text);
    readPolicy('BucketPolicy', policy, 'resource');
    bucket.policy = policy;
  } catch (error) {
    throw s3Error('MalformedPolicy', (error as Error).message);
  }
  keep(bucket);
  call.response.writeHead(204).end();
}

function deleteBucketPolicy(call: Call): void {
  const bucket = call.bucket();
  bucket.policy = undefined;
  keep(bucket);
  call.response.writeHead(204).end();
}

async function putBucketLifecycleConfiguration(call: Call): Promise<void> {
  const property = lifecycleProperty(fromXml(await receiveDocument(call.request), 'LifecycleConfiguration'));
  const bucket = call.bucket();
  let lifecycle: BucketConfiguration['lifecycle'];
  try {
    lifecycle = lifecycleOf(property, bucket.name);
  } catch (error) {
    throw s3Error('InvalidRequest', (error as Error).message);
  }
  configure(bucket, { lifecycle });
  call.response.writeHead(200, { 'content-length': 0 }).end();
}

function deleteBucketLifecycle(call: Call): void {
  configure(call.bucket(), { lifecycle: [] });
  call.response.writeHead(204).end();
}

export const operations: Readonly<Record<string, (call: Call) => Promise<void> | void>> = {
  CreateBucket: createBucket,
  DeleteBucket: deleteBucket,
  PutBucketVersioning: putBucketVersioning,
  PutObjectLockConfiguration: putObjectLockConfiguration,
  PutBucketReplication: putBucketReplication,
  PutBucketPolicy: putBucketPolicy,
  DeleteBucketPolicy: deleteBucketPolicy,
  PutBucketLifecycleConfiguration: putBucketLifecycleConfiguration,
  DeleteBucketLifecycle: deleteBucketLifecycle,
  DeleteBucketReplication: deleteBucketReplication,
};
