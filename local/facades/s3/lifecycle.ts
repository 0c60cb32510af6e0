import { AwsError, type World } from '../../facade.ts';
import { applies } from './filters.ts';
import { type LifecycleRule, storageClassOrder, type Transition } from './lifecycle-rules.ts';
import { assertDeletable } from './lock.ts';
import { type Bucket, s3Error, type Version } from './model.ts';
import { forgetUpload } from './multipart.ts';
import { changeVersion, deleteCurrent, deleteVersion, exclusively } from './store.ts';
import { current } from './versions.ts';

const day = 86_400_000;
/** What S3 does not move by default: it would cost more than it saves. */
const smallestTransition = 128 * 1024;

export interface Lifecycle {
  /** Settles when every run that has begun has ended. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Carries out the buckets' rules at every midnight (UTC) of the cloud's clock, as S3 does, and once at the start. */
export function startLifecycle(world: World, buckets: ReadonlyMap<string, Bucket>): Lifecycle {
  let runs: Promise<void> = Promise.resolve();
  let cancel = () => {};

  const runAt = (now: number): void => {
    runs = runs.then(async () => {
      for (const bucket of buckets.values()) {
        await applyLifecycle(bucket, now).catch((error) =>
          world.note(`s3: the lifecycle of ${bucket.name}: ${(error as Error).stack}`),
        );
      }
    });
  };
  const schedule = (): void => {
    const now = world.clock.now();
    cancel = world.clock.timer(nextMidnight(now) - now, () => {
      schedule();
      runAt(world.now());
    });
  };
  schedule();
  return {
    settled: () => runs,
    close: async () => {
      cancel();
      await runs;
    },
  };
}

const nextMidnight = (time: number): number => (Math.floor(time / day) + 1) * day;

/** S3 counts days from the event and rounds up to the next midnight. */
const dueAt = (since: number, days: number): number => Math.ceil((since + days * day) / day) * day;

const isDue = (since: number, { days, date }: { days?: number; date?: number }, now: number): boolean =>
  (days !== undefined && dueAt(since, days) <= now) || (date !== undefined && date <= now);

/** Does what a bucket's rules ask for at this time. What a lock protects stays, and is looked at again the next day. */
export async function applyLifecycle(bucket: Bucket, now: number): Promise<void> {
  const rules = bucket.configuration.lifecycle;
  if (rules.length === 0) return;
  await abortUploads(bucket, rules, now);
  for (const key of [...bucket.keys]) {
    // From the oldest on: what is current stays current while those below it go.
    const versions = [...(bucket.versions.get(key) ?? [])];
    for (let i = versions.length - 1; i >= 0; i--) {
      const version = versions[i] as Version;
      // S3 leaves alone what has not been copied yet.
      if (version.replication === 'PENDING' || version.replication === 'FAILED') continue;
      const matching = rules.filter((rule) => applies(rule.filter, version));
      if (i > 0) await treatNoncurrent(bucket, matching, version, i, (versions[i - 1] as Version).lastModified, now);
      else await treatCurrent(bucket, matching, version, now);
    }
  }
}

async function abortUploads(bucket: Bucket, rules: readonly LifecycleRule[], now: number): Promise<void> {
  for (const { uploadId, key, initiated } of [...bucket.uploads.values()]) {
    const due = rules.some(
      ({ filter, abortAfterDays: days }) =>
        days !== undefined && key.startsWith(filter.prefix) && isDue(initiated, { days }, now),
    );
    if (!due) continue;
    await exclusively(bucket, `upload:${uploadId}`, async () => {
      // It may have been completed while this waited.
      if (bucket.uploads.has(uploadId)) await forgetUpload(bucket, uploadId);
    });
  }
}

async function treatCurrent(bucket: Bucket, rules: readonly LifecycleRule[], version: Version, now: number) {
  const { key, versionId, lastModified } = version;
  const assertCurrent = () => {
    if (current(bucket, key)?.versionId !== versionId) throw overtaken();
  };
  if (version.deleteMarker) {
    const expired = rules.some(({ expiration }) => expiration?.marker || isDue(lastModified, expiration ?? {}, now));
    const alone = () => bucket.versions.get(key)?.length === 1;
    if (expired && alone()) {
      await attempt(() =>
        deleteVersion(bucket, key, versionId, () => {
          assertCurrent();
          if (!alone()) throw overtaken();
        }),
      );
    }
    return;
  }
  if (rules.some(({ expiration }) => expiration && isDue(lastModified, expiration, now))) {
    await attempt(() => deleteCurrent(bucket, key, now, assertCurrent));
    return;
  }
  const due = rules.flatMap((rule) =>
    rule.transitions.filter(
      (transition) => worthwhile(rule, transition, version) && isDue(lastModified, transition, now),
    ),
  );
  await move(bucket, version, due);
}

/** `rank`: 1 for the newest noncurrent version; `since`: when it was superseded. */
async function treatNoncurrent(
  bucket: Bucket,
  rules: readonly LifecycleRule[],
  version: Version,
  rank: number,
  since: number,
  now: number,
) {
  const { key, versionId } = version;
  const expired = rules.some(
    ({ noncurrent }) => noncurrent && rank > noncurrent.keep && isDue(since, { days: noncurrent.days }, now),
  );
  if (expired) {
    await attempt(() =>
      deleteVersion(bucket, key, versionId, (found) => {
        if (current(bucket, key) === found) throw overtaken();
        assertDeletable(found, false, now);
      }),
    );
    return;
  }
  if (version.deleteMarker) return;
  const due = rules.flatMap((rule) =>
    rule.noncurrentTransitions.filter(
      (transition) => rank > transition.keep && worthwhile(rule, transition, version) && isDue(since, transition, now),
    ),
  );
  await move(bucket, version, due);
}

function worthwhile(
  { filter, smallestTransition: rule }: LifecycleRule,
  { storageClass }: Transition,
  { size }: Version,
) {
  if (size >= smallestTransition || filter.largerThan !== undefined || filter.smallerThan !== undefined) return true;
  return rule === 'varies' && (storageClass === 'GLACIER' || storageClass === 'DEEP_ARCHIVE');
}

/** Into the coldest class that is due. The bytes stay where they are; only the class, and so who may read, changes. */
async function move(bucket: Bucket, version: Version, due: readonly Transition[]): Promise<void> {
  const rankOf = (storageClass: string) => storageClassOrder.indexOf(storageClass);
  const coldest = due.reduce((rank, { storageClass }) => Math.max(rank, rankOf(storageClass)), -1);
  const storageClass = storageClassOrder[coldest];
  if (storageClass === undefined || coldest <= rankOf(version.storageClass)) return;
  await attempt(() =>
    changeVersion(bucket, version.key, version.versionId, (found) => ({ ...found, storageClass, restored: undefined })),
  );
}

const overtaken = () => s3Error('OperationAborted', 'A conflicting operation came first', 409);

/** Locks and what happened meanwhile are reasons to leave an object for another day. */
async function attempt(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
  }
}
