import { paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { listBaseBackups } from '../aws/base-backups.ts';
import { alarmSubjectOf, capabilitiesOf } from '../config/capabilities.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import type { PhysicalConfig } from '../config/physical-schema.ts';
import type { Config } from '../config/schema.ts';
import { alarmsFor, type Capability } from '../core/alarms.ts';
import { type CostLine, costOf, type Measured, type SharedSubject, sharedCost, totalOf } from '../core/cost.ts';
import type { WalSubject } from '../core/cost-continuous.ts';
import { walPrefix } from '../core/keys.ts';
import { type Emitter, metricCatalogue } from '../core/metrics.ts';
import { platformAlarms } from '../core/platform-alarms.ts';
import type { Prices } from '../core/prices.ts';
import type { RestoreTestFact } from '../core/recoverability.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import { trendOf } from '../core/trend.ts';
import type { Clients } from './clients.ts';
import type { ListedBackup } from './commands/list.ts';

/** Costs are estimated from the configuration and the means of what was measured lately. */

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** From listed backups (newest first) and restore tests. A task is taken to run as long as its bytes need at 50 MB/s. */
export function measuredOf(backups: readonly ListedBackup[], tests: readonly RestoreTestFact[]): Measured | undefined {
  const lately = backups.filter(({ verifiedAt }) => verifiedAt !== null).slice(0, 7);
  if (lately.length === 0) return undefined;
  const rawBytes = mean(lately.map((one) => one.rawBytes));
  return {
    backupBytes: mean(lately.map(({ bytes }) => bytes)),
    newBytes: mean(lately.map(({ bytes }) => bytes)),
    objects: mean(lately.map(({ objects }) => objects)),
    backupSeconds: rawBytes / 50e6,
    restoreTestSeconds: tests.length > 0 ? mean(tests.map(({ rtoSeconds }) => rtoSeconds)) : rawBytes / 20e6,
  };
}

export interface Forecast {
  readonly days: number;
  readonly backupBytes: number;
  readonly monthUsd: number;
}

/** What a month costs later if backups go on growing, or shrinking, as they did. */
export function forecastOf(
  backups: readonly ListedBackup[],
  measured: Measured,
  days: number,
  costOf: (measured: Measured) => readonly CostLine[],
): Forecast {
  const sizes = backups
    .filter(({ verifiedAt, problem }) => verifiedAt !== null && !problem)
    .map(({ takenAt, bytes }) => ({ at: Date.parse(takenAt), value: bytes }))
    .toReversed();
  const grown = (trendOf(sizes).perDay * days) / Math.max(1, measured.backupBytes);
  const factor = Math.max(0, 1 + grown);
  const later = {
    ...measured,
    backupBytes: measured.backupBytes * factor,
    newBytes: measured.newBytes * factor,
    backupSeconds: measured.backupSeconds * factor,
    restoreTestSeconds: measured.restoreTestSeconds * factor,
  };
  return { days, backupBytes: later.backupBytes, monthUsd: totalOf(costOf(later)) };
}

export function costLines(config: Config, database: DatabaseConfig, measured: Measured, prices: Prices): CostLine[] {
  const alarms = alarmsFor(alarmSubjectOf(database), capabilitiesOf(database));
  return costOf(
    {
      backupIntervalSeconds: database.logical.schedule.longestIntervalSeconds,
      restoreTestIntervalSeconds: database.restoreTest.schedule.longestIntervalSeconds,
      backupTask: database.logical.task,
      restoreTask: database.restoreTest.task,
      dailySeconds: database.retention.daily ?? config.retention.daily,
      lockSeconds: config.retention.lock.duration,
      monthlySeconds: database.retention.monthly ?? config.retention.monthly,
      failsOver: database.failover !== undefined,
      ...(database.physical && { wal: walSubjectOf(database.physical, config.retention.lock.duration) }),
      replicated: capabilitiesOf(database).has('replication'),
      alarms: alarms.length,
      compositeAlarms: alarms.filter(
        ({ explainedBy = [], explainedByPlatform = [] }) => explainedBy.length + explainedByPlatform.length > 0,
      ).length,
      metrics: metricsOf(capabilitiesOf(database)),
    },
    measured,
    prices,
  );
}

const walSubjectOf = ({ base, receiver, pitrWindow, walChunkInterval }: PhysicalConfig, lock: number): WalSubject => ({
  receiver: { ...receiver, storageGiB: 20 },
  baseTask: base.task,
  baseIntervalSeconds: base.schedule.longestIntervalSeconds,
  pitrSeconds: pitrWindow,
  lockSeconds: lock,
  chunkSeconds: walChunkInterval,
});

/** What base backups and WAL take; empty where there are none yet. */
export async function measuredWal(clients: Clients, settings: DatabaseSettings): Promise<Partial<Measured>> {
  const store = { s3: clients.s3, bucket: settings.bucket };
  const bases = await listBaseBackups(store, settings);
  let [bytes, from, to] = [0, Number.POSITIVE_INFINITY, 0];
  const pages = paginateListObjectsV2({ client: clients.s3 }, { Bucket: settings.bucket, Prefix: walPrefix(settings) });
  for await (const { Contents = [] } of pages) {
    for (const { Size = 0, LastModified } of Contents) {
      bytes += Size;
      from = Math.min(from, Number(LastModified));
      to = Math.max(to, Number(LastModified));
    }
  }
  const seconds = ({ startedAt, stoppedAt }: (typeof bases)[number]) =>
    (Date.parse(stoppedAt) - Date.parse(startedAt)) / 1000;
  return {
    ...(bases.length > 0 && {
      baseBytes: mean(bases.map(({ objects }) => objects.reduce((sum, one) => sum + one.bytes, 0))),
      baseSeconds: mean(bases.map(seconds)),
    }),
    // An hour at least: a minute of WAL says nothing of a day.
    ...(to - from >= 3_600_000 && { walBytesPerDay: bytes / ((to - from) / 86_400_000) }),
  };
}

/** How many metrics a database with these capabilities has. */
function metricsOf(capabilities: ReadonlySet<Capability>): number {
  const emitters = new Set<Emitter>(['backup', 'restore test', 'posture']);
  if (capabilities.has('wal')) emitters.add('WAL receiver').add('WAL audit').add('base backup');
  if (capabilities.has('standby')) emitters.add('probe').add('failover');
  return Object.values(metricCatalogue).filter(({ by }) => by.some((emitter) => emitters.has(emitter))).length;
}

/** Five services with an interface endpoint in two zones, in each region whose VPC pgdr makes. */
export const sharedOf = ({ network }: Config): SharedSubject => ({
  endpoints: [network.primary, network.recovery].filter(({ kind }) => kind === 'made').length * 10,
  platformAlarms: Object.keys(platformAlarms).length + 5,
});

export const sharedLines = (config: Config, prices: Prices): CostLine[] => sharedCost(sharedOf(config), prices);
