import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { type Connection, connect } from './connection.ts';

/** One exported snapshot: every part of a backup, and its fingerprint, see the database exactly as it was here. */
export interface Snapshot {
  /** For `SET TRANSACTION SNAPSHOT` and pg_dump's `--snapshot`. */
  readonly id: string;
  readonly lsn: string;
  /** RFC 3339 with microseconds, by the server's clock. */
  readonly takenAt: string;
  /** Proves that the snapshot still stands; throws `SourceChanged` when its session is gone. */
  check(): Promise<void>;
  release(): Promise<void>;
}

/** Formats a timestamptz expression as RFC 3339 in UTC with microseconds. */
export const rfc3339 = (expression: string): string =>
  `to_char(${expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** Exports a snapshot; it lives as long as the connection that it is taken on. */
export async function exportSnapshot(connection: Connection): Promise<Snapshot> {
  const client = await connect(connection, 'pgdr snapshot');
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await client.query(`
      SELECT pg_export_snapshot() AS id,
             CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn,
             ${rfc3339('clock_timestamp()')} AS "takenAt"`);
    return {
      ...(rows[0] as { id: string; lsn: string; takenAt: string }),
      async check() {
        try {
          await client.query('SELECT 1');
        } catch (cause) {
          throw new PgdrError('SourceChanged', `the snapshot's session was lost: ${(cause as Error).message}`, {
            cause,
          });
        }
      },
      release: () => client.end().catch(() => {}),
    };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/** Opens another connection that sees the same snapshot. */
export async function joinSnapshot(connection: Connection, snapshotId: string): Promise<Client> {
  const client = await connect(connection, 'pgdr fingerprint');
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query(`SET TRANSACTION SNAPSHOT ${client.escapeLiteral(snapshotId)}`);
    return client;
  } catch (cause) {
    await client.end().catch(() => {});
    throw new PgdrError('SourceChanged', `the snapshot could not be joined: ${(cause as Error).message}`, { cause });
  }
}
