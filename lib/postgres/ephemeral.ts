import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PgdrError } from '../core/errors.ts';
import { type Connection, connect } from './connection.ts';
import { runTool, type ToolEnvironment, toolEnvironment, toolVersion } from './tools.ts';

/** A throwaway PostgreSQL server of this task: loopback only, a password of its own, gone at the end. */
export interface EphemeralServer {
  readonly connection: Connection;
  readonly tools: ToolEnvironment;
  readonly version: string;
  /** What made work with this server fail: `EphemeralServerFailed` when the server itself was the cause, or the error. */
  explain(error: unknown): unknown;
  stop(): Promise<void>;
}

/** What the server says of its own end, or of that of its disk; later lines are consequences. */
const ownTrouble = /^.*(?:PANIC: |No space left on device|could not extend file|terminated by signal).*$/m;

/**
 * Speed for a server that nobody will need after a crash, and silence towards the outside: no WAL archiving, no
 * replication, no jobs. Given as `-c`, which beats postgresql.conf and postgresql.auto.conf.
 */
const parameters: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  wal_skip_threshold: '0',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  archive_mode: 'off',
  autovacuum: 'off',
  bgwriter_lru_maxpages: '0',
  shared_buffers: '256MB',
  maintenance_work_mem: '256MB',
  max_connections: '32',
  password_encryption: 'scram-sha-256',
};

/** Not `postgres`: the roles of the source are restored, and its `postgres` need not be a superuser (on RDS it is none). */
const superuser = 'pgdr_ephemeral';

/** Makes and starts the server below `directory`; throws `EphemeralServerFailed` with its first error. */
export async function startEphemeralServer(directory: string, signal: AbortSignal): Promise<EphemeralServer> {
  const home = join(directory, 'ephemeral');
  const data = join(home, 'data');
  await mkdir(home, { recursive: true, mode: 0o700 });
  const connection: Connection = {
    host: '127.0.0.1',
    port: await freePort(),
    username: superuser,
    password: randomBytes(24).toString('base64url'),
    dbname: 'postgres',
    sslmode: 'disable',
  };
  const tools = await toolEnvironment(connection, home);
  const { major } = await toolVersion(tools);
  const passwordFile = join(home, 'password');
  await writeFile(passwordFile, connection.password, { mode: 0o600 });
  await runTool(
    'initdb',
    [
      `--pgdata=${data}`,
      `--username=${superuser}`,
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
      // On by themselves since 18. What is written here is read from the same disk within the hour, and proven anyway.
      ...(major >= 18 ? ['--no-data-checksums'] : []),
    ],
    tools,
    'EphemeralServerFailed',
  );
  await rm(passwordFile);

  const settings = Object.entries({ ...parameters, port: String(connection.port) });
  const server = spawn('postgres', ['-D', data, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])], {
    env: tools.env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  let trouble: string | undefined;
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = `${log}${text}`.slice(-16_384);
    trouble ??= ownTrouble.exec(log)?.[0].trim();
  });
  const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const stop = async () => {
    // Immediate shutdown: there is nothing to keep.
    if (server.exitCode === null) server.kill('SIGQUIT');
    await exited;
    await rm(home, { recursive: true, force: true });
  };
  try {
    const version = await waitUntilReady(connection, () => server.exitCode === null, signal);
    await useFastToast(connection);
    const explain = (error: unknown) => {
      const ended = server.exitCode ?? server.signalCode;
      if (signal.aborted || (trouble === undefined && ended === null)) return error;
      const full = /could not extend|No space left/.test(trouble ?? '') ? 'has no disk left' : 'failed';
      const what = trouble ?? `it ended with ${ended}: ${log.trim().split('\n').at(-1)}`;
      return new PgdrError('EphemeralServerFailed', `the throwaway server ${full}: ${what}`, { cause: error });
    };
    return { connection, tools, version, explain, stop };
  } catch (cause) {
    await stop();
    signal.throwIfAborted();
    const first = log.split('\n').find((line) => /FATAL|ERROR|PANIC/.test(line)) ?? log.trim().split('\n').at(-1);
    throw new PgdrError('EphemeralServerFailed', `postgres did not start: ${first}`, { cause });
  }
}

/** A fresh server answers within a second or two; a minute allows for slow disks. */
async function waitUntilReady(connection: Connection, alive: () => boolean, signal: AbortSignal): Promise<string> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    signal.throwIfAborted();
    try {
      const client = await connect(connection, 'pgdr readiness');
      const { rows } = await client.query('SHOW server_version');
      await client.end();
      return rows[0].server_version;
    } catch (error) {
      if (!alive() || Date.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

/** lz4 compresses long values at a fraction of pglz's cost; a server older than 14, or built without it, has only that. */
async function useFastToast(connection: Connection): Promise<void> {
  const client = await connect(connection, 'pgdr settings');
  try {
    const { rowCount } = await client.query(
      "SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)",
    );
    if (!rowCount) return;
    await client.query('ALTER SYSTEM SET default_toast_compression = lz4');
    await client.query('SELECT pg_reload_conf()');
  } finally {
    await client.end().catch(() => {});
  }
}

/** A port that was free a moment ago; PostgreSQL cannot be told to choose one by itself. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
