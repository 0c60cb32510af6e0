import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';
import { serverAccount } from '../../lib/cli/rehearse/unprivileged.ts';
import { findMajor } from '../../lib/cli/setup/postgres-binaries.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { type PhysicalRuns, startPhysicalRuns } from '../local/physical-runs.ts';

/**
 * Base backups with a tablespace, and recoveries of them, on each major that speaks the protocol in a way of its own: 13
 * (words, one stream for each archive, no compression), 15 (tested in test/scenarios), 17 and 18 (increments). The
 * servers and their pg_verifybackup, pg_combinebackup and pg_waldump are the judges.
 */
const majors = [13, 17, 18] as const;
const absent = majors.filter((major) => findMajor(major) === undefined);
const missing = `MISSING JUDGE: PostgreSQL ${absent.join(' and ')}. Try: node bin/majors.mjs`;

if (absent.length > 0) {
  test(missing, ({ skip }) => {
    if (process.env.CI) throw new Error(missing);
    console.warn(`\n${missing}\n`);
    skip();
  });
}

const rows =
  'SELECT count(*)::int AS rows, coalesce(max(id), 0)::int AS last, sum(hashtext(l::text))::text AS hash FROM ledger l';
const apart = `SELECT count(*)::int AS rows, sum(hashtext(a::text))::text AS hash,
  (SELECT spcname FROM pg_tablespace s JOIN pg_class c ON c.reltablespace = s.oid WHERE c.relname = 'apart') AS place FROM apart a`;

