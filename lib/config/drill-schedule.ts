import { isTight } from '../core/alarms.ts';
import { alarmSubjectOf } from './capabilities.ts';
import type { DatabaseConfig } from './database-schema.ts';

/** When a database is drilled with: as configured, else each quarter, and each week where minutes count. */
export function drillSchedule(database: DatabaseConfig): string {
  const configured = database.failover?.drill.schedule?.expression;
  return configured ?? (isTight(alarmSubjectOf(database)) ? 'cron(0 5 ? * SUN *)' : 'cron(0 5 1 1,4,7,10 ? *)');
}
