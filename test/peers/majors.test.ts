import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { latestProof } from '../../lib/cli/evidence.ts';
import { createOutput } from '../../lib/cli/output.ts';
import { root, workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Rehearsal, startRehearsal, type WorkflowRun } from '../../lib/cli/rehearse/rehearsal.ts';
import type { RehearsalResult } from '../../lib/cli/rehearse/result.ts';
import { findMajor, type PostgresBinaries } from '../../lib/cli/setup/postgres-binaries.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import type { ProofReport } from '../../lib/core/proof.ts';

/**
 * Backups and restores on PostgreSQL 13 to 18 themselves, and into newer ones as an upgrade would be. The
 * servers and their pg_dump and pg_restore are the judges; `node bin/majors.mjs` installs what this system lacks.
 * 14 and 16, which no release of Debian carried, are judged where they are: `node bin/majors.mjs 14 16`.
 */
const majors = new Map([13, 14, 15, 16, 17, 18].map((major) => [major, findMajor(major)]));
const optional = [14, 16];
const absent = [...majors].filter(([major, found]) => !found && !optional.includes(major)).map(([major]) => major);
const missing = `MISSING JUDGE: PostgreSQL ${absent.join(' and ')}, so nothing was judged here. Try: node bin/majors.mjs`;
const postgres = (major: number): PostgresBinaries => {
  const found = majors.get(major);
  if (!found) throw new Error(missing);
  return found;
};

if (absent.length > 0) {
  test(missing, ({ skip }) => {
    if (process.env.CI) throw new Error(missing);
    console.warn(`\n${missing}\n`);
    skip();
  });
}