describe.each(majors.filter((major) => !absent.includes(major)))('PostgreSQL %i', (major) => {
  let runs: PhysicalRuns;
  let tablespace: string;
  let full: PhysicalManifest;
  const ask = async (sql: string) => (await runs.client.query(sql)).rows[0];

  const summarizeWal = async (to: 'on' | 'off') => {
    await runs.client.query(`ALTER SYSTEM SET summarize_wal = ${to}`);
    await runs.client.query('SELECT pg_reload_conf()');
    await vi.waitFor(async () => expect((await ask('SHOW summarize_wal')).summarize_wal).toBe(to), 20_000);
  };

  beforeAll(async () => {
    const bin = findMajor(major)?.bin as string;
    runs = await startPhysicalRuns({ bin });
    if (major >= 17) await summarizeWal('on');
    tablespace = join(runs.directory, 'source', 'a=b');
    mkdirSync(tablespace, { mode: 0o700 });
    const account = serverAccount();
    if (account) chownSync(tablespace, account.uid, account.gid);
    await runs.client.query(`CREATE TABLESPACE apart LOCATION '${tablespace}'`);
    await runs.client.query('CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)');
    await runs.client.query('CREATE TABLE apart (id int, text text) TABLESPACE apart');
    await runs.client.query("INSERT INTO ledger (text) SELECT repeat('a', 200) FROM generate_series(1, 20000)");
    await runs.client.query("INSERT INTO apart SELECT i, repeat('b', 200) FROM generate_series(1, 20000) i");
    full = await runs.backup();
  });
  afterAll(() => runs?.close());

  it('is backed up with its tablespace, and recovered to what it was', async () => {
    expect(full.tablespaces).toEqual([{ oid: expect.any(String), location: tablespace }]);
    expect(full.objects.map(({ role }) => role).sort()).toEqual(['backup-manifest', 'base', 'tablespace']);
    await runs.client.query("INSERT INTO ledger (text) VALUES ('after the backup')");
    await runs.client.query("UPDATE apart SET text = 'changed' WHERE id = 7");
    await runs.ship();
    const expected = [await ask(rows), await ask(apart)];
    const { failure, answers } = await runs.recover({ kind: 'latest' }, [rows, apart]);
    expect(failure).toBeUndefined();
    expect(answers).toEqual(expected);
    expect(answers?.[1]).toMatchObject({ rows: 20_000, place: 'apart' });
  });

  it('is recovered to a time between two commits', async () => {
    const before = await ask(rows);
    const { at } = await ask(
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`,
    );
    await runs.client.query('DELETE FROM ledger WHERE id % 2 = 0');
    await runs.ship();
    const { failure, answers } = await runs.recover({ kind: 'time', time: at }, [rows]);
    expect(failure).toBeUndefined();
    expect(answers).toEqual([before]);
  });

  it('is compared with its source in a restore test, and a write that its disk has lost is found', async () => {
    await runs.client.query('CREATE TABLE quiet (id int PRIMARY KEY, text text)');
    await runs.client.query("INSERT INTO quiet SELECT i, 'untouched' FROM generate_series(1, 500) i");
    await runs.client.query('CREATE UNLOGGED TABLE scratch AS SELECT 1 AS gone');
    await runs.backup();
    await runs.capture();
    await runs.client.query("INSERT INTO ledger (text) VALUES ('after the capture')");
    await runs.ship();
    const sound = await runs.restoreTest();
    expect(sound.failure).toBeUndefined();
    expect(sound.proof).toMatchObject({ level: 'L5' });
    expect(sound.proof?.tables).toBeGreaterThanOrEqual(3);

    // A disk that has lost a write: the server goes on with the page in its memory, the base backup copies the old
    // one, and its checksum is right.
    const settle = 'VACUUM (FREEZE) quiet; CHECKPOINT';
    for (const statement of settle.split('; ')) await runs.client.query(statement);
    const { path } = await ask("SELECT pg_relation_filepath('quiet') AS path");
    const file = join(runs.directory, 'source', 'data', path);
    const before = readFileSync(file);
    await runs.client.query("UPDATE quiet SET text = 'changed' WHERE id = 250");
    for (const statement of settle.split('; ')) await runs.client.query(statement);
    expect(readFileSync(file).equals(before)).toBe(false);
    writeFileSync(file, before);
    await runs.backup();
    await runs.capture();
    await runs.ship();
    const { failure } = await runs.restoreTest();
    expect(failure?.error).toBe('ContentDiffers');
    expect(failure?.message).toContain('public.quiet differs from the snapshot');
    expect(failure?.message).not.toContain('public.ledger');
    await runs.client.query('DROP TABLE quiet, scratch');
  });

  describe.runIf(major >= 17)('with increments', () => {
    let chain: PhysicalManifest[];

    it('takes no more than what has changed', async () => {
      const first = await runs.backup(full);
      await runs.client.query("INSERT INTO ledger (text) VALUES ('after the first')");
      await runs.client.query("INSERT INTO apart VALUES (0, 'after the first')");
      const second = await runs.backup(first);
      await runs.client.query("INSERT INTO ledger (text) VALUES ('after the second')");
      await runs.ship();
      chain = [full, first, second];
      expect([first, second].map(({ parentId, fullBecause }) => [parentId, fullBecause])).toEqual([
        [full.id, null],
        [first.id, null],
      ]);
      expect(bytesOf(second)).toBeLessThan(bytesOf(full) / 5);
    });

    it('is recovered from all of them, tablespace and all', async () => {
      const expected = [await ask(rows), await ask(apart)];
      const { failure, answers, recovered } = await runs.recover({ kind: 'latest' }, [rows, apart]);
      expect(failure).toBeUndefined();
      expect(recovered?.backup.id).toBe(chain[2]?.id);
      expect(answers).toEqual(expected);
    });

    it('takes a full backup where the server lacks summaries, and says why', async () => {
      await summarizeWal('off');
      const third = await runs.backup(chain[2]);
      expect(third.parentId).toBeNull();
      expect(third.fullBecause).toMatch(/summar/i);
      expect(bytesOf(third)).toBeGreaterThan(bytesOf(full) / 2);
    });

    it('is refused before anything is fetched when an ancestor has lost an object, or is gone', async () => {
      const [, first, second] = chain as [PhysicalManifest, PhysicalManifest, PhysicalManifest];
      const lsn = second.stopLsn;
      const target = { kind: 'lsn', lsn };
      const object = first.objects.find(({ role }) => role === 'base');
      await runs.store.s3.send(
        new DeleteObjectCommand({ Bucket: runs.store.bucket, Key: object?.key, VersionId: object?.versionId }),
      );
      const calls = runs.s3.calls.length;
      const { failure } = await runs.recover(target);
      expect(failure?.error).toBe('AncestorMissing');
      expect(failure?.message).toContain(`builds on ${first.id}: ${object?.key} does not exist`);
      const read = runs.s3.calls.slice(calls).filter(({ operation }) => operation === 'GetObject');
      expect(read.filter(({ input }) => /tar\.zst$/.test(String(input.Key)))).toEqual([]);
    });
  });
});

const bytesOf = ({ objects }: PhysicalManifest): number => objects.reduce((sum, { bytes }) => sum + bytes, 0);
