import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../lib/cli/rehearse/assembly.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { region, rehearsalConfig, restoreSecret } from '../../lib/cli/rehearse/rehearsal.ts';
import type { BackupSummary } from '../../lib/core/outcome.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** Restores by the deployed workflow, each judged by what PostgreSQL then says. */

let runs: RestoreRuns;
let backup: BackupSummary;
const commentOf = async (name: string): Promise<string | undefined> =>
  (
    await runs.sql(
      'postgres',
      `SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database WHERE datname = '${name}'`,
    )
  )[0]?.c;
const one = async (databaseName: string, query: string) => Object.values((await runs.sql(databaseName, query))[0])[0];

beforeAll(async () => {
  runs = await startRestoreRuns('restore', 8_000_000);
  await runs.sql(
    'orders',
    `CREATE TABLE accounts (id serial PRIMARY KEY, name text NOT NULL CHECK (name <> ''), owner bigint REFERENCES customers);
     CREATE INDEX accounts_name ON accounts (lower(name));
     COMMENT ON INDEX accounts_name IS 'found by name';
     COMMENT ON COLUMN accounts.owner IS 'whose';
     ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON accounts TO shop USING (name = current_user);
     CREATE TRIGGER accounts_touch BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
     GRANT SELECT, UPDATE (name) ON accounts TO shop;
     INSERT INTO accounts (name) SELECT 'account ' || g FROM generate_series(1, 500) g;
     CREATE TABLE journal (id bigserial PRIMARY KEY, line text);
     INSERT INTO journal (line) SELECT repeat(md5(g::text), 4) FROM generate_series(1, 15000) g;
     ALTER ROLE pgdr_backup BYPASSRLS;
     ALTER DATABASE orders CONNECTION LIMIT 40`,
  );
  backup = await runs.backup();
});
afterAll(() => runs?.stop());

/** All that belongs to the table, as the catalogue has it. */
const describeAccounts = (databaseName: string, schema = 'public') =>
  runs.sql(
    databaseName,
    `SELECT * FROM (
       SELECT 'constraint' AS kind, conname::text AS name, replace(pg_get_constraintdef(oid), '${schema}.', '') AS text
         FROM pg_constraint WHERE conrelid = '${schema}.accounts'::regclass AND contype <> 'n'
       UNION ALL SELECT 'index', c.relname, obj_description(c.oid, 'pg_class')
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = '${schema}.accounts'::regclass
       UNION ALL SELECT 'trigger', tgname, tgenabled::text FROM pg_trigger
        WHERE tgrelid = '${schema}.accounts'::regclass AND NOT tgisinternal
       UNION ALL SELECT 'policy', polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = '${schema}.accounts'::regclass
       UNION ALL SELECT 'table', relacl::text, relrowsecurity::text FROM pg_class WHERE oid = '${schema}.accounts'::regclass
       UNION ALL SELECT 'column', attname, coalesce(attacl::text, '') || coalesce(col_description(attrelid, attnum), '')
         FROM pg_attribute WHERE attrelid = '${schema}.accounts'::regclass AND attnum > 0
       UNION ALL SELECT 'sequence', last_value::text, is_called::text FROM ${schema}.accounts_id_seq) d ORDER BY 1, 2, 3`,
  );

