import type { Client } from 'pg';
import { rfc3339 } from './snapshot.ts';

/**
 * Whatever writes to a source every few seconds leaves its time here, in the column `at`; what a restore brings back
 * shows up to when writes were kept.
 */
export const heartbeatTable = 'pgdr.heartbeat';

/** Time of the newest heartbeat, RFC 3339; null when the database has no such table, or nothing in it. */
export async function readHeartbeat(client: Client): Promise<string | null> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_catalog.pg_attribute
      WHERE attrelid = pg_catalog.to_regclass($1) AND attname = 'at' AND atttypid = 'pg_catalog.timestamptz'::regtype`,
    [heartbeatTable],
  );
  if (rowCount === 0) return null;
  const { rows } = await client.query(`SELECT ${rfc3339('max("at")')} AS at FROM ${heartbeatTable}`);
  return rows[0].at;
}

/**
 * Commits a transaction, so that an idle server's WAL goes on and its times stay reachable. Assigning a transaction id
 * writes a commit record and needs no privilege at all. Where the role may update {@link heartbeatTable}, the time goes
 * there too. The commit does not wait for standbys, of which the receiver itself may be one.
 */
export async function writeHeartbeat(client: Client): Promise<void> {
  await client.query('SET synchronous_commit = local');
  const { rows } = await client.query(
    `SELECT pg_catalog.pg_current_xact_id()::text,
            coalesce((SELECT pg_catalog.has_column_privilege(attrelid, attnum, 'UPDATE')
                             AND pg_catalog.has_table_privilege(attrelid, 'SELECT')
                        FROM pg_catalog.pg_attribute
                       WHERE attrelid = pg_catalog.to_regclass($1) AND attname = 'at'
                         AND atttypid = 'pg_catalog.timestamptz'::regtype), false) AS writable`,
    [heartbeatTable],
  );
  if (!rows[0].writable) return;
  // One row is kept fresh rather than one added each time.
  await client.query(`
    UPDATE ${heartbeatTable} SET "at" = pg_catalog.clock_timestamp()
     WHERE ctid = (SELECT ctid FROM ${heartbeatTable} ORDER BY "at" DESC NULLS LAST LIMIT 1)`);
}
