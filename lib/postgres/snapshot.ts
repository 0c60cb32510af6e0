import type { Client, QueryConfig } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { type Connection, connect } from './connection.ts';

/** One exported snapshot: every part of a backup, and its fingerprint, see the database exactly as it was here. */
export interface Snapshot {
  /** For `SET TRANSACTION SNAPSHOT` and pg_dump's `--snapshot`. */
  readonly id: string;
  /** Read right after the snapshot was taken: what it shows was written before. */
  readonly lsn: string;
  /** Which transactions it shows, as pg_current_snapshot writes it: `xmin:xmax:those under way between them`. */
  readonly transactions: string;
  /** RFC 3339 with microseconds, by the server's clock. */
  readonly takenAt: string;
  /** Proves that the snapshot still stands; throws `SourceChanged`, with what became of session and server, when not. */
  check(): Promise<void>;
  /** Whether the server has restarted since the snapshot was taken, in words. */
  serverSince(): Promise<string>;
  release(): Promise<void>;
}

/** Formats a timestamptz expression as RFC 3339 in UTC with microseconds. */
export const rfc3339 = (expression: string): string =>
  `to_char(${expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** A session that does not answer so simple a question in this time is as good as gone, milliseconds. */
const patience = 10_000;

/** Exports a snapshot; it lives as long as the connection that it is taken on. */
export async function exportSnapshot(connection: Connection): Promise<Snapshot> {
  const client = await connect(connection, 'pgdr snapshot');
  // The server's own words come when it ends the session, which may be long before anybody asks.
  let lastWords: string | undefined;
  client.on('error', ({ message }) => {
    lastWords ??= message;
  });
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await client.query(`
      SELECT pg_export_snapshot() AS id, pg_current_snapshot()::text AS transactions,
             CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn,
             ${rfc3339('clock_timestamp()')} AS "takenAt", ${serverStart} AS "serverStart"`);
    const { serverStart: start, ...taken } = rows[0];
    const serverSince = () => compareStart(connection, start);
    return {
      ...(taken as Pick<Snapshot, 'id' | 'lsn' | 'transactions' | 'takenAt'>),
      serverSince,
      async check() {
        try {
          await client.query({ text: 'SELECT 1', query_timeout: patience } as QueryConfig);
        } catch (cause) {
          const why = lastWords ?? (cause as Error).message;
          const message = `the session that held the snapshot was lost (${why}); ${await serverSince()}`;
          throw new PgdrError('SourceChanged', message, { cause });
        }
      },
      release: () => client.end().catch(() => {}),
    };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

const serverStart = rfc3339('pg_postmaster_start_time()');

async function compareStart(connection: Connection, before: string): Promise<string> {
  try {
    const client = await connect(connection, 'pgdr preflight', { timeoutSeconds: patience / 1000 });
    try {
      const { rows } = await client.query(`SELECT ${serverStart} AS start`);
      const { start } = rows[0];
      return start === before
        ? `the server answers and has run since ${start}, so the session alone was ended`
        : `the server was restarted, or another took its place: the one that answers has run since ${start}`;
    } finally {
      await client.end().catch(() => {});
    }
  } catch (error) {
    return `the server does not answer now: ${(error as Error).message}`;
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
