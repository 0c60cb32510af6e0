import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../../errors.ts';
import { freePort } from '../free-port.ts';
import { serverAccount } from '../unprivileged.ts';

/** Two data directories, the second a copy of the first that follows it, ready for their agents to start. */

export interface ServerFiles {
  readonly host: string;
  readonly port: number;
  /** Where the server itself listens: another address than `host` where a path to it can be cut. */
  readonly listen: string;
  readonly data: string;
}

export interface PairFiles {
  readonly primary: ServerFiles;
  readonly standby: ServerFiles;
  readonly password: string;
  /** Takes away the file systems that were made for them. */
  unmount(): void;
}

/** Addresses of their own on one port, as two hosts have: a name that moves from one to the other needs no port. */
export const hosts = { primary: '127.0.0.1', standby: '127.0.0.2', border: '127.0.0.3', hidden: '127.0.0.4' } as const;

const settings = {
  wal_level: 'replica',
  hot_standby: 'on',
  wal_log_hints: 'on',
  max_wal_senders: '8',
  wal_keep_size: '1GB',
  shared_buffers: '64MB',
  max_connections: '100',
  unix_socket_directories: '',
  wal_receiver_timeout: '5s',
  wal_sender_timeout: '5s',
  wal_retrieve_retry_interval: '500ms',
  tcp_keepalives_idle: '2',
  log_min_messages: 'log',
};

export interface ServersOptions {
  /** Others reach the primary through {@link hosts}.primary and .border, behind which it listens on an address of its own. */
  readonly cuttable?: boolean;
  /** Sizes of file systems for the primary's data and WAL, bytes. */
  readonly disks?: { readonly data: number; readonly wal: number };
}

export async function makeServers(bin: string, directory: string, options: ServersOptions = {}): Promise<PairFiles> {
  const undo: (() => void)[] = [];
  try {
    return await prepare(bin, directory, options, undo);
  } catch (error) {
    for (const step of undo) step();
    throw error;
  }
}

async function prepare(
  bin: string,
  directory: string,
  options: ServersOptions,
  undo: (() => void)[],
): Promise<PairFiles> {
  const account = serverAccount();
  const identity = account && { uid: account.uid, gid: account.gid };
  mkdirSync(directory, { recursive: true });
  if (account) chownSync(directory, account.uid, account.gid);
  const password = randomBytes(18).toString('base64url');
  const port = await freePort(hosts.standby);
  const data = { primary: join(directory, 'orders-1'), standby: join(directory, 'orders-2') };
  const listen = options.cuttable ? hosts.hidden : hosts.primary;
  const wal = join(directory, 'orders-1-wal');
  const disks = options.disks ? { [data.primary]: options.disks.data, [wal]: options.disks.wal } : {};
  const unmount = mountDisks(disks, account);
  undo.push(unmount);
  const run = (tool: string, args: string[]) => {
    const result = spawnSync(join(bin, tool), args, {
      cwd: directory,
      // A server that pg_ctl leaves behind would hold a pipe open.
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      env: { PATH: `${bin}:${process.env.PATH}`, LANG: 'C', TZ: 'UTC', PGPASSWORD: password },
      ...identity,
    });
    if (result.status === 0) return;
    throw new CliError(
      'SourceServerFailed',
      `${tool} failed: ${(result.stderr || String(result.error)).trim().slice(-500)}`,
    );
  };
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account) chownSync(passwordFile, account.uid, account.gid);
  run('initdb', [
    '-D',
    data.primary,
    '-U',
    'postgres',
    '--locale=C',
    '--encoding=UTF8',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--no-sync',
    ...(options.disks ? [`--waldir=${join(wal, 'wal')}`] : []),
  ]);
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'`);
  appendFileSync(join(data.primary, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  appendFileSync(
    join(data.primary, 'pg_hba.conf'),
    'host all all 127.0.0.0/8 scram-sha-256\nhost replication all 127.0.0.0/8 scram-sha-256\n',
  );
  const log = join(directory, 'preparing.log');
  run('pg_ctl', ['-D', data.primary, '-l', log, '-w', '-o', `-c port=${port} -c listen_addresses=${listen}`, 'start']);
  try {
    run('psql', [`host=${listen} port=${port} user=postgres dbname=postgres`, '-qc', 'CREATE DATABASE orders']);
    run('pg_basebackup', [
      '-D',
      data.standby,
      '-d',
      `host=${listen} port=${port} user=postgres application_name=pgdr_standby password=${password}`,
      '-R',
      '-X',
      'stream',
      '--checkpoint=fast',
    ]);
  } finally {
    run('pg_ctl', ['-D', data.primary, '-m', 'fast', '-w', 'stop']);
  }
  if (options.cuttable) appendFileSync(join(data.standby, 'postgresql.auto.conf'), borderConninfo(port, password));
  return {
    primary: { host: hosts.primary, port, listen, data: data.primary },
    standby: { host: hosts.standby, port, listen: hosts.standby, data: data.standby },
    password,
    unmount,
  };
}

const borderConninfo = (port: number, password: string): string =>
  `primary_conninfo = 'host=${hosts.border} port=${port} user=postgres application_name=pgdr_standby password=${password}'\n`;

/** Small file systems by their directories, so that they can be full. */
function mountDisks(disks: Readonly<Record<string, number>>, account: ReturnType<typeof serverAccount>): () => void {
  const call = (tool: string, ...args: string[]) => {
    const { status, stderr } = spawnSync(tool, args, { encoding: 'utf8' });
    if (status !== 0) throw new CliError('SourceServerFailed', `${tool} ${args.join(' ')}: ${stderr}`);
  };
  const mounted: string[] = [];
  for (const [directory, bytes] of Object.entries(disks)) {
    mkdirSync(directory, { recursive: true });
    call('mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'pgdr', directory);
    mounted.push(directory);
    if (account) chownSync(directory, account.uid, account.gid);
  }
  return () => {
    for (const directory of mounted.splice(0)) call('umount', directory);
  };
}

/** Why this machine has no address of a second host, or undefined where it has. */
export async function whyNoSecondHost(): Promise<string | undefined> {
  try {
    await freePort(hosts.standby);
    return undefined;
  } catch {
    return `${hosts.standby} is no address of this machine; on macOS: sudo ifconfig lo0 alias ${hosts.standby}`;
  }
}
