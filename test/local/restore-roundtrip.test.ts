import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../lib/cli/rehearse/assembly.ts';
import { parseToc } from '../../lib/core/archive-toc.ts';
import { splitStatements } from '../../lib/core/sql-statements.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/**
 * PostgreSQL's own tools as the judge: a database with one of everything, backed up and restored by pgdr, is dumped by
 * stock pg_dump to the same text as its source.
 */

let runs: RestoreRuns;
const scratch = mkdtempSync(join(tmpdir(), 'roundtrip-'));

const tool = (program: string, ...args: string[]): string => {
  const { postgres, source } = runs.rehearsal;
  const { stdout, stderr, status } = spawnSync(join(postgres.bin, program), args, {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    env: {
      PATH: process.env.PATH,
      PGHOST: source.server.host,
      PGPORT: String(source.server.port),
      PGUSER: 'postgres',
      PGPASSWORD: source.server.superuser.password,
      LC_ALL: 'C.UTF-8',
    },
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
};

/** pg_dump guards its script with a random word of its own; nothing else is put aside. */
const dump = (...args: string[]): string => tool('pg_dump', ...args).replace(/^\\(un)?restrict \w+$/gm, '');

beforeAll(async () => {
  runs = await startRestoreRuns('roundtrip');
  await runs.sql(
    'postgres',
    'CREATE ROLE rich_owner; CREATE ROLE rich_reader LOGIN CONNECTION LIMIT 7; GRANT rich_reader TO rich_owner',
  );
  await runs.sql('postgres', `CREATE DATABASE rich OWNER rich_owner`);
  tool(
    'psql',
    '--quiet',
    '--dbname=rich',
    '--set=owner=rich_owner',
    '--set=reader=rich_reader',
    `--file=${join(root, 'test/local/restore-rich.sql')}`,
  );
  await runs.sql(
    'postgres',
    `ALTER DATABASE rich SET work_mem = '5MB'; ALTER DATABASE rich CONNECTION LIMIT 90;
     ALTER ROLE rich_reader IN DATABASE rich SET search_path = app, public, 'DATABASE rich';
     REVOKE TEMPORARY ON DATABASE rich FROM PUBLIC; GRANT CONNECT ON DATABASE rich TO rich_reader`,
  );
  const { host, port, superuser } = runs.rehearsal.source.server;
  await runs.rehearsal.setDatabaseSecret({
    host,
    port,
    username: 'postgres',
    password: superuser.password,
    dbname: 'rich',
    sslmode: 'disable',
  });
  await runs.backup();
});
afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await runs?.stop();
});

describe('a database with one of everything', () => {
  it('comes back such that pg_dump writes the same text: definitions, rows, large objects', async () => {
    const { summary, failure } = await runs.restore({ toDatabase: 'copy' });
    expect(failure).toBeUndefined();
    expect(summary?.tables).toBeGreaterThan(12);
    const text = dump('rich');
    expect(text.length).toBeGreaterThan(200_000);
    expect(dump('copy') === text).toBe(true);
  });

  it('comes back with the properties of the database itself', async () => {
    const properties = (name: string) =>
      dump('--create', '--schema-only', name)
        .split('\n')
        .filter((line) => /\bDATABASE (rich|copy)\b/.test(line) && !/^(COMMENT ON|-- Name|\\connect)/.test(line))
        .map((line) => line.replace(new RegExp(`DATABASE ${name}\\b`), 'DATABASE x'));
    expect(properties('rich')).toEqual(
      expect.arrayContaining([expect.stringMatching(/^CREATE/), expect.stringMatching(/^REVOKE/)]),
    );
    expect(properties('copy')).toEqual(properties('rich'));
  });

  it('lets any one table come back complete', async () => {
    const tables = await runs.sql(
      'rich',
      `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.oid > 16384 AND n.nspname !~ '^pg_' ORDER BY 1`,
    );
    expect(tables.length).toBeGreaterThan(8);
    const failures: unknown[] = [];
    for (const { name } of tables) {
      const { failure } = await runs.restore({ tables: [name], toDatabase: 'single' });
      if (failure) failures.push([name, failure.message]);
      // What pg_dump --table writes of it (foreign keys and policies that need other tables aside).
      else
        for (const lost of lacking(dump('--schema-only', `--table=${name}`, 'rich'), dump('--schema-only', 'single')))
          failures.push([name, lost]);
      await runs.sql('postgres', 'DROP DATABASE IF EXISTS single');
    }
    expect(failures).toEqual([]);
  });

  it('lets a schema come back, under its own name and under another', async () => {
    for (const toSchema of [null, 'other']) {
      const { failure, summary } = await runs.restore({ schemas: ['app'], toDatabase: 'part', toSchema });
      expect(failure).toBeUndefined();
      expect(summary?.omitted).toEqual([]);
      const objects = `SELECT count(*)::int FROM pg_class WHERE relnamespace = '${toSchema ?? 'app'}'::regnamespace`;
      expect(await runs.sql('part', objects)).toEqual(await runs.sql('rich', objects.replace('other', 'app')));
      await runs.sql('postgres', 'DROP DATABASE part');
    }
  });
});

it('the table of contents is read as pg_restore reads it', () => {
  const path = join(scratch, 'rich.dump');
  tool('pg_dump', '--format=custom', `--file=${path}`, 'rich');
  const toc = parseToc(readFileSync(path));
  const listed = tool('pg_restore', '--list', path)
    .split('\n')
    .flatMap((line) => /^(\d+); \d+ \d+ (.*)$/.exec(line) ?? [])
    .filter((_, i) => i % 3 > 0);
  const entries = new Map(toc?.map((entry) => [String(entry.id), entry]));
  expect(listed.length / 2).toBeGreaterThan(150);
  for (let i = 0; i < listed.length; i += 2) {
    const { kind, schema, tag, owner } = entries.get(listed[i] ?? '') ?? {};
    expect(listed[i + 1]).toBe([kind, schema || '-', tag?.replaceAll('\n', ' '), owner].join(' '));
    entries.delete(listed[i] ?? '');
  }
  // What --list leaves out: settings of the session, and of the database without --create.
  expect(
    [...entries.values()].filter(({ kind, tag }) => !/DATABASE|ENCODING|STDSTRINGS|SEARCHPATH/.test(`${kind} ${tag}`)),
  ).toEqual([]);
});

/** Statements of one script that are not in the other. */
function lacking(part: string, whole: string): string[] {
  const statements = (text: string) =>
    splitStatements(text).filter(
      (statement) => !/^SET |FOREIGN KEY|CREATE POLICY no_large|ALTER PUBLICATION/.test(statement),
    );
  const all = new Set(statements(whole));
  return statements(part).filter((statement) => !all.has(statement));
}
