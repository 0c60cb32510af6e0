import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PgdrError } from '../core/errors.ts';
import { type Connection, connect } from './connection.ts';
import { type ToolEnvironment, toolEnvironment } from './tools.ts';

/**
 * A server of this task that recovers a copy of another one, and is gone at the end. It reaches nothing outside of the
 * task: it listens on a socket in a private folder alone, archives nothing, dials nobody and starts no jobs.
 */
export interface Clone {
  readonly connection: Connection;
  readonly tools: ToolEnvironment;
  readonly version: string;
  /** The last of its log. */
  said(): string;
  /** Whether it stands still in its recovery, and can be read alone. */
  readonly paused: boolean;
  /** Ends it in such a way that another one can go on recovering from there. */
  rest(): Promise<void>;
  stop(): Promise<void>;
}

export interface CloneOptions {
  /** A data directory with a base backup in it. */
  readonly data: string;
  /** Beside it: configuration and socket. */
  readonly home: string;
  /** A standby that follows its source and is entered as soon as it can be read; else it recovers to an end. */
  readonly standby?: boolean;
  /** Parameters of the recovery: `restore_command`, `recovery_target_…`. */
  readonly recovery: Readonly<Record<string, string>>;
  /** Whether it is to be read where it pauses at its target, before it takes writes. */
  readonly pause?: boolean;
  /** What the source had, as a lower bound: max_connections and its like. */
  readonly limits: Readonly<Record<string, number>>;
  readonly superusers: readonly string[];
  readonly major: number;
  /** Why the WAL cannot be served, if it cannot: it explains the end of the server better than its own words. */
  readonly walFailure: () => PgdrError | undefined;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * All of them as `-c`, which beats every file. The server is given a configuration file of its own besides, so that
 * nothing of the source's is read at all; its postgresql.auto.conf, which is read in any case, was removed.
 */
const isolated: Readonly<Record<string, string>> = {
  listen_addresses: '',
  ssl: 'off',
  hot_standby: 'off',
  archive_mode: 'off',
  archive_command: '',
  archive_cleanup_command: '',
  recovery_end_command: '',
  primary_conninfo: '',
  primary_slot_name: '',
  synchronous_standby_names: '',
  max_logical_replication_workers: '0',
  shared_preload_libraries: '',
  session_preload_libraries: '',
  local_preload_libraries: '',
  autovacuum: 'off',
  logging_collector: 'off',
  log_destination: 'stderr',
  lc_messages: 'C',
  log_timezone: 'UTC',
  jit: 'off',
};

/** What this major knows besides: an unknown parameter would keep the server from starting. */
const isolatedSince: readonly (readonly [number, string, string])[] = [
  [15, 'archive_library', ''],
  [17, 'sync_replication_slots', 'off'],
  [17, 'summarize_wal', 'off'],
  [17, 'event_triggers', 'off'],
];

/** For a server that nobody needs after a crash. */
const fast: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  shared_buffers: '256MB',
  maintenance_work_mem: '256MB',
  wal_level: 'replica',
};

/** 14 writes the hyphen. */
const readyToBeRead = /LOG: {2}database system is ready to accept read[- ]only connections/;
const readyToWrite = /LOG: {2}database system is ready to accept connections/;
/** Milliseconds for a last checkpoint without fsync. */
const restPatience = 120_000;
const port = 5432;
/** Unix sockets have paths of 107 bytes at most, on some systems 103. */
const longestSocketPath = 100;

