import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { AwsError, type Permission, type World } from '../../facade.ts';
import { assumedRoleArn } from '../../identity.ts';
import { keyUse } from '../../runtime/key-use.ts';
import type { MetricSample } from '../../runtime/metric.ts';
import { lockOfReplica } from './lock.ts';
import type { Bucket, Destination, Encryption, ReplicationStatus, Replicator, Version } from './model.ts';
import { type Pending, replicationMetrics } from './replication-metrics.ts';
import { type ReplicationRule, targetsOf } from './replication-rules.ts';
import { changeVersion, commitReplica, dataFile, incomingFile } from './store.ts';
import { findVersion } from './versions.ts';

/** How long after its write a version is copied at the earliest, and how long an attempt waits for the next one. */
const usualLagMs = 200;
const retryMs = 1000;

export interface Replication extends Replicator {
  /** Milliseconds of the cloud's clock between a write and its copy. May be changed at any time. */
  lagMs: number;
  /** How many versions have not arrived everywhere yet. */
  backlog(bucket?: string): number;
  /** Settles when nothing is left to copy; while a destination cannot be reached it waits for that. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

type DestinationOf = (name: string) => Destination | undefined;

interface Job {
  readonly bucket: Bucket;
  readonly key: string;
  readonly versionId: string;
  readonly since: number;
  due: number;
}

/**
 * Copies versions between buckets after the fact, in the order in which they were written, as the role of the
 * source's configuration. What that role may not do, or what the destination refuses, is FAILED; what could not be
 * reached or was throttled is tried again.
 */
export function startReplication(
  world: World,
  destinationOf: DestinationOf,
  onMetric: (sample: MetricSample) => void,
): Replication {
  const jobs = new Set<Job>();
  const bucketOf = (name: string) => destinationOf(name)?.bucket;
  const metrics = replicationMetrics(world, bucketOf, pending, onMetric);
  let working: Promise<void> | undefined;
  let cancel = () => {};
  let closed = false;

  const wake = (): void => {
    cancel();
    if (closed || working || jobs.size === 0) return;
    let due = Number.POSITIVE_INFINITY;
    for (const job of jobs) due = Math.min(due, job.due);
    cancel = world.clock.timer(due - world.clock.now(), () => {
      working = work().finally(() => {
        working = undefined;
        wake();
      });
    });
  };

  function pending(): Pending[] {
    return [...jobs].flatMap(({ bucket, key, versionId, since }) => {
      const version = findVersion(bucket, key, versionId);
      return version ? [{ bucket, version, since }] : [];
    });
  }

  async function work(): Promise<void> {
    // Versions of one key keep their order: when one has to wait, so do the later ones.
    const waiting = new Set<string>();
    for (const job of [...jobs]) {
      if (closed) return;
      const name = `${job.bucket.name}/${job.key}`;
      if (waiting.has(name)) continue;
      const later = job.due > world.clock.now() || !(await carryOut(job));
      if (later) waiting.add(name);
      else jobs.delete(job);
    }
  }

  /** Whether the job is done with. */
  async function carryOut(job: Job): Promise<boolean> {
    const version = findVersion(job.bucket, job.key, job.versionId);
    if (!version || bucketOf(job.bucket.name) !== job.bucket) return true;
    let status: ReplicationStatus = 'COMPLETED';
    for (const rule of targetsOf(job.bucket, version)) {
      try {
        await copyTo(world, destinationOf, job.bucket, version, rule);
      } catch (error) {
        if (!(error instanceof AwsError)) world.note(`s3: replication of ${job.key}: ${(error as Error).stack}`);
        if (error instanceof Unreachable || (error instanceof AwsError && error.status >= 500)) {
          job.due = world.clock.now() + retryMs;
          return false;
        }
        status = 'FAILED';
        metrics.failed(job.bucket, rule);
      }
    }
    await changeVersion(job.bucket, job.key, job.versionId, (found) => ({ ...found, replication: status })).catch(
      (error) => {
        // Deleted meanwhile: there is nothing to tell a status of.
        if (!(error instanceof AwsError)) throw error;
      },
    );
    return true;
  }

  const replication: Replication = {
    lagMs: usualLagMs,
    wants: (bucket, written) => targetsOf(bucket, written).length > 0,
    enqueue(bucket, { key, versionId }) {
      const since = world.clock.now();
      jobs.add({ bucket, key, versionId, since, due: since + replication.lagMs });
      metrics.begin(bucket);
      wake();
    },
    backlog: (bucket) => [...jobs].filter((job) => bucket === undefined || job.bucket.name === bucket).length,
    async settled() {
      while (jobs.size > 0 && !closed) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    async close() {
      closed = true;
      cancel();
      metrics.close();
      await working;
    },
  };
  return replication;
}

class Unreachable extends Error {}

async function copyTo(
  world: World,
  destinationOf: DestinationOf,
  bucket: Bucket,
  version: Version,
  rule: ReplicationRule,
): Promise<void> {
  const destination = destinationOf(rule.destination);
  if (!destination) throw new AwsError('NoSuchBucket', `There is no bucket ${rule.destination}`, 404);
  const { bucket: target, world: there } = destination;
  if (!world.outages.reachable(bucket.region, target.region, 's3')) throw new Unreachable();
  if (there !== world && there.outages.state(target.region) !== 'up') throw new Unreachable();
  if (target.configuration.versioning !== 'Enabled') {
    throw new AwsError('InvalidRequest', `Versioning of ${target.name} is not enabled`);
  }
  const encryption = encryptionAt(target, version, rule);
  await authorize(world, bucket, destination, version, encryption, rule);
  const lock = lockOfReplica(version.lock, target, world.now());
  const tags = version.tags;
  if (findVersion(target, version.key, version.versionId)) {
    // Only what may change of a version can have changed.
    await changeVersion(target, version.key, version.versionId, (found) => ({ ...found, lock, tags }));
    return;
  }
  const source = dataFile(bucket, version);
  const file = source && incomingFile(target);
  try {
    // Where the file system can, bytes are shared until one side changes.
    if (source && file) await copyFile(source, file, constants.COPYFILE_FICLONE);
    const kms = encryption.algorithm.startsWith('aws:kms');
    await commitReplica(
      target,
      {
        ...version,
        encryption,
        lock,
        storageClass: rule.storageClass ?? version.storageClass,
        restored: undefined,
        // Under KMS an entity tag tells nothing about the content, and no two are the same.
        ...(kms && !version.deleteMarker && { etag: randomTag(version.etag) }),
        replication: 'REPLICA',
      },
      file,
    );
  } catch (error) {
    if (file) await rm(file, { force: true });
    throw error;
  }
}

const randomTag = (etag: string): string => randomBytes(16).toString('hex') + etag.slice(32);

function encryptionAt(target: Bucket, version: Version, rule: ReplicationRule): Encryption {
  if (!version.encryption.algorithm.startsWith('aws:kms') || rule.replicaKey === undefined) return version.encryption;
  const { algorithm } = version.encryption;
  return { algorithm, keyArn: rule.replicaKey, bucketKey: target.configuration.encryption.bucketKey };
}

/** The calls that S3 makes as the role, as IAM sees them: one in each region, and in each account. */
async function authorize(
  world: World,
  bucket: Bucket,
  { bucket: target, world: there }: Destination,
  version: Version,
  encryption: Encryption,
  { overridesOwner }: ReplicationRule,
) {
  const roleArn = bucket.configuration.replication?.role as string;
  const source = `arn:aws:s3:::${bucket.name}`;
  world.assertTrusted(roleArn, { service: 's3.amazonaws.com', region: bucket.region, sourceArn: source });
  const { key, versionId, deleteMarker, tags } = version;
  const call = (account: World, at: Bucket, operation: string, needs: Permission[]) =>
    account.authorize({
      service: 's3',
      region: at.region,
      operation,
      action: `s3:${operation}`,
      resource: `arn:aws:s3:::${at.name}/${key}`,
      needs,
      principal: { arn: assumedRoleArn(roleArn, 's3-replication'), roleArn, region: bucket.region },
      input: { Bucket: at.name, Key: key, VersionId: versionId },
    });
  const onObject = (at: Bucket, ...actions: string[]): Permission[] =>
    actions.map((action) => ({ action: `s3:${action}`, resource: `arn:aws:s3:::${at.name}/${key}` }));
  const withKey = (at: Bucket, { keyArn, bucketKey }: Encryption, operation: string): Permission[] => {
    if (keyArn === undefined) return [];
    const arn = bucketKey ? `arn:aws:s3:::${at.name}` : `arn:aws:s3:::${at.name}/${key}`;
    const use = { service: 's3', region: at.region, key: keyArn, encryptionContext: { 'aws:s3:arn': arn } };
    return keyUse(world, use, operation);
  };
  await call(world, bucket, 'GetObjectVersionForReplication', [
    { action: 's3:GetReplicationConfiguration', resource: source },
    { action: 's3:ListBucket', resource: source },
    ...(deleteMarker ? [] : onObject(bucket, 'GetObjectVersionForReplication', 'GetObjectVersionAcl')),
    ...(tags ? onObject(bucket, 'GetObjectVersionTagging') : []),
    ...(deleteMarker ? [] : withKey(bucket, version.encryption, 'Decrypt')),
  ]);
  await call(there, target, deleteMarker ? 'ReplicateDelete' : 'ReplicateObject', [
    ...onObject(target, deleteMarker ? 'ReplicateDelete' : 'ReplicateObject'),
    ...(tags ? onObject(target, 'ReplicateTags') : []),
    ...(overridesOwner ? onObject(target, 'ObjectOwnerOverrideToBucketOwner') : []),
    ...(deleteMarker ? [] : withKey(target, encryption, 'Encrypt')),
  ]);
}
