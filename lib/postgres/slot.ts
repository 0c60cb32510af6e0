import type { Client } from 'pg';
import { parseLsn } from '../core/lsn.ts';

/** A physical replication slot, as pg_replication_slots shows it to any role (PostgreSQL 13 and newer). */
export interface Slot {
  readonly active: boolean;
  /** reserved, extended, unreserved, or lost: whether the server keeps the WAL that the slot needs. */
  readonly walStatus: string;
  readonly restartLsn: bigint | undefined;
  readonly retainedBytes: number;
  /** Bytes that can be written before it may be lost; null when nothing limits it. */
  readonly safeBytes: number | null;
  readonly isHealthy: boolean;
}

/** Undefined when there is no such slot. */
export async function readSlot(client: Client, slot: string): Promise<Slot | undefined> {
  const { rows } = await client.query(
    `SELECT active, coalesce(wal_status, 'reserved') AS "walStatus", restart_lsn::text AS "restartLsn",
            coalesce(pg_catalog.pg_wal_lsn_diff(
              CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                   ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), 0)::float8 AS "retainedBytes",
            safe_wal_size::float8 AS "safeBytes"
       FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND slot_type = 'physical'`,
    [slot],
  );
  const [row] = rows;
  if (!row) return undefined;
  return {
    ...row,
    restartLsn: row.restartLsn === null ? undefined : parseLsn(row.restartLsn),
    isHealthy: row.walStatus === 'reserved' || row.walStatus === 'extended',
  };
}