const directory = mkdtempSync(join(tmpdir(), 'majors-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const pairs = [
  [13, 13],
  [14, 14],
  [16, 16],
  [17, 17],
  [18, 18],
  [15, 17],
  [17, 18],
  [13, 18],
] as const;

const judged = pairs.filter(([from]) => majors.get(from) || !optional.includes(from));
const left = pairs.filter((pair) => !judged.includes(pair)).map(([from]) => from);
if (left.length > 0)
  test.skip(`PostgreSQL ${left.join(' and ')}. Try: node bin/majors.mjs ${left.join(' ')}`, () => {});

describe.runIf(absent.length === 0).each(judged)('PostgreSQL %i into %i', (from, to) => {
  describe('pgdr rehearse', () => {
    let result: RehearsalResult;

    beforeAll(async () => {
      result = await rehearse(from, to);
    });

    test('proves the backup equal', () => {
      expect(result.error).toBeUndefined();
      expect(result.ok).toBe(true);
      expect(result.proof?.level).toMatch(/^L[45]$/);
      expect(result.checks.filter((check) => !check.ok)).toEqual([]);
    });

    test('ran on the majors that were asked for', () => {
      expect(result.postgres.major).toBe(from);
      expect(result.restorePostgres?.major).toBe(from === to ? undefined : to);
    });
  });

  describe('a database with one of everything', () => {
    let rehearsal: Rehearsal;
    let backup: WorkflowRun;
    let restore: WorkflowRun;
    let report: ProofReport | undefined;

    beforeAll(async () => {
      rehearsal = await startRehearsal({
        postgres: postgres(from),
        restorePostgres: postgres(to),
        directory: join(workDirectory, `majors-${from}-${to}`),
        size: 1_000_000,
        writeLoad: false,
        steps: createSteps(createOutput(true)),
      });
      await makeRichDatabase(rehearsal);
      backup = await rehearsal.run('backup-logical');
      restore = await rehearsal.run('restore-test');
      report = (await latestProof(rehearsal.clients, rehearsal.settings, restore.startedAt))?.report;
    });

    afterAll(async () => {
      await rehearsal?.stop();
      if (rehearsal) rmSync(rehearsal.directory, { recursive: true, force: true });
    });

    test('is backed up', () => expect(backup.failure).toBeUndefined());

    test('is restored and proven to the highest level', () => {
      expect(restore.failure).toBeUndefined();
      expect(report?.databases.flatMap(({ checks }) => checks).filter((check) => !check.held)).toEqual([]);
      expect(report?.level).toBe('L5');
    });

    test('by the tools of the newer major', () => {
      expect(report?.sourceVersion).toMatch(new RegExp(`^${from}\\.`));
      expect(report?.serverVersion).toMatch(new RegExp(`^${to}\\.`));
    });
  });
});

test.runIf(absent.length === 0)('nothing is restored into an older major', async () => {
  const { error } = await rehearse(18, 17);
  expect(error).toMatchObject({ name: 'BadVersion', message: expect.stringContaining('from 18 to 18') });
});

/** The command line from outside, without what this test's own environment says of AWS. */
async function rehearse(from: number, to: number): Promise<RehearsalResult> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS_|PGDR_CONFIG|VITEST)/.test(name));
  const report = join(directory, `${from}-${to}.html`);
  const args = ['rehearse', '--json', '--size', '20MB', '--report', report];
  if (from !== to) args.push('--no-failover', '--restore-version', String(to));
  const child = spawn(process.execPath, [join(root, 'bin', 'pgdr.ts'), ...args], {
    cwd: root,
    env: { ...Object.fromEntries(inherited), PG_BIN: postgres(from).bin },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  await new Promise((done) => child.on('close', done));
  return JSON.parse(stdout);
}

function localeOf(major: number): string {
  if (major >= 17) return "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'";
  return major >= 15 ? "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" : '';
}

/** Makes the database beside the rehearsal's own, with a locale of what its major has, and has it backed up instead. */
async function makeRichDatabase({ postgres, source, setDatabaseSecret }: Rehearsal): Promise<void> {
  const { host, port, superuser } = source.server;
  const admin = await source.server.connect('postgres');
  const locale = localeOf(postgres.major);
  for (const statement of [
    'CREATE ROLE "Rich Owner"',
    'CREATE ROLE rich_reader LOGIN NOINHERIT',
    'GRANT "Rich Owner" TO rich_reader WITH ADMIN OPTION',
    'GRANT pg_monitor TO "Rich Owner"',
    `CREATE DATABASE rich TEMPLATE template0 ${locale}`,
    'GRANT CREATE ON DATABASE rich TO "Rich Owner"',
    "ALTER DATABASE rich SET lock_timeout = '5s'",
    "ALTER ROLE rich_reader IN DATABASE rich SET work_mem = '5MB'",
    // Tables with row security that nobody may look behind; a backup of them is the superuser's.
    `ALTER ROLE ${source.secret.username} SUPERUSER`,
  ]) {
    await admin.query(statement);
  }
  await admin.end();
  for (const file of ['test/local/restore-rich.sql', 'test/peers/majors.sql']) {
    const { status, stderr } = spawnSync(
      join(postgres.bin, 'psql'),
      ['-X', '-q', '-v', 'owner=Rich Owner', '-v', 'reader=rich_reader', '-f', '-'],
      {
        input: readFileSync(join(root, file)),
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          PGHOST: host,
          PGPORT: String(port),
          PGUSER: superuser.user,
          PGPASSWORD: superuser.password,
          PGDATABASE: 'rich',
          PGCLIENTENCODING: 'UTF8',
        },
      },
    );
    if (status !== 0) throw new Error(`${file} on PostgreSQL ${postgres.version}: ${stderr}`);
  }
  const after = await source.server.connect('postgres');
  // A manager of roles gives them to itself beside what it has of them from their making: two memberships in one role.
  if (postgres.major >= 16) {
    await after.query("CREATE ROLE manager CREATEROLE; SET createrole_self_grant = 'set, inherit'; SET ROLE manager");
    await after.query('CREATE ROLE managed; RESET ROLE; RESET createrole_self_grant');
  }
  // What an application is limited by must stop neither backup nor proof.
  const limits = ['statement_timeout', 'idle_in_transaction_session_timeout'];
  if (postgres.major >= 14) limits.push('idle_session_timeout');
  for (const name of limits) {
    await after.query(`ALTER DATABASE rich SET ${name} = '300ms'`);
  }
  if (postgres.major >= 17) await after.query("ALTER DATABASE rich SET transaction_timeout = '400ms'");
  await after.end();
  await setDatabaseSecret({ ...source.secret, dbname: 'rich' });
}