describe('a restore of everything', () => {
  it('makes a database of its own, complete, and says so', async () => {
    const { summary, failure } = await runs.restore({});
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({
      backupId: backup.id,
      scope: 'database',
      tables: backup.tables,
      omitted: [],
      replaced: false,
    });
    expect(summary?.toDatabase).toMatch(/^orders_restored_\d{8}_\d{6}$/);
    const name = summary?.toDatabase ?? '';
    expect(await commentOf(name)).toMatch(`pgdr: restored from ${backup.id}`);
    expect(await one(name, 'SHOW intervalstyle')).toBe('iso_8601');
    expect(await one('postgres', `SELECT datconnlimit FROM pg_database WHERE datname = '${name}'`)).toBe(40);
    expect(await describeAccounts(name)).toEqual(await describeAccounts('orders'));
    expect(await one(name, `SELECT relispopulated FROM pg_class WHERE relname = 'revenue_by_country'`)).toBe(true);
  });

  it('does not touch a database that holds data, unless its name was typed', async () => {
    await runs.sql('postgres', 'CREATE DATABASE precious');
    await runs.sql('precious', 'CREATE TABLE kept AS SELECT 1 AS x');
    for (const overwrite of [null, 'orders', 'Precious']) {
      const { failure, read } = await runs.restore({ toDatabase: 'precious', overwrite });
      expect(failure).toMatchObject({ error: 'RestoreTargetExists', step: 'Restore' });
      expect(failure?.message).toContain('database precious');
      // Refused before any data was read.
      expect(read.filter((key) => /main|tables/.test(key))).toEqual([]);
    }
    expect(await one('precious', 'SELECT x FROM kept')).toBe(1);
  });

  it('replaces it when its name was typed, while it is in use', async () => {
    const client = await runs.rehearsal.source.server.connect('precious');
    const { summary, failure } = await runs.restore({ toDatabase: 'precious', overwrite: 'precious' });
    await client.end().catch(() => {});
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ toDatabase: 'precious', replaced: true });
    expect(await one('precious', `SELECT to_regclass('kept') IS NULL`)).toBe(true);
    expect(await describeAccounts('precious')).toEqual(await describeAccounts('orders'));
    const left = await runs.sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE '%pgdr%'`);
    expect(left).toEqual([]);
  });

  it('uses an empty database that was made for it', async () => {
    await runs.sql('postgres', 'CREATE DATABASE prepared');
    expect((await runs.restore({ toDatabase: 'prepared' })).summary?.toDatabase).toBe('prepared');
    expect(await one('prepared', 'SELECT count(*)::int FROM accounts')).toBe(500);
  });

  it('brings definitions alone when asked', async () => {
    const { summary, read } = await runs.restore({ toDatabase: 'bare', schemaOnly: true });
    expect(summary).toMatchObject({ schemaOnly: true, tables: 0, rows: '0' });
    expect(read).toEqual(['1/schema.dump.zst', 'globals.sql.zst', 'manifest.json']);
    expect(await one('bare', 'SELECT count(*)::int FROM accounts')).toBe(0);
    expect(await one('bare', 'SELECT count(*)::int FROM pg_policy')).toBe(1);
  });
});

describe('a restore of tables', () => {
  it('brings one table complete, and reads nothing but its own object', async () => {
    const { summary, read, failure } = await runs.restore({ tables: ['public.journal'], toDatabase: 'some' });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ scope: 'tables', tables: 1, omitted: [] });
    const data = read.filter((key) => !/^(manifest|globals|1\/schema)/.test(key));
    expect(data).toHaveLength(1);
    expect(data[0]).toMatch(/^1\/tables\/\d+\.dump\.zst$/);
    const counts = `SELECT (SELECT count(*)::int FROM journal) AS rows, (SELECT last_value FROM journal_id_seq) AS seq`;
    expect(await runs.sql('some', counts)).toEqual(await runs.sql('orders', counts));
    expect(await one('some', `SELECT to_regclass('orders') IS NULL`)).toBe(true);
  });

  it('puts a table that was dropped back where it was, with its foreign key to a table that is there', async () => {
    const before = await describeAccounts('orders');
    await runs.sql('orders', 'DROP TABLE accounts; UPDATE products SET weight = 4711 WHERE id = 1');
    const { summary, failure } = await runs.restore({ tables: ['public.accounts'], toDatabase: 'orders' });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ toDatabase: 'orders', rows: '500', omitted: [], replaced: false });
    expect(await describeAccounts('orders')).toEqual(before);
    // What happened since the backup stays.
    expect(await one('orders', 'SELECT weight FROM products WHERE id = 1')).toBe(4711);
    expect(await commentOf('orders')).toBe('The shop of the rehearsal');
  });

  it('replaces a table only where the name of the database was typed', async () => {
    await runs.sql('orders', `DELETE FROM accounts WHERE id > 10; INSERT INTO accounts (name) VALUES ('new')`);
    const refused = await runs.restore({ tables: ['public.accounts'], toDatabase: 'orders' });
    expect(refused.failure).toMatchObject({ error: 'RestoreTargetExists' });
    expect(refused.failure?.message).toContain('table public.accounts');
    expect(await one('orders', 'SELECT count(*)::int FROM accounts')).toBe(11);

    const { summary } = await runs.restore({ tables: ['public.accounts'], overwrite: 'orders' });
    expect(summary).toMatchObject({ replaced: true, rows: '500' });
    expect(await one('orders', 'SELECT count(*)::int FROM accounts')).toBe(500);
  });

  it('rolls everything back when something depends on what it would replace', async () => {
    await runs.sql('orders', 'CREATE VIEW account_names AS SELECT name FROM accounts');
    const { failure } = await runs.restore({ tables: ['public.accounts', 'public.audit_log'], overwrite: 'orders' });
    expect(failure).toMatchObject({ error: 'RestoreRolledBack' });
    expect(failure?.message).toMatch(/cannot drop .* DETAIL: view account_names depends on table accounts/);
    expect(await one('orders', 'SELECT count(*)::int FROM account_names')).toBe(500);
    await runs.sql('orders', 'DROP VIEW account_names');
  });

  it('attaches a partition to the table that it was part of', async () => {
    const rows = 'SELECT count(*)::int FROM events';
    const before = await one('orders', rows);
    await runs.sql('orders', 'DROP TABLE events_2026_02');
    const { failure } = await runs.restore({ tables: ['public.events_2026_02'], toDatabase: 'orders' });
    expect(failure).toBeUndefined();
    expect(await one('orders', rows)).toBe(before);
    const attached = `SELECT count(*)::int FROM pg_inherits WHERE inhrelid IN ('events_2026_02'::regclass, 'events_2026_02_pkey'::regclass)`;
    expect(await one('orders', attached)).toBe(2);
  });

  it('takes the partitions of a table with it', async () => {
    const { summary } = await runs.restore({ tables: ['public.events'], toDatabase: 'parts' });
    expect(summary?.tables).toBe(4);
    // The next value is none that was used.
    await runs.sql('parts', `INSERT INTO events (at, kind) VALUES ('2026-01-02', 'x')`);
    expect(await one('parts', 'SELECT count(*) = count(DISTINCT id) FROM events')).toBe(true);
  });

  it('says what cannot come back alone', async () => {
    const { summary } = await runs.restore({ tables: ['public.accounts'], toDatabase: 'alone' });
    expect(summary?.omitted).toEqual([
      {
        what: 'fk constraint public.accounts accounts_owner_fkey',
        why: 'it needs table public.customers, which is not restored',
      },
    ]);
  });

  it('knows no other tables', async () => {
    const { failure } = await runs.restore({ tables: ['public.nothing'] });
    expect(failure).toMatchObject({ error: 'TableNotInBackup' });
  });
});

describe('a restore under another schema name', () => {
  it('stands beside the schema that is there, with all that belongs to it', async () => {
    const { summary, failure } = await runs.restore({
      tables: ['public.accounts', 'public.customers'],
      toDatabase: 'orders',
      toSchema: 'rescued',
    });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ toSchema: 'rescued', omitted: [] });
    const grants = (rows: { kind: string; name: string }[]) => rows.filter(({ kind }) => kind !== 'table');
    expect(grants(await describeAccounts('orders', 'rescued'))).toEqual(grants(await describeAccounts('orders')));
    expect(await one('orders', 'SELECT count(*)::int FROM rescued.customers')).toBe(
      await one('orders', 'SELECT count(*)::int FROM customers'),
    );
    expect(await one('postgres', `SELECT count(*)::int FROM pg_database WHERE datname LIKE '%pgdr%'`)).toBe(0);
  });

  it('is refused where that schema exists', async () => {
    const { failure } = await runs.restore({ schemas: ['sales'], toDatabase: 'orders', toSchema: 'rescued' });
    expect(failure).toMatchObject({ error: 'RestoreTargetExists' });
  });

  it('is a renamed schema in a new database', async () => {
    const { failure } = await runs.restore({ schemas: ['sales'], toDatabase: 'market', toSchema: 'market' });
    expect(failure).toBeUndefined();
    expect(
      await one('market', `SELECT to_regclass('market.invoices') IS NOT NULL AND to_regnamespace('sales') IS NULL`),
    ).toBe(true);
  });
});

describe('the server of a restore', () => {
  it('is none that the configuration does not name', async () => {
    const { failure } = await runs.restore({ targetSecret: 'pgdr/slack' });
    expect(failure).toMatchObject({ error: 'RestoreTargetUnknown' });
  });

  it('needs a role that may create databases', async () => {
    const { failure } = await runs.restore({ targetSecret: null });
    expect(failure).toMatchObject({ error: 'RestoreNotPermitted' });
    expect(failure?.message).toContain('pgdr_backup');
  });

  describe('may be another one', () => {
    let other: PostgresServer;
    beforeAll(async () => {
      const { rehearsal } = runs;
      other = await startPostgres({ bin: rehearsal.postgres.bin, directory: join(rehearsal.directory, 'other') });
      const { user: username, password } = other.superuser;
      await runs.setTarget({ host: other.host, port: other.port, username, password, sslmode: 'disable' });
    });
    afterAll(async () => {
      await other?.stop();
      await runs.setTarget();
    });

    it('where roles that are missing are made, and those that exist stay as they are', async () => {
      const client = await other.connect('postgres');
      await client.query(`CREATE ROLE shop NOLOGIN CONNECTION LIMIT 3`);
      const { summary, failure } = await runs.restore({ toDatabase: 'orders' });
      expect(failure).toBeUndefined();
      expect(summary?.host).toBe(`127.0.0.1:${other.port}`);
      const { rows } = await client.query(
        `SELECT rolname, rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname IN ('shop', 'pgdr_backup') ORDER BY 1`,
      );
      expect(rows).toEqual([
        { rolname: 'pgdr_backup', rolcanlogin: true, rolconnlimit: -1 },
        { rolname: 'shop', rolcanlogin: false, rolconnlimit: 3 },
      ]);
      await client.end();
    });
  });
});

describe('pgdr restore', () => {
  const pgdr = (...args: string[]): Promise<{ code: number | null; json: Record<string, unknown> }> => {
    const { rehearsal } = runs;
    const child = spawn(process.execPath, [join(root, 'bin', 'pgdr.ts'), 'restore', ...args, '--json'], {
      cwd: root,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        ...rehearsal.cloud.environment(region),
        PGDR_CONFIG: rehearsalConfig,
        PGDR_REHEARSE_MAJOR: String(rehearsal.postgres.major),
        PGDR_REHEARSE_RESTORE_MAJOR: String(rehearsal.postgres.major),
      },
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    return new Promise((done) => child.on('close', (code) => done({ code, json: JSON.parse(stdout || '{}') })));
  };

  it('--dry-run shows the plan and starts nothing', async () => {
    const { code, json } = await pgdr('orders', '--table', 'public.journal', '--to-database', 'x', '--dry-run');
    expect(code).toBe(0);
    expect(json).toMatchObject({
      ok: true,
      dryRun: true,
      backup: { id: backup.id },
      target: { secret: 'orders/primary', database: 'x', schema: null, overwrite: false },
      scope: 'tables',
      tables: ['public.journal'],
      objects: [
        { key: expect.stringContaining('globals') },
        { key: expect.stringContaining('schema') },
        { key: expect.stringMatching(/tables\/\d+/) },
      ],
      input: { database: 'orders', backupId: backup.id, tables: ['public.journal'], toDatabase: 'x' },
    });
    expect(await commentOf('x')).toBeUndefined();
  });

  it('restores and exits 0', async () => {
    const { code, json } = await pgdr(
      'orders',
      '--schema',
      'sales',
      '--to-database',
      'cli',
      '--target-secret',
      restoreSecret,
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({
      ok: true,
      workflow: 'restore',
      outcome: { restore: { toDatabase: 'cli', scope: 'schemas' } },
    });
  });

  it.each([
    ['over data', 3, 'RestoreTargetExists', ['--to-database', 'cli', '--target-secret', restoreSecret]],
    ['with another name typed', 3, 'RestoreTargetExists', ['--to-database', 'a', '--overwrite', 'b']],
    ['to a secret that is not configured', 3, 'RestoreTargetUnknown', ['--target-secret', 'other']],
    ['of a table that is not there', 4, 'TableNotInBackup', ['--table', 'public.nothing']],
    ['of a backup that is not there', 4, 'BackupNotFound', ['--backup', '20200101T000000Z-000000']],
    ['of what is no table name', 2, 'RequestInvalid', ['--table', 'customers']],
  ])('%s is exit %d', async (_, exit, name, args) => {
    const { code, json } = await pgdr('orders', ...args);
    expect(json).toMatchObject({ ok: false, error: { name } });
    expect(code).toBe(exit);
  });
});