/** Starts it and waits until it has recovered and takes connections. Throws why it did not. */
export async function startClone(options: CloneOptions): Promise<Clone> {
  const { data, home, recovery, major, signal } = options;
  const sockets = await socketFolder(home);
  const [config, access, ident] = ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'].map((name) => join(home, name));
  await writeFile(config as string, '');
  await writeFile(ident as string, '');
  // The folder of the socket is closed to others, so whoever reaches it is this task.
  await writeFile(access as string, 'local all all trust\n');
  await writeFile(join(data, options.standby ? 'standby.signal' : 'recovery.signal'), '');
  const parameters = {
    ...isolated,
    ...Object.fromEntries(isolatedSince.filter(([since]) => major >= since).map(([, name, value]) => [name, value])),
    ...fast,
    ...Object.fromEntries(Object.entries(options.limits).map(([name, value]) => [name, String(value)])),
    config_file: config as string,
    hba_file: access as string,
    ident_file: ident as string,
    unix_socket_directories: sockets,
    port: String(port),
    ...((options.standby || options.pause) && { hot_standby: 'on' }),
    ...recovery,
  };
  const socket: Connection = {
    host: sockets,
    port,
    username: '',
    password: '',
    dbname: 'postgres',
    sslmode: 'disable',
  };
  const { env } = await toolEnvironment(socket, home);
  const arguments_ = Object.entries(parameters).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn('postgres', ['-D', data, ...arguments_], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const entrance = options.standby ? readyToBeRead : readyToWrite;
  let log = '';
  const ready = Promise.withResolvers<{ paused: boolean }>();
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = `${log}${text}`.slice(-32_768);
    if (entrance.test(log)) ready.resolve({ paused: false });
    // It pauses only where it can be read.
    if (/LOG: {2}pausing at the end of recovery/.test(log)) ready.resolve({ paused: true });
    // From 14 on it waits for ever then.
    if (unreadable.test(log)) ready.reject(new Error('it cannot be read'));
  });
  const exited = new Promise<void>((resolve) => {
    server.once('error', () => resolve());
    server.once('exit', () => resolve());
  });
  const end = (how: 'SIGINT' | 'SIGQUIT') => {
    if (server.exitCode === null && server.signalCode === null) server.kill(how);
  };
  const stop = async () => {
    end('SIGQUIT');
    await exited;
    await rm(sockets, { recursive: true, force: true });
  };
  const rest = async () => {
    end('SIGINT');
    // What it leaves behind in any case is whole: recovery would only begin further back.
    await Promise.race([exited, sleep(restPatience, undefined, { ref: false })]);
    await stop();
  };
  const limit = AbortSignal.timeout(options.timeoutSeconds * 1000);
  const given = Promise.withResolvers<never>();
  const giveUp = () => given.reject(signal.aborted ? signal.reason : new Error('it did not recover in time'));
  for (const one of [signal, limit]) one.addEventListener('abort', giveUp, { once: true });
  try {
    signal.throwIfAborted();
    const ended = exited.then(() => Promise.reject(new Error('it ended')));
    const { paused } = await Promise.race([ready.promise, given.promise, ended]);
    const connection = await enter(socket, options.superusers);
    return {
      connection,
      tools: await toolEnvironment(connection, home),
      version: await versionOf(connection),
      said: () => log,
      paused,
      rest,
      stop,
    };
  } catch (cause) {
    await stop();
    signal.throwIfAborted();
    throw options.walFailure() ?? explain(log, cause);
  } finally {
    for (const one of [signal, limit]) one.removeEventListener('abort', giveUp);
  }
}

/** The source was restarted with larger limits after the base backup: no matter at the end, but until then. */
const unreadable = /hot standby is not possible because/;

/** Where the path of a socket fits: a task's own folder may lie deep in another system's. */
async function socketFolder(home: string): Promise<string> {
  for (const parent of [home, tmpdir(), '/tmp']) {
    if (Buffer.byteLength(join(parent, 'pgdr-XXXXXX', `.s.PGSQL.${port}`)) > longestSocketPath) continue;
    // Made with mode 0700.
    return mkdtemp(join(parent, 'pgdr-'));
  }
  throw new PgdrError('RecoveryFailed', `no folder of the task has a path short enough for a socket: ${home}`);
}

/** Superusers may have been renamed or dropped since the backup: whoever is one still. */
async function enter(socket: Connection, superusers: readonly string[]): Promise<Connection> {
  for (const username of superusers) {
    const connection = { ...socket, username };
    try {
      const client = await connect(connection, 'pgdr recovery');
      const { rows } = await client.query('SELECT rolsuper FROM pg_roles WHERE rolname = current_user');
      await client.end();
      if (rows[0]?.rolsuper) return connection;
    } catch {
      // The next one.
    }
  }
  throw new PgdrError(
    'RecoveryFailed',
    `none of the superusers of the backup exists any more: ${superusers.join(', ')}`,
  );
}

async function versionOf(connection: Connection): Promise<string> {
  const client = await connect(connection, 'pgdr recovery');
  try {
    return (await client.query('SHOW server_version')).rows[0].server_version;
  } finally {
    await client.end();
  }
}

function explain(log: string, cause: unknown): PgdrError {
  if (cause instanceof PgdrError) return cause;
  const fatal = log
    .split('\n')
    .filter((line) => /(FATAL|PANIC):/.test(line) && !/starting up|not yet accepting/.test(line));
  const said = fatal[0]?.replace(/^.*?(FATAL|PANIC): +/, '') ?? log.trim().split('\n').at(-1) ?? '';
  if (unreadable.test(log)) {
    return new PgdrError(
      'RecoveryTargetUnreachable',
      'the source had larger limits then (max_connections and its like) than at the base backup, so that it cannot be read before its recovery has ended',
      { cause },
    );
  }
  if (/recovery ended before configured recovery target was reached/.test(log)) {
    return new PgdrError('RecoveryTargetUnreachable', 'the stored WAL ends before the target that was asked for', {
      cause,
    });
  }
  return new PgdrError('RecoveryFailed', `${(cause as Error).message}: ${said}`, { cause });
}
