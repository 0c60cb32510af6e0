import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { readSecret } from '../lib/aws/secret.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Order } from '../lib/core/failover/orders.ts';
import type { FailoverSettings } from '../lib/core/failover-settings.ts';
import { type Connection, parseConnection } from '../lib/postgres/connection.ts';
import { conninfo } from '../lib/postgres/conninfo.ts';
import type { Postgres } from './agent-postgres.ts';

/** How orders are carried out. */

type Log = (message: string, fields?: Record<string, unknown>) => void;

/** What was done, in a sentence. `keep` is given what a rejoin is about to undo. @throws PgdrError RejoinFailed */
export async function carryOut(
  order: Order,
  postgres: Postgres,
  settings: FailoverSettings,
  log: Log,
  keep: (divergence: Divergence) => Promise<void>,
): Promise<string> {
  if (order.kind === 'stop') {
    await postgres.stop('fast');
    return `stopped cleanly, last checkpoint ${await shutdownCheckpoint(postgres)}`;
  }
  if (order.kind === 'start') {
    if (!postgres.isRunning()) await postgres.start();
    return 'started';
  }
  const { secret } = settings.servers[order.source];
  const source = parseConnection(await readSecret(secret), secret);
  await postgres.stop('fast');
  const began = performance.now();
  await recoverFromCrash(postgres, log);
  const found = await findDivergence(postgres, source, log);
  if (found) await keep(found);
  let how = order.rewind ? await rewind(postgres, source, log) : undefined;
  // A rewind that went wrong without saying so ends in a server that does not start: it is copied, then.
  if (how === undefined || !(await followsBy(postgres, source))) {
    how = await copy(postgres, source, log);
    if (!(await followsBy(postgres, source)))
      throw new PgdrError('RejoinFailed', 'a new copy did not start: read its log');
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  return [`${how} in ${seconds} s`, found && describeDivergence(found)].filter(Boolean).join('; ');
}

/** How long a standby has to run to be taken for one that starts: a history that does not fit ends it at once. */
const settledMilliseconds = 2_000;

async function followsBy(postgres: Postgres, source: Connection): Promise<boolean> {
  follow(postgres, source);
  await postgres.start();
  const deadline = performance.now() + settledMilliseconds;
  while (performance.now() < deadline) {
    if (!postgres.isRunning()) return false;
    await sleep(50);
  }
  return true;
}

/** A server that was killed recovers first, by itself and without clients: what it holds is then known. */
async function recoverFromCrash({ directory }: Postgres, log: Log): Promise<void> {
  if (!existsSync(join(directory, 'PG_VERSION')) || existsSync(join(directory, 'standby.signal'))) return;
  const { output: state } = await run('pg_controldata', [directory]);
  if (/Database cluster state:\s+shut down/.test(state)) return;
  const { code, output } = await run('postgres', ['--single', '-F', '-D', directory, 'template1']);
  log('recovered from a crash', { code, output: output.slice(-1000) });
}

/** False when the histories cannot be reconciled in place: WAL is gone, or hints were not logged. */
async function rewind(postgres: Postgres, source: Connection, log: Log): Promise<string | undefined> {
  // A server that crashed is recovered by pg_rewind itself, in single-user mode.
  const { code, output } = await run(
    'pg_rewind',
    [`--target-pgdata=${postgres.directory}`, `--source-server=${conninfo(source)}`],
    source.password,
  );
  log('pg_rewind', { code, output: output.slice(-2000) });
  return code === 0 ? 'rewound' : undefined;
}

export interface Divergence {
  readonly timeline: number;
  readonly start: string;
  /** Lines of pg_waldump, one for each commit. */
  readonly commits: readonly string[];
  readonly xids: readonly string[];
  readonly file: string;
}

/**
 * The transactions that only this server has: those after the point at which the histories part. They are about to be
 * undone, so that what is known of them is kept in a file beside the data directory too. Undefined where nothing parts.
 */
async function findDivergence(postgres: Postgres, source: Connection, log: Log): Promise<Divergence | undefined> {
  const dry = await run(
    'pg_rewind',
    ['--dry-run', `--target-pgdata=${postgres.directory}`, `--source-server=${conninfo(source)}`],
    source.password,
  );
  const [, start, timeline] = /servers diverged at WAL location ([0-9A-F/]+) on timeline (\d+)/.exec(dry.output) ?? [];
  if (start === undefined || timeline === undefined || /no rewind required/.test(dry.output)) return undefined;
  const commits: string[] = [];
  await run(
    'pg_waldump',
    [
      `--path=${join(postgres.directory, 'pg_wal')}`,
      `--timeline=${timeline}`,
      `--start=${start}`,
      '--rmgr=Transaction',
    ],
    '',
    (line) => {
      if (/desc: COMMIT/.test(line) && commits.length < mostCommits) commits.push(line);
    },
  );
  const file = `${postgres.directory}.diverged-${Date.now()}.txt`;
  writeFileSync(file, [`diverged at ${start} on timeline ${timeline}`, ...commits, ''].join('\n'), { mode: 0o600 });
  log('transactions that only this server had', { start, timeline, commits: commits.length, file });
  const xids = commits.flatMap((line) => /tx:\s+(\d+)/.exec(line)?.[1] ?? []);
  return { timeline: Number(timeline), start, commits, xids, file };
}

/** Lines held in memory: some 200 bytes each. */
const mostCommits = 200_000;

function describeDivergence({ timeline, start, commits, xids, file }: Divergence): string {
  const listed = xids.length > 20 ? `${xids.slice(0, 20).join(', ')}, …` : xids.join(', ');
  return `${commits.length} transactions only here, after ${start} on timeline ${timeline}${listed && `: ${listed}`} (${file})`;
}

/** The old directory is kept beside the new one, for whoever wants to look into it. */
async function copy(postgres: Postgres, source: Connection, log: Log): Promise<string> {
  const { directory } = postgres;
  const parent = join(directory, '..');
  const name = directory.split('/').at(-1) ?? 'data';
  for (const old of readdirSync(parent).filter((entry) => entry.startsWith(`${name}.before-`)))
    rmSync(join(parent, old), { recursive: true, force: true });
  if (existsSync(directory)) renameSync(directory, `${directory}.before-${Date.now()}`);
  mkdirSync(directory, { mode: 0o700 });
  const { code, output } = await run(
    'pg_basebackup',
    [`--pgdata=${directory}`, `--dbname=${conninfo(source)}`, '--wal-method=stream', '--checkpoint=fast'],
    source.password,
  );
  log('pg_basebackup', { code, output: output.slice(-2000) });
  if (code !== 0) throw new PgdrError('RejoinFailed', `pg_basebackup ended with ${code}: ${output.slice(-500)}`);
  return 'copied anew';
}

/** Makes it a standby of the source; settings appended here come after those that a promotion or a copy left. */
function follow({ directory }: Postgres, source: Connection): void {
  writeFileSync(join(directory, 'standby.signal'), '');
  const passfile = join(directory, 'pgdr.pgpass');
  writeFileSync(passfile, `*:*:*:${source.username}:${source.password.replace(/([:\\])/g, '\\$1')}\n`);
  chmodSync(passfile, 0o600);
  const value = `${conninfo(source)} passfile=${passfile} application_name=pgdr_standby`.replaceAll("'", "''");
  writeFileSync(
    join(directory, 'postgresql.auto.conf'),
    `# pgdr: a standby of the other server\nprimary_conninfo = '${value}'\nrecovery_target_timeline = 'latest'\n`,
    { flag: 'a' },
  );
}

/** Where the WAL of a server ends that was shut down in order. Throws for one that was not: it may know more than its standby. */
async function shutdownCheckpoint({ directory }: Postgres): Promise<string> {
  const { output } = await run('pg_controldata', [directory]);
  const state = /Database cluster state:\s+(.+)/.exec(output)?.[1]?.trim();
  const position = /Latest checkpoint location:\s+(\S+)/.exec(output)?.[1];
  if (state !== 'shut down' || position === undefined)
    throw new PgdrError('FenceUnproven', `the server is not cleanly shut down: ${state ?? output.slice(-200)}`);
  return position;
}

/** The last of what it says; `onLine` is given every line of its stdout. */
function run(
  command: string,
  args: string[],
  password = '',
  onLine?: (line: string) => void,
): Promise<{ code: number; output: string }> {
  return new Promise((done) => {
    let output = '';
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, LANG: 'C', HOME: process.env.HOME, PGPASSWORD: password },
    });
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    if (onLine) createInterface({ input: child.stdout }).on('line', onLine);
    child.once('error', (error) => done({ code: -1, output: error.message }));
    child.once('close', (code) => done({ code: code ?? -1, output }));
  });
}
