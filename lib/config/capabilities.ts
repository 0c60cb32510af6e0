import type { AlarmSubject, Capability } from '../core/alarms.ts';
import type { DatabaseConfig } from './database-schema.ts';

/** What is configured for a database, as far as alarms and dashboards ask. */
export function capabilitiesOf({ physical, failover }: DatabaseConfig): ReadonlySet<Capability> {
  const capabilities = new Set<Capability>(['backups', 'replication']);
  if (physical) capabilities.add('wal');
  if (failover) capabilities.add('standby');
  return capabilities;
}

/** What the thresholds of a database's alarms are made from. */
export const alarmSubjectOf = ({ logical, restoreTest, objectives }: DatabaseConfig): AlarmSubject => ({
  backupIntervalSeconds: logical.schedule.longestIntervalSeconds,
  restoreTestIntervalSeconds: restoreTest.schedule.longestIntervalSeconds,
  objectives: { rpoSeconds: objectives.rpo, rtoSeconds: objectives.rto },
});
