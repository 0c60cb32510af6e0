import type { MetricName } from './metrics.ts';

/** How well a database is covered, from what lies in the bucket: pure, for the function and the command line alike. */

export interface VerifiedBackup {
  readonly id: string;
  /** RFC 3339: when the last byte of it had been read back. */
  readonly verifiedAt: string;
  readonly bytes: number;
}

export interface RestoreTestResult {
  readonly id: string;
  /** RFC 3339: when its report was stored. */
  readonly at: string;
  readonly holds: boolean;
  readonly rtoSeconds: number;
  readonly rpoSeconds: number;
}

export interface CopyState {
  /** RFC 3339: when the object was stored here. */
  readonly storedAt: string;
  /** S3's word; undefined where nothing replicates. */
  readonly replication: 'PENDING' | 'COMPLETED' | 'FAILED' | 'REPLICA' | undefined;
}

export interface PostureFacts {
  readonly now: Date;
  /** Verified backups of the time looked at, oldest first. */
  readonly backups: readonly VerifiedBackup[];
  /** The latest restore tests, oldest first. */
  readonly restoreTests: readonly RestoreTestResult[];
  /** Of the newest backups. */
  readonly copies: readonly CopyState[];
  readonly taskImageAt: string | undefined;
  /** WAL carries the window further than backups alone; then the audit of WAL publishes it. */
  readonly hasWal: boolean;
}

/** Sizes are compared with those of a week. */
const week = 7 * 86_400;
/** Less than two earlier sizes are no mean. */
const leastForMean = 2;
/** Seconds of a restore that differ from day to day by themselves. */
const noise = 60;

export function postureMetrics(facts: PostureFacts): ReadonlyMap<MetricName, number> {
  const { now, backups, restoreTests } = facts;
  const metrics = new Map<MetricName, number>();
  const since = (time: string) => Math.max(0, (now.getTime() - Date.parse(time)) / 1000);
  const newest = backups.at(-1);
  const oldest = backups[0];
  if (newest && oldest) {
    metrics.set('BackupAgeSeconds', since(newest.verifiedAt));
    metrics.set(
      'StoredBytes',
      backups.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    const deviation = sizeDeviation(backups);
    if (deviation !== undefined) metrics.set('BackupSizeDeviationPercent', Math.abs(deviation));
    if (!facts.hasWal)
      metrics.set('RecoverableWindowSeconds', (Date.parse(newest.verifiedAt) - Date.parse(oldest.verifiedAt)) / 1000);
  }
  const lastHeld = restoreTests.findLast(({ holds }) => holds)?.at ?? oldest?.verifiedAt;
  if (lastHeld !== undefined) metrics.set('RestoreTestAgeSeconds', since(lastHeld));
  const [before, last] = restoreTests.filter(({ holds }) => holds).slice(-2);
  if (before && last) {
    metrics.set('RtoRegressionPercent', regression(before.rtoSeconds, last.rtoSeconds));
    metrics.set('RpoRegressionPercent', regression(before.rpoSeconds, last.rpoSeconds));
  }
  const lag = copyLag(facts.copies, since);
  if (lag !== undefined) metrics.set('RegionalCopyLagSeconds', lag);
  if (facts.taskImageAt !== undefined) metrics.set('TaskImageAgeSeconds', since(facts.taskImageAt));
  return metrics;
}

/** Percent by which the newest size differs from the mean of the week before it; undefined without a mean. */
export function sizeDeviation(backups: readonly VerifiedBackup[]): number | undefined {
  const newest = backups.at(-1);
  if (!newest) return undefined;
  const from = Date.parse(newest.verifiedAt) - week * 1000;
  const earlier = backups.slice(0, -1).filter(({ verifiedAt }) => Date.parse(verifiedAt) >= from);
  const mean = earlier.reduce((sum, { bytes }) => sum + bytes, 0) / earlier.length;
  return earlier.length < leastForMean || mean === 0 ? undefined : (newest.bytes / mean - 1) * 100;
}

const regression = (before: number, last: number): number =>
  last - before < noise || before <= 0 ? 0 : (last / before - 1) * 100;

/** Seconds; undefined where nothing replicates. A copy that failed counts as one that is not there. */
function copyLag(copies: readonly CopyState[], since: (time: string) => number): number | undefined {
  const sources = copies.filter(({ replication }) => replication !== undefined && replication !== 'REPLICA');
  if (sources.length === 0) return undefined;
  return Math.max(
    0,
    ...sources.filter(({ replication }) => replication !== 'COMPLETED').map(({ storedAt }) => since(storedAt)),
  );
}
