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
