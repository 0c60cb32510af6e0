import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { putOnce } from '../../lib/aws/object-store.ts';
import { walHistoryKey, walSegmentKey } from '../../lib/core/keys.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { type PhysicalRuns, startPhysicalRuns } from '../local/physical-runs.ts';
import { giveFolder, ownFolder, type Postgres, postgresBin, servePostgres } from './postgres.ts';

/**
 * A copy of the primary was promoted while the old one went on writing: two histories that part at one point of the WAL.
 * From a base backup of before, each of them is recovered, and neither gets a row of the other.
 */

let runs: PhysicalRuns;
let fork: Postgres;
let promoted: pg.Client;
let backup: PhysicalManifest;
const points: Record<string, { readonly lsn: string; readonly at: string; readonly rows: readonly string[] }> = {};

const clock = `to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const content = 'SELECT array_agg(side ORDER BY id) AS rows FROM ledger';

/** Commits a row, and notes where the WAL and the clock are behind it. */
async function write(client: pg.Client, side: string): Promise<void> {
  await client.query('INSERT INTO ledger (side) VALUES ($1)', [side]);
  const { rows } = await client.query(
    `SELECT pg_current_wal_flush_lsn()::text AS lsn, ${clock} AS at, (${content}) AS rows`,
  );
  points[side] = rows[0];
  // A commit behind it, by which a recovery sees that it has arrived.
  await client.query('SELECT pg_current_xact_id()');
}

/** Stores what the promoted server has of its own timeline, as the receiver would. */
async function shipFork(): Promise<void> {
  await promoted.query('SELECT pg_switch_wal()');
  await promoted.query('CHECKPOINT');
  const { rows } = await promoted.query('SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS current');
  const folder = join(fork.data, 'pg_wal');
  const history = readFileSync(join(folder, '00000002.history'));
  await putOnce(runs.store, walHistoryKey(runs.lineage, 2), history);
  for (const name of readdirSync(folder)) {
    if (!/^00000002[0-9A-F]{16}$/.test(name) || name >= rows[0].current) continue;
    const body = await promisify(zstdCompress)(readFileSync(join(folder, name)));
    await putOnce(runs.store, walSegmentKey(runs.lineage, name), body);
  }
}

beforeAll(async () => {
  runs = await startPhysicalRuns({ bin: postgresBin() });
  await runs.client.query('CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY, side text)');
  await write(runs.client, 'before the backup');
  backup = await runs.backup();
  await write(runs.client, 'before the fork');
  await runs.ship();

  const folder = ownFolder(join(runs.directory, 'fork'));
  const { host, port, superuser } = runs.server;
  execFileSync(
    join(postgresBin(), 'pg_basebackup'),
    ['-h', host, '-p', String(port), '-U', superuser.user, '-D', join(folder, 'data'), '-c', 'fast', '--no-sync'],
    { env: { PATH: process.env.PATH, PGPASSWORD: superuser.password } },
  );
  writeFileSync(join(folder, 'data', 'recovery.signal'), '');
  writeFileSync(join(folder, 'data', 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
  giveFolder(join(folder, 'data'));
  fork = await servePostgres(folder, { restore_command: 'false', wal_keep_size: '1GB' });
  await fork.start();
  promoted = await fork.connect();
  await vi.waitFor(async () => {
    const { rows } = await promoted.query('SELECT pg_is_in_recovery() AS recovering');
    expect(rows[0].recovering).toBe(false);
  }, 20_000);

  await write(runs.client, 'old');
  await write(promoted, 'new');
  await write(runs.client, 'old again');
  await write(promoted, 'new again');
  await runs.ship();
  await shipFork();
});
afterAll(async () => {
  await promoted?.end().catch(() => {});
  await fork?.stop('immediate');
  await runs?.close();
});

const recovered = async (target: object) => {
  const { failure, answers, recovered } = await runs.recover(target, [content]);
  expect(failure).toBeUndefined();
  expect(recovered?.backup.id).toBe(backup.id);
  return { timeline: recovered?.timeline, rows: answers?.[0]?.rows };
};

describe('from a base backup of before the fork', () => {
  it.each([
    ['before the fork', 2],
    ['new', 2],
    ['new again', 2],
    ['old', 1],
    ['old again', 1],
  ])('a time behind "%s" is recovered on timeline %i', async (side, timeline) => {
    const point = points[side];
    const at = { kind: 'time', time: point?.at, ...(timeline === 1 && { timeline }) };
    expect(await recovered(at)).toEqual({ timeline, rows: point?.rows });
  });

  it('an LSN of the history that was left is another state than the same one of the newest', async () => {
    const lsn = points['old again']?.lsn;
    const old = await recovered({ kind: 'lsn', lsn, timeline: 1 });
    expect(old.rows).toEqual(points['old again']?.rows);
    const newest = await recovered({ kind: 'lsn', lsn });
    expect(newest.timeline).toBe(2);
    expect(newest.rows).not.toContain('old');
  });

  it('the latest point is that of the newest history', async () => {
    expect(await recovered({ kind: 'latest' })).toEqual({ timeline: 2, rows: points['new again']?.rows });
  });
});
