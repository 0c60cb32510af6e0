import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CliError } from '../errors.ts';
import { freePort } from './free-port.ts';
import { serverAccount } from './unprivileged.ts';

/** A real PostgreSQL server of our own, on 127.0.0.1 alone, with a random password, in a directory of its own. */
export interface PostgresServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly pid: number;
  readonly superuser: { readonly user: 'postgres'; readonly password: string };
  /** A connection of the superuser; whoever asks for one ends it. */
  connect(database: string): Promise<pg.Client>;
  /** Fast shutdown; returns when the postmaster is gone. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Directory of `initdb` and `postgres`. */
  readonly bin: string;
  /** Made here, and given to the account the server runs as. */
  readonly directory: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** @default true */
  readonly checksums?: boolean;
}

const startSeconds = 60;

export async function startPostgres({
  bin,
  directory,
  settings = {},
  checksums = true,
}: ServerOptions): Promise<PostgresServer> {
  const account = serverAccount();
  const identity = account && { uid: account.uid, gid: account.gid };
  mkdirSync(directory, { recursive: true });
  if (account) chownSync(directory, account.uid, account.gid);
  const data = join(directory, 'data');
  const password = randomBytes(18).toString('base64url');
  initialise(join(bin, 'initdb'), directory, data, password, checksums, identity);

  const port = await freePort();
  const options = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    password_encryption: 'scram-sha-256',
    max_connections: '50',
    shared_buffers: '128MB',
    max_wal_size: '2GB',
    log_min_messages: 'warning',
    ...settings,
  };
  const logFile = join(directory, 'server.log');
  const log = openSync(logFile, 'a');
  // Its own process group: Ctrl-C in the terminal must reach pgdr alone, which then stops things in order.
  const child = spawn(
    join(bin, 'postgres'),
    ['-D', data, ...Object.entries(options).flatMap(([k, v]) => ['-c', `${k}=${v}`])],
    {
      cwd: directory,
      stdio: ['ignore', log, log],
      detached: true,
      env: { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC' },
      ...identity,
    },
  );
  closeSync(log);
  const ended = endOf(child);
  const connect = async (database: string) => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database });
    // A server that is stopped ends its sessions; the error belongs to whoever uses the client then.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  await accepting(connect, child, logFile);

  return {
    host: '127.0.0.1',
    port,
    pid: child.pid as number,
    superuser: { user: 'postgres', password },
    connect,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
      const gone = await Promise.race([ended.then(() => true), sleep(20_000, false, { ref: false })]);
      if (!gone) {
        child.kill('SIGQUIT');
        await ended;
      }
    },
  };
}

function initialise(
  initdb: string,
  directory: string,
  data: string,
  password: string,
  checksums: boolean,
  identity: { uid: number; gid: number } | undefined,
): void {
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (identity) chownSync(passwordFile, identity.uid, identity.gid);
  chmodSync(passwordFile, 0o600);
  const result = spawnSync(
    initdb,
    [
      '-D',
      data,
      '-U',
      'postgres',
      '--encoding=UTF8',
      '--locale=C',
      ...(checksums ? ['--data-checksums'] : []),
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--no-sync',
    ],
    { cwd: directory, encoding: 'utf8', env: { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC' }, ...identity },
  );
  rmSync(passwordFile);
  if (result.status !== 0) {
    throw new CliError('SourceServerFailed', `initdb failed: ${lastLines(result.stderr || String(result.error))}`, {
      intact: 'Nothing outside the run’s own directory was touched.',
      tryNext: `Run ${initdb} by hand; set PG_BIN to another PostgreSQL.`,
    });
  }
}

async function accepting(connect: (database: string) => Promise<pg.Client>, child: ChildProcess, logFile: string) {
  const deadline = Date.now() + startSeconds * 1000;
  for (;;) {
    try {
      const client = await connect('postgres');
      await client.end();
      return;
    } catch (cause) {
      const dead = child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
      if (dead || Date.now() > deadline) {
        child.kill('SIGQUIT');
        throw new CliError(
          'SourceServerFailed',
          `PostgreSQL did not start: ${lastLines(readFileSync(logFile, 'utf8'))}`,
          { cause },
        );
      }
      await sleep(50);
    }
  }
}

const endOf = (child: ChildProcess): Promise<void> =>
  new Promise((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });

const lastLines = (text: string): string => text.trim().split('\n').slice(-5).join(' / ');
