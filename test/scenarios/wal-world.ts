import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { LeaseTable } from '../../lib/aws/lease.ts';
import { getText, list, type ObjectStore } from '../../lib/aws/object-store.ts';
import { parseWalKey, walPrefix } from '../../lib/core/keys.ts';
import { parseLsn } from '../../lib/core/lsn.ts';
import type { ReceiverInput } from '../../lib/core/physical-settings.ts';
import { receiverCommand, receiverEnvironment } from '../../lib/core/receiver-process.ts';
import { timelineDigits } from '../../lib/core/wal.ts';
import { endOf, gapsOf, planSegment, readArchive, type WalArchive } from '../../lib/core/wal-archive.ts';
import { type ApiCall, AwsError } from '../../local/facade.ts';
import { createDynamoDb } from '../../local/facades/dynamodb.ts';
import { createS3 } from '../../local/facades/s3.ts';
import { createSecretsManager } from '../../local/facades/secrets-manager.ts';
import { type Host, startHost } from '../../local/host.ts';
import { readPieces } from '../../tasks/wal/compaction.ts';
import { giveFolder, makePostgres, ownFolder, type Postgres, password, run, servePostgres } from './postgres.ts';

/** A server, a store, and receivers as processes of their own, for faults to happen to. */

const region = 'eu-north-1';
const bucket = 'backups';
const of = { system: 'acme', database: 'orders', lineage: 'main' } as const;

