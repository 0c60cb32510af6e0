import { spawn } from 'node:child_process';
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import type pg from 'pg';
import { type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { serverAccount } from '../../lib/cli/rehearse/unprivileged.ts';
import type { Failure } from '../../lib/core/errors.ts';
import * as keys from '../../lib/core/keys.ts';
import type { BackupSummary, ProofSummary } from '../../lib/core/outcome.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { describeCluster, readBackupEnd } from '../../lib/postgres/cluster.ts';
import type { Connection } from '../../lib/postgres/connection.ts';
import { makeManifest } from '../../tasks/base-backup-manifest.ts';
import { storeBaseBackup } from '../../tasks/base-backup-store.ts';
import type { Recovered } from '../../tasks/recover.ts';
import { type S3Server, startS3 } from './s3-server.ts';

const compress = promisify(zstdCompress);

/** A real server and a real bucket without the rest of the cloud, for base backups and recoveries of every kind. */
export interface PhysicalRuns {
  readonly server: PostgresServer;
  readonly s3: S3Server;
  readonly store: ObjectStore;
  readonly lineage: keys.Lineage;
  readonly directory: string;
  readonly client: pg.Client;
  /** A base backup, or an increment to another, with its manifest and the word that it is verified. */
  backup(parent?: PhysicalManifest): Promise<PhysicalManifest>;
  /** Ends the current segment and stores every segment that is complete, as the receiver would have. */
  ship(): Promise<void>;
  /** Stores what is written of the current segment as a part of it. */
  shipPart(): Promise<bigint>;
  /** A logical backup of the database `postgres`: what the source shows, for a restore test to compare with. */
  capture(): Promise<BackupSummary>;
  /** The restore test of the newest base backup. */
  restoreTest(): Promise<{ readonly failure?: Failure; readonly proof?: ProofSummary }>;
  /** Recovers to the target, and asks the recovered server for one row each. */
  recover(target: unknown, questions?: readonly string[]): Promise<RecoveryAnswer>;
  close(): Promise<void>;
}

export interface RecoveryAnswer {
  readonly failure?: Failure;
  readonly recovered?: Omit<Recovered, 'clone'>;
  readonly answers?: readonly Record<string, unknown>[];
}

export interface PhysicalOptions {
  /** Directory of the programs of the source's major. */
  readonly bin: string;
  readonly settings?: Readonly<Record<string, string>>;
}

const lineage: keys.Lineage = { system: 'test', database: 'orders', lineage: 'main' };

export async function startPhysicalRuns({ bin, settings }: PhysicalOptions): Promise<PhysicalRuns> {
  const directory = mkdtempSync(join(tmpdir(), 'physical-'));
  await chmod(directory, 0o755);
  const s3 = await startS3();
  s3.bucket('backups', { VersioningConfiguration: { Status: 'Enabled' }, ObjectLockEnabled: true });
  const store: ObjectStore = { s3: s3.client({ maxAttempts: 3 }), bucket: 'backups' };
  const server = await startPostgres({
    bin,
    directory: join(directory, 'source'),
    settings: { wal_keep_size: '1GB', ...settings },
  });
  const client = await server.connect('postgres');
  const connection: Connection = {
    host: server.host,
    port: server.port,
    username: 'postgres',
    password: server.superuser.password,
    dbname: 'postgres',
    sslmode: 'disable',
  };
  const walFolder = join(directory, 'source', 'data', 'pg_wal');
  const stored = new Set<string>();
  const storeSegment = async (name: string, bytes?: number) => {
    const content = readFileSync(join(walFolder, name)).subarray(0, bytes);
    return compress(content);
  };
  const ask = async <T>(sql: string): Promise<T> => (await client.query(sql)).rows[0] as T;
  let backups = 0;
  const apart = <T>(job: object) =>
    runApart<T>(bin, s3.endpoint, { ...job, lineage, connection, attempt: `test${attempts++}` });
  let attempts = 0;

  const runs: PhysicalRuns = {
    server,
    s3,
    store,
    lineage,
    directory,
    client,
    async backup(parent) {
      const id = `20260101T0000${String(backups++).padStart(2, '0')}Z-aaaaaa`;
      const cluster = await describeCluster(client);
      const prefix = keys.baseBackupPrefix(lineage, id);
      const began = Date.now();
      const signal = new AbortController().signal;
      const parentManifest = parent?.objects.find(({ role }) => role === 'backup-manifest');
      const stored = await storeBaseBackup({ connection, cluster, store, prefix, id, parentManifest, signal });
      const manifest = makeManifest({
        id,
        lineage,
        cluster,
        stored,
        began,
        end: await readBackupEnd(client),
        parentId: parent?.id ?? null,
        fullBecause: null,
        lockUntil: null,
      });
      await putOnce(store, keys.manifestKey(prefix), Buffer.from(JSON.stringify(manifest)));
      await putOnce(store, keys.verificationKey(prefix), Buffer.from('{}'));
      return manifest;
    },
    async ship() {
      await ask('SELECT pg_switch_wal()');
      const { current } = await ask<{ current: string }>(
        'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS current',
      );
      const { rows } = await client.query(
        "SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' AND name < $1",
        [current],
      );
      for (const { name } of rows) {
        if (stored.has(name)) continue;
        await putOnce(store, keys.walSegmentKey(lineage, name), await storeSegment(name));
        stored.add(name);
      }
    },
    async shipPart() {
      const { name, start, end } = await ask<{ name: string; start: string; end: string }>(
        `SELECT pg_walfile_name(lsn) AS name, lsn - '0/0' AS end,
                (lsn - '0/0') - (lsn - '0/0') % (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size') AS start
           FROM (SELECT pg_current_wal_flush_lsn() AS lsn) l`,
      );
      const [from, to] = [BigInt(start), BigInt(end)];
      if (to > from) {
        await putOnce(store, keys.walPartKey(lineage, name, from, to), await storeSegment(name, Number(to - from)));
      }
      return to;
    },
    async capture() {
      const { taken, failure } = await apart<{ taken?: BackupSummary; failure?: Failure }>({ work: 'capture' });
      if (!taken) throw new Error(failure?.message);
      return taken;
    },
    restoreTest: () => apart({ work: 'restore-test' }),
    recover: (target, questions = []) => apart({ work: 'recover', target, questions }),
    async close() {
      await client.end().catch(() => {});
      await server.stop();
      await s3.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return runs;
}

/** PostgreSQL does not run as root: a process of its own, as the account that may, does the work of a task. */
async function runApart<T>(bin: string, endpoint: string, job: object): Promise<T> {
  const account = serverAccount();
  const home = mkdtempSync(join(tmpdir(), 'recovery-'));
  if (account) chownSync(home, account.uid, account.gid);
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'physical-recovery.ts'), JSON.stringify({ ...job, home })],
    {
      env: {
        PATH: `${bin}:${process.env.PATH}`,
        AWS_ENDPOINT_URL: endpoint,
        AWS_REGION: 'eu-central-1',
        AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
        AWS_SECRET_ACCESS_KEY: 'secret',
        TMPDIR: home,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(account && { uid: account.uid, gid: account.gid }),
    },
  );
  const output = await text(child.stdout);
  rmSync(home, { recursive: true, force: true });
  const last = output.trim().split('\n').at(-1) ?? '';
  if (process.env.PGDR_TEST_LOG) console.log(output);
  return JSON.parse(last) as T;
}
