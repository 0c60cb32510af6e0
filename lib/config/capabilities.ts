import type { AlarmSubject, Capability } from '../core/alarms.ts';
import type { DatabaseConfig } from './database-schema.ts';

/** What is configured for a database, as far as alarms and dashboards ask. */
export function capabilitiesOf({ failover }: DatabaseConfig): ReadonlySet<Capability> {
  return new Set<Capability>(['backups', 'replication', ...(failover ? (['standby'] as const) : [])]);
}

/** What the thresholds of a database's alarms are made from. */
export const alarmSubjectOf = ({ logical, restoreTest, objectives }: DatabaseConfig): AlarmSubject => ({
  backupIntervalSeconds: logical.schedule.longestIntervalSeconds,
  restoreTestIntervalSeconds: restoreTest.schedule.longestIntervalSeconds,
  objectives: { rpoSeconds: objectives.rpo, rtoSeconds: objectives.rto },
});
