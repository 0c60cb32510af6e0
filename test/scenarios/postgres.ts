import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../../lib/cli/rehearse/free-port.ts';
import { serverAccount } from '../../lib/cli/rehearse/unprivileged.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';

/** A PostgreSQL that a scenario may kill, start again, promote, and copy. */
export interface Postgres {
  readonly port: number;
  readonly data: string;
  start(): Promise<void>;
  /** kill -9 of the server and, by that, of everything in it. */
  kill(): Promise<void>;
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  connect(application?: string): Promise<pg.Client>;
  query<T extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<T[]>;
}

const account = serverAccount();
const identity = account && { uid: account.uid, gid: account.gid };
export const password = 'scenario';
export const postgresBin = (): string => process.env.SCENARIO_PG_BIN ?? providePostgres(() => {}).bin;

export function run(program: string, args: readonly string[], cwd: string): string {
  return execFileSync(join(postgresBin(), program), args, {
    cwd,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC', PGPASSWORD: password },
    ...identity,
  });
}

/** A folder that the server's account may use. */
export function ownFolder(path: string): string {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  if (account) chownSync(path, account.uid, account.gid);
  return path;
}

/** Gives a copied folder, and all in it, to the server's account. */
export function giveFolder(path: string): void {
  if (account) execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, path]);
  chmodSync(path, 0o700);
}

export async function makePostgres(folder: string, initdb: readonly string[] = []): Promise<Postgres> {
  ownFolder(folder);
  const data = join(folder, 'data');
  const file = join(folder, 'password');
  writeFileSync(file, password);
  if (account) chownSync(file, account.uid, account.gid);
  run(
    'initdb',
    [
      '-D',
      data,
      '-U',
      'postgres',
      '-E',
      'UTF8',
      '--locale=C',
      '-k',
      '-N',
      '-A',
      'scram-sha-256',
      `--pwfile=${file}`,
      ...initdb,
    ],
    folder,
  );
  return servePostgres(folder, {});
}

/** Serves `folder`/data on a port of its own; the settings are appended to the configuration. */
export async function servePostgres(folder: string, settings: Readonly<Record<string, string>>): Promise<Postgres> {
  const data = join(folder, 'data');
  const port = await freePort();
  const all: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '60',
    shared_buffers: '64MB',
    max_wal_size: '1GB',
    wal_level: 'replica',
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  appendFileSync(join(data, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> = Promise.resolve();
  const log = join(folder, 'server.log');
  const connect = async (application = 'scenario') => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password,
      database: 'postgres',
      application_name: application,
      connectionTimeoutMillis: 5_000,
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const server: Postgres = {
    port,
    data,
    async start() {
      const out = openSync(log, 'a');
      child = spawn(join(postgresBin(), 'postgres'), ['-D', data], {
        cwd: folder,
        stdio: ['ignore', out, out],
        env: { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC' },
        ...identity,
      });
      closeSync(out);
      const one = child;
      ended = new Promise((done) => one.once('exit', done));
      for (const deadline = Date.now() + 60_000; ; ) {
        try {
          await (await connect()).end();
          return;
        } catch (error) {
          if (one.exitCode !== null || Date.now() > deadline) {
            throw new Error(`PostgreSQL did not start: ${readFileSync(log, 'utf8').slice(-2000)}`, { cause: error });
          }
          await sleep(100);
        }
      }
    },
    async kill() {
      if (!child?.pid) return;
      // Backends live on for a moment without their postmaster; a machine that dies takes them all at once.
      child.kill('SIGSTOP');
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
      for (const pid of children.filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
      child.kill('SIGKILL');
      await ended;
    },
    async stop(mode = 'fast') {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
      await ended;
    },
    connect,
    async query<T extends pg.QueryResultRow>(sql: string, values: unknown[] = []) {
      const client = await connect();
      try {
        return (await client.query<T>(sql, values)).rows;
      } finally {
        await client.end();
      }
    },
  };
  return server;
}
