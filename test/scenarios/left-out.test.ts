import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBackup } from '../../lib/cli/evidence.ts';
import { everything, parseSelection, type Selection } from '../../lib/core/selection.ts';
import { connect } from '../../lib/postgres/connection.ts';
import { checkContent } from '../../lib/postgres/preflight.ts';
import { resolveSelection } from '../../lib/postgres/selection.ts';
import { type RestoreRuns, startRestoreRuns } from '../local/restore-runs.ts';
import { makePostgres, ownFolder, type Postgres, password } from './postgres.ts';

/** What a dump would leave out is found before the first byte, and named; what nobody allowed to be lost ends the backup. */

describe('each kind', () => {
  const folder = mkdtempSync(join(tmpdir(), 'left-out-'));
  let server: Postgres;

  beforeAll(async () => {
    server = await makePostgres(ownFolder(folder));
    appendFileSync(join(server.data, 'postgresql.conf'), "wal_level = 'logical'\nallow_in_place_tablespaces = on\n");
    await server.start();
    for (const statement of [
      `CREATE ROLE reader LOGIN PASSWORD '${password}' IN ROLE pg_read_all_data`,
      'CREATE TABLE hidden (id int)',
      'ALTER TABLE hidden ENABLE ROW LEVEL SECURITY',
      'CREATE UNLOGGED TABLE scratch (id int)',
      "CREATE SUBSCRIPTION theirs CONNECTION 'host=db.invalid' PUBLICATION p WITH (connect = false, slot_name = NONE)",
      "SELECT pg_create_logical_replication_slot('reading', 'pgoutput')",
      "CREATE FUNCTION pg_catalog.ours() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE TABLESPACE fast LOCATION ''",
      'CREATE FOREIGN DATA WRAPPER nowhere',
      'CREATE SERVER far FOREIGN DATA WRAPPER nowhere',
      'CREATE FOREIGN TABLE remote (id int) SERVER far',
      'GRANT SELECT ON remote TO reader',
      "ALTER ROLE ALL SET work_mem = '5MB'",
    ]) {
      await server.query(statement);
    }
  });
  afterAll(async () => {
    await server?.stop('immediate');
    rmSync(folder, { recursive: true, force: true });
  });

  const check = async (allowSkipped: readonly string[], selection: Selection = everything, username = 'reader') => {
    const { port } = server;
    const client = await connect(
      { host: '127.0.0.1', port, username, password, dbname: 'postgres', sslmode: 'disable' },
      'preflight',
    );
    try {
      const found = await checkContent(client, 'postgres', await resolveSelection(client, selection), allowSkipped);
      return found.map(({ what }) => what);
    } finally {
      await client.end();
    }
  };
  /** Lost by the nature of a dump, whoever makes it. */
  const always = [
    'logical slot reading',
    'function pg_catalog.ours',
    'tablespace fast',
    'public.remote',
    'ALTER ROLE ALL SET work_mem=5MB',
    'passwords of roles',
  ];
  const withoutRows = (...rows: string[]) => parseSelection({ exclude: { rows } });

  it('is named, and fails a backup that is not allowed to go without it', async () => {
    await expect(check([])).rejects.toMatchObject({
      name: 'BackupIncomplete',
      message: expect.stringMatching(/^row-security in postgres: .*public\.hidden$/),
    });
    await expect(check(['row-security'])).rejects.toMatchObject({
      name: 'BackupIncomplete',
      message: expect.stringMatching(/^subscription in postgres: .*: theirs$/),
    });
    expect(await check(['row-security', 'subscription'])).toEqual(['public.hidden', 'theirs', ...always]);
  });

  it('is no loss where its rows are not wanted, or for a role that sees everything', async () => {
    expect(await check(['subscription'], withoutRows('public.hidden'))).toEqual(['theirs', ...always]);
    expect(await check([], everything, 'postgres')).toEqual(always);
  });

  it('of a standby are the rows of unlogged tables', async () => {
    await server.stop();
    writeFileSync(join(server.data, 'standby.signal'), '', { mode: 0o644 });
    await server.start();
    await expect(check([], everything, 'postgres')).rejects.toMatchObject({
      name: 'BackupIncomplete',
      message: expect.stringMatching(/^unlogged-table in postgres: .*: public\.scratch$/),
    });
    expect(await check([], withoutRows('public.scratch'), 'postgres')).toEqual(always);
  });
});

describe('a backup that may go without some rows', () => {
  let runs: RestoreRuns;
  beforeAll(async () => {
    runs = await startRestoreRuns('left-out', 1_000_000);
  });
  afterAll(() => runs?.stop());

  it('holds those that its role may see, says so, and is proven', async () => {
    await runs.sql(
      'orders',
      `CREATE TABLE tenants (id int PRIMARY KEY, mine bool);
       INSERT INTO tenants SELECT g, g % 4 = 0 FROM generate_series(1, 100) g;
       ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
       CREATE POLICY own ON tenants USING (mine)`,
    );
    const { rehearsal } = runs;
    const refused = await rehearsal.run('backup-logical');
    expect(refused.failure).toMatchObject({
      error: 'BackupIncomplete',
      message: expect.stringMatching(/public\.tenants/),
    });

    const { settings, clients } = rehearsal;
    const logical = { ...settings.logical, allowSkipped: ['row-security' as const] };
    await runs.setSettings({ ...settings, logical });
    const { manifestKey } = await runs.backup();
    const { manifest } = await readBackup(clients, settings.bucket, manifestKey);
    const [database] = manifest?.databases ?? [];
    expect(database?.tables.find(({ relation }) => relation === 'public.tenants')?.rows).toBe('25');
    expect(manifest?.skipped).toContainEqual(expect.objectContaining({ what: 'public.tenants' }));
    const { outcome, failure } = await rehearsal.run('restore-test');
    expect(failure).toBeUndefined();
    expect(outcome?.proof?.level).toBe('L5');
  });
});