export interface Receiver {
  readonly pid: number;
  readonly lines: Record<string, unknown>[];
  readonly isRunning: boolean;
  /** By how much its clock is wrong, milliseconds. */
  readonly clockSkew: number;
  /** Where it may write, if it writes at all. */
  readonly disk: string;
  /** Resolves with the first line, old or new, whose message matches. */
  said(message: RegExp, seconds?: number): Promise<Record<string, unknown>>;
  kill(): Promise<void>;
  /** SIGTERM, as ECS stops a task. */
  stop(): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

export interface ReceiverOptions {
  /** @default 2,500 */
  readonly leaseMilliseconds?: number;
  /** By how much the clock of its machine is wrong, milliseconds. @default 0 */
  readonly clockSkew?: number;
}

export interface WalWorld {
  readonly folder: string;
  readonly host: Host;
  readonly store: ObjectStore;
  readonly table: LeaseTable;
  server: Postgres;
  readonly of: typeof of;
  startReceiver(changes?: Partial<ReceiverInput['physical']>, options?: ReceiverOptions): Receiver;
  /** Points the secret at another server. */
  moveTo(server: Postgres): Promise<void>;
  readonly faults: StoreFaults;
  archive(segmentBytes?: number): Promise<WalArchive>;
  /** Waits until the store holds the WAL up to here. */
  durable(lsn: string, options?: { readonly gaps?: number; readonly timeline?: number }): Promise<void>;
  /** Takes a base backup without any WAL. */
  baseBackup(name: string): void;
  /** Starts a server from the base backup and what the store holds, to the end of it. */
  recover(base: string, timeline?: string): Promise<Postgres>;
  close(): Promise<void>;
}

/** What the store does to writes of WAL. */
export interface StoreFaults {
  /** Chance that a write is refused. */
  refusing: number;
  /** Milliseconds that each write takes longer. */
  slow: number;
  refused: number;
}

export async function startWalWorld(initdb: readonly string[] = []): Promise<WalWorld> {
  const folder = mkdtempSync('/tmp/pgdr-wal-');
  ownFolder(folder);
  const host = await startHost({ directory: join(folder, 'cloud'), regions: [region] });
  const s3 = host.add(createS3(host.world));
  const dynamo = host.add(createDynamoDb(host.world));
  host.add(createSecretsManager(host.world));
  const about = (logicalId: string) => ({
    region,
    stack: 'app',
    logicalId,
    generatedName: logicalId,
    assembly: folder,
  });
  await s3.resources['AWS::S3::Bucket']?.(
    { BucketName: bucket, VersioningConfiguration: { Status: 'Enabled' }, ObjectLockEnabled: true },
    about('Bucket'),
  );
  await dynamo.resources?.['AWS::DynamoDB::Table']?.(
    {
      TableName: 'state',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    },
    about('State'),
  );
  const faults: StoreFaults = { refusing: 0, slow: 0, refused: 0 };
  host.intercept(async (call: ApiCall) => {
    if (call.service !== 's3' || call.operation !== 'PutObject') return;
    if (faults.slow > 0) await sleep(faults.slow);
    if (Math.random() >= faults.refusing) return;
    faults.refused++;
    throw new AwsError('SlowDown', 'Please reduce your request rate.', 503);
  });
  const server = await makePostgres(join(folder, 'server'), initdb);
  await server.start();
  const secrets = new SecretsManagerClient(host.client(region));
  const receivers: Receiver[] = [];
  const servers: Postgres[] = [server];
  const store: ObjectStore = { s3: new S3Client(host.client(region)), bucket };
  let secret = '';
  let recoveries = 0;

  const world: WalWorld = {
    folder,
    host,
    store,
    table: { table: 'state', dynamo: new DynamoDBClient(host.client(region)) },
    server,
    of,
    faults,
    async moveTo(to) {
      secret = `orders/${to.port}`;
      const { port } = to;
      const SecretString = JSON.stringify({
        host: '127.0.0.1',
        port,
        username: 'postgres',
        password,
        sslmode: 'disable',
      });
      await secrets.send(new CreateSecretCommand({ Name: secret, SecretString }));
      world.server = to;
      if (!servers.includes(to)) servers.push(to);
    },
    startReceiver(changes = {}, { leaseMilliseconds = 2_500, clockSkew = 0 } = {}) {
      const input: ReceiverInput = {
        ...of,
        bucket,
        lock: { mode: 'GOVERNANCE', seconds: 86_400 },
        backupStateMachineArn: `arn:aws:states:${region}:111122223333:stateMachine:acme-backup-physical`,
        leaseMilliseconds,
        physical: {
          schemaVersion: 1,
          secret,
          slot: 'pgdr_orders',
          stateTable: 'state',
          walChunkSeconds: 1,
          walChunkBytes: 4 * 2 ** 20,
          heartbeatSeconds: 1,
          synchronous: false,
          fullEverySeconds: null,
          pitrWindowSeconds: 86_400,
          tasks: { base: { cpu: '1024', memory: '2048', storageGiB: 21, timeoutSeconds: 60, heartbeatSeconds: 30 } },
          ...changes,
        },
      };
      const environment = { ...host.environment(region), PGDR_RECEIVER: JSON.stringify(input) };
      const receiver = spawnReceiver(environment, clockSkew, mkdtempSync(join(folder, 'disk-')));
      receivers.push(receiver);
      return receiver;
    },
    async archive(segmentBytes = 16 * 2 ** 20) {
      const keys: string[] = [];
      const histories = new Map<number, string>();
      for await (const key of list(store, walPrefix(of))) {
        keys.push(key);
        const parsed = parseWalKey(key);
        if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
      }
      return readArchive(keys, segmentBytes, histories);
    },
    async durable(lsn, options = {}) {
      const seconds = 30;
      const deadline = Date.now() + seconds * 1000;
      for (;;) {
        const archive = await world.archive();
        const newest = options.timeline ?? Math.max(0, ...archive.objects.keys());
        // Behind a hole nothing counts, unless the hole is a gap that stays.
        const holes = gapsOf(archive, newest).length - (options.gaps ?? 0);
        if (holes === 0 && (endOf(archive, newest) ?? 0n) >= parseLsn(lsn)) return;
        if (Date.now() > deadline) throw new Error(`WAL up to ${lsn} was not stored within ${seconds} s`);
        await sleep(100);
      }
    },
    baseBackup(name) {
      const { port } = world.server;
      const data = join(ownFolder(join(folder, name)), 'data');
      const target = ['-D', data, '-X', 'none', '-c', 'fast', '--no-sync', '--no-manifest'];
      run('pg_basebackup', ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', ...target], folder);
    },
    async recover(base, timeline = 'latest') {
      const place = ownFolder(join(folder, `recovery-${++recoveries}`));
      const wal = await writeWal(await world.archive(), store, ownFolder(join(place, 'wal')));
      cpSync(join(folder, base), place, { recursive: true, preserveTimestamps: true });
      giveFolder(join(place, 'data'));
      writeFileSync(join(place, 'data', 'recovery.signal'), '');
      const recovered = await servePostgres(place, {
        restore_command: `cp ${wal}/%f %p`,
        recovery_target_timeline: timeline,
        recovery_target_action: 'promote',
        archive_mode: 'off',
        synchronous_standby_names: '',
        fsync: 'off',
      });
      servers.push(recovered);
      await recovered.start();
      for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
        const [row] = await recovered.query('SELECT pg_is_in_recovery() AS recovering');
        if (row?.recovering === false) return recovered;
        if (Date.now() > deadline) throw new Error('the recovery did not end');
      }
    },
    async close() {
      for (const receiver of receivers) await receiver.kill();
      for (const one of servers) await one.stop('immediate');
      await host.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await world.moveTo(server);
  return world;
}

/** Puts the segments together as restore_command finds them. */
async function writeWal(archive: WalArchive, store: ObjectStore, folder: string): Promise<string> {
  for (const segment of archive.bySegment.keys()) {
    const file = Buffer.alloc(archive.segmentBytes);
    let at = 0;
    // What was stored behind a hole is of no use to a recovery.
    for await (const bytes of readPieces(store, planSegment(archive, segment).pieces)) {
      bytes.copy(file, at);
      at += bytes.length;
    }
    writeFileSync(join(folder, segment), file);
  }
  for await (const key of list(store, walPrefix(of))) {
    const parsed = parseWalKey(key);
    if (parsed?.kind !== 'history') continue;
    writeFileSync(join(folder, `${timelineDigits(parsed.timeline)}.history`), await getText(store, key));
  }
  return folder;
}

function spawnReceiver(environment: Record<string, string>, clockSkew: number, disk: string): Receiver {
  const [, ...args] = receiverCommand;
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      HOME: disk,
      TMPDIR: disk,
      // To profile a receiver: --cpu-prof, which writes its file when the receiver is stopped.
      NODE_OPTIONS: `${process.env.SCENARIO_NODE_OPTIONS ?? ''} ${clockSkew === 0 ? '' : skewed(clockSkew)}`,
      ...receiverEnvironment,
      ...environment,
    },
  });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const lines: Record<string, unknown>[] = [];
  const waiting = new Set<(line: Record<string, unknown>) => void>();
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (text) => {
    if (process.env.SCENARIO_VERBOSE) process.stderr.write(`${text}\n`);
    const line = JSON.parse(text);
    lines.push(line);
    for (const tell of waiting) tell(line);
  });
  return {
    pid: child.pid as number,
    lines,
    clockSkew,
    disk,
    get isRunning() {
      return child.exitCode === null && child.signalCode === null;
    },
    said(message, seconds = 30) {
      const found = lines.find((line) => message.test(String(line.message)));
      if (found) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(tell);
          const last = lines.slice(-8).map((line) => JSON.stringify(line));
          reject(new Error(`nothing matched ${message} in ${seconds} s; last lines:\n${last.join('\n')}`));
        }, seconds * 1000);
        const tell = (line: Record<string, unknown>) => {
          if (!message.test(String(line.message))) return;
          clearTimeout(timer);
          waiting.delete(tell);
          resolve(line);
        };
        waiting.add(tell);
      });
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
    signal: (name) => void child.kill(name),
  };
}

/** An option of node under which `Date` is wrong by so much; the monotonic clock is not, as on a machine. */
function skewed(milliseconds: number): string {
  const code = `const Right = Date;
    globalThis.Date = class extends Right {
      constructor(...given) { given.length > 0 ? super(...given) : super(Right.now() + ${milliseconds}); }
      static now() { return Right.now() + ${milliseconds}; }
    };`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}
