import { alarmSubjectOf, capabilitiesOf } from '../config/capabilities.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import type { Config } from '../config/schema.ts';
import { alarmsFor, type Capability } from '../core/alarms.ts';
import { type CostLine, costOf, type Measured, type SharedSubject, sharedCost } from '../core/cost.ts';
import { type Emitter, metricCatalogue } from '../core/metrics.ts';
import { platformAlarms } from '../core/platform-alarms.ts';
import type { Prices } from '../core/prices.ts';
import type { RestoreTestFact } from '../core/recoverability.ts';
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

export function costLines(config: Config, database: DatabaseConfig, measured: Measured, prices: Prices): CostLine[] {
  const alarms = alarmsFor(alarmSubjectOf(database), capabilitiesOf(database));
  return costOf(
    {
      backupIntervalSeconds: database.logical.schedule.longestIntervalSeconds,
      restoreTestIntervalSeconds: database.restoreTest.schedule.longestIntervalSeconds,
      backupTask: database.logical.task,
      restoreTask: database.restoreTest.task,
      keptSeconds: config.retention.lock.duration,
      replicated: capabilitiesOf(database).has('replication'),
      alarms: alarms.length,
      compositeAlarms: alarms.filter(({ explainedBy }) => explainedBy?.length).length,
      metrics: metricsOf(capabilitiesOf(database)),
    },
    measured,
    prices,
  );
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
