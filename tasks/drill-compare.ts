import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, QueryResult } from 'pg';
import { PgdrError } from '../lib/core/errors.ts';
import type { TableFingerprint } from '../lib/core/manifest.ts';
import { ownSchemas } from '../lib/postgres/catalog.ts';
import { fingerprintOf, pinned } from '../lib/postgres/fingerprint.ts';

/** The content of a standby at one position of its WAL, and that of a replica that was promoted there. */

export interface Standstill {
  readonly lsn: string;
  /** Milliseconds since the epoch of this task's clock. */
  readonly at: number;
}

const looks = 2_000;
/** Reads of a standby hold its replay back when they meet a vacuum: they end after this time, wherever they are. */
const budgetSeconds = 300;

/**
 * Opens a transaction whose snapshot is the state at one position. Replay goes on while it is looked at, so that it is
 * looked at until it stands still around a snapshot, with nothing received that is not replayed.
 *
 * @throws PgdrError DrillNotPossible
 */
export async function standStill(client: Client, signal: AbortSignal): Promise<Standstill> {
  for (const setting of pinned) await client.query(setting);
  const position = 'SELECT pg_last_wal_replay_lsn()::text AS replayed, pg_last_wal_receive_lsn()::text AS received';
  for (let look = 0; look < looks; look++) {
    signal.throwIfAborted();
    const at = Date.now();
    // One message, so that nothing but the server's own work lies between the three.
    const results = (await client.query(
      `${position}; COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${position}`,
    )) as unknown as QueryResult[];
    const [before, after] = [results[0]?.rows[0], results[3]?.rows[0]];
    // Without a stream, from an archive say, there is no word of what was received.
    if (before.replayed === after.replayed && (after.received ?? after.replayed) === after.replayed)
      return { lsn: after.replayed, at };
    await client.query('ROLLBACK');
    await sleep(5);
  }
  throw new PgdrError('DrillNotPossible', `replay on the standby never stood still in ${looks} looks`);
}

export interface Reference {
  /** Smallest table first. */
  readonly tables: readonly TableFingerprint[];
  readonly of: number;
  /** Why not all of them are there. */
  readonly note: string | null;
}

/** Fingerprints in the transaction of {@link standStill}, as many as the time allows, and ends it. */
export async function takeReference(client: Client, signal: AbortSignal): Promise<Reference> {
  const deadline = performance.now() + budgetSeconds * 1000;
  const tables: TableFingerprint[] = [];
  let of = 0;
  try {
    // An unlogged table is empty on a standby, and cannot be read there.
    const { rows } = await client.query(`
      SELECT format('%I.%I', n.nspname, c.relname) AS relation
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND ${ownSchemas} ORDER BY pg_table_size(c.oid), 1`);
    of = rows.length;
    for (const { relation } of rows) {
      signal.throwIfAborted();
      const left = Math.round(deadline - performance.now());
      if (left <= 0) return { tables, of, note: `${budgetSeconds} s of reading the standby were over` };
      await client.query(`SET LOCAL statement_timeout = ${left}`);
      tables.push(await fingerprintOf(async (query) => (await client.query(query)).rows, relation));
    }
    return { tables, of, note: null };
  } catch (error) {
    signal.throwIfAborted();
    return { tables, of, note: `the standby ended it: ${(error as Error).message}` };
  } finally {
    await client.end().catch(() => {});
  }
}

/** Compares the replica with what the standby showed. @throws PgdrError ContentDiffers with the first table that differs */
export async function compareWith({ tables }: Reference, client: Client, signal: AbortSignal): Promise<void> {
  for (const setting of pinned) await client.query(setting);
  for (const expected of tables) {
    signal.throwIfAborted();
    const found = await fingerprintOf(async (query) => (await client.query(query)).rows, expected.relation);
    if (JSON.stringify(found) === JSON.stringify(expected)) continue;
    throw new PgdrError(
      'ContentDiffers',
      `${expected.relation}: ${found.rows} rows on the promoted replica, ${expected.rows} on the standby at the same position, and other hashes`,
    );
  }
}
