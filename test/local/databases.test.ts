import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { latestProof, readBackup } from '../../lib/cli/evidence.ts';
import { databaseOf, type Manifest } from '../../lib/core/manifest.ts';
import type { BackupSummary } from '../../lib/core/outcome.ts';
import type { DatabaseSettings } from '../../lib/core/settings.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** Several databases of one server in one backup. */

let runs: RestoreRuns;
let first: BackupSummary;
const manifestOf = async ({ manifestKey }: BackupSummary) => {
  const { clients, settings } = runs.rehearsal;
  return (await readBackup(clients, settings.bucket, manifestKey)).manifest as Manifest;
};
const withDatabases = (databases: DatabaseSettings['logical']['databases']): DatabaseSettings => {
  const { settings } = runs.rehearsal;
  const assertions = [{ database: 'Bill "ing', sql: 'SELECT count(*) = 30000 FROM customers' }];
  return { ...settings, logical: { ...settings.logical, databases }, restoreTest: { assertions } };
};

beforeAll(async () => {
  runs = await startRestoreRuns('databases');
  await runs.setTarget();
  await runs.sql('postgres', 'CREATE DATABASE "Bill ""ing"');
  // A table of the same name as one of `orders`, with other columns.
  await runs.sql(
    'Bill "ing',
    `CREATE TABLE customers (number int PRIMARY KEY, note text);
     INSERT INTO customers SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, 30000) g;
     ALTER DATABASE "Bill ""ing" SET work_mem = '7MB'`,
  );
  await runs.setSettings(withDatabases(['orders', 'Bill "ing']));
  first = await runs.backup();
});
afterAll(() => runs?.stop());

describe('a backup of two databases', () => {
  it('holds each with its own snapshot, objects and settings, and the roles once', async () => {
    expect(first.databases).toEqual(['orders', 'Bill "ing']);
    const manifest = await manifestOf(first);
    const [orders, billing] = manifest.databases;
    expect(orders?.snapshot.takenAt.localeCompare(billing?.snapshot.takenAt ?? '')).toBe(-1);
    expect(billing?.settings).toContainEqual({ scope: 'database', name: 'work_mem', value: '7MB' });
    expect(orders?.settings).not.toContainEqual(expect.objectContaining({ value: '7MB' }));
    expect(manifest.objects.filter(({ role }) => role === 'globals')).toHaveLength(1);
    const own = databaseOf(manifest, 'Bill "ing')?.objects.map(({ key }) => key.split(first.id)[1]);
    expect(own?.sort()).toEqual([
      '/2/fingerprint.json',
      '/2/main.dump.zst',
      '/2/schema.dump.zst',
      '/2/tables/1.dump.zst',
      '/globals.sql.zst',
    ]);
  });

  it('is restored and proven as a whole, with the assertion of one of them', async () => {
    const { clients, settings } = runs.rehearsal;
    const run = await runs.rehearsal.run('restore-test');
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.proof).toMatchObject({ databases: ['orders', 'Bill "ing'], level: 'L5' });
    const report = (await latestProof(clients, settings, run.startedAt))?.report;
    expect(report?.databases.map(({ name, level }) => [name, level])).toEqual([
      ['orders', 'L5'],
      ['Bill "ing', 'L5'],
    ]);
    const assertions = report?.databases.map(({ checks }) => checks.find(({ name }) => name === 'assertions')?.detail);
    expect(assertions).toEqual(['none are configured', '1 hold']);
  });

  it('wants to know which one to restore, and reads that one alone', async () => {
    expect((await runs.restore({ toDatabase: 'copy' })).failure).toMatchObject({ error: 'RequestInvalid' });
    const unknown = await runs.restore({ toDatabase: 'copy', fromDatabase: 'orders2' });
    expect(unknown.failure).toMatchObject({ error: 'DatabaseNotInBackup' });
    const { summary, failure, read } = await runs.restore({ toDatabase: 'copy', fromDatabase: 'Bill "ing' });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ fromDatabase: 'Bill "ing', rows: '30000' });
    expect(read.filter((key) => key.startsWith('1/'))).toEqual([]);
    expect(await runs.sql('copy', 'SHOW work_mem')).toEqual([{ work_mem: '7MB' }]);
  });

  it('refers to what has not changed, database by database', async () => {
    await runs.sql('Bill "ing', `UPDATE customers SET note = 'x' WHERE number = 1`);
    const second = await manifestOf(await runs.backup());
    const stored = second.objects.filter(({ role, key }) => role === 'table' && key.includes(second.id));
    expect(stored.map(({ database, relation }) => [database, relation])).toEqual([['Bill "ing', 'public.customers']]);
  });
});

it('a database that is not there fails by its name', async () => {
  await runs.setSettings(withDatabases(['orders', 'nowhere']));
  const { failure } = await runs.rehearsal.run('backup-logical');
  expect(failure).toMatchObject({ error: 'DatabaseMissing', message: expect.stringContaining('nowhere') });
});

it("'all' takes every database that is no template", async () => {
  await runs.setSettings(withDatabases('all'));
  expect((await runs.backup()).databases).toEqual(['Bill "ing', 'copy', 'orders', 'postgres']);
});
