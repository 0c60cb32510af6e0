import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { listBaseBackups } from '../lib/aws/base-backups.ts';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import { requireChain } from '../lib/core/backup-chain.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { basePrefix, type Lineage } from '../lib/core/keys.ts';
import { formatLsn, parseLsn } from '../lib/core/lsn.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import {
  chooseRecovery,
  describeTarget,
  microseconds,
  type Recovery,
  type RecoveryTarget,
  targetParameters,
} from '../lib/core/recovery-target.ts';
import type { WalArchive } from '../lib/core/wal-archive.ts';
import { type Clone, startClone } from '../lib/postgres/clone.ts';
import { connect } from '../lib/postgres/connection.ts';
import { rfc3339 } from '../lib/postgres/snapshot.ts';
import { type ToolEnvironment, toolEnvironment, toolVersion } from '../lib/postgres/tools.ts';
import { checkChain } from './check-chain.ts';
import { fetchChain } from './combine-base.ts';
import { disarm } from './fetch-base.ts';
import { checkTarget, findPoint } from './find-target.ts';
import { log } from './log.ts';
import { startWalProvider } from './wal-provider.ts';
import { checkEnd } from './wal-scan.ts';
import { openWal } from './wal-store.ts';

/** A server of this task as the source was at a point in time. */
export interface Recovered {
  readonly clone: Clone;
  readonly backup: PhysicalManifest;
  readonly timeline: number;
  /** End of the last record that was replayed. */
  readonly lsn: string;
  /** Of the last transaction that was replayed; null when there was none after the backup. */
  readonly lastTransactionAt: string | null;
  /** When the store was last asked for WAL, milliseconds since the epoch. */
  readonly listedAt: number;
  readonly fetchSeconds: number;
  readonly replaySeconds: number;
  /** Bytes from the start of the backup to the end of the recovery. */
  readonly walBytes: number;
}

export interface RecoverOptions {
  readonly directory: string;
  readonly concurrency: number;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

/** What a target needs, found before anything is fetched. Throws `RecoveryTargetUnreachable`, `BackupNotFound`. */
export async function planRecovery(
  store: ObjectStore,
  lineage: Lineage,
  target: RecoveryTarget,
  { directory }: Pick<RecoverOptions, 'directory'>,
): Promise<Pick<Prepared, 'recovery' | 'archive' | 'listedAt'> & { chain: readonly PhysicalManifest[] }> {
  // One that cannot be read is no reason not to begin with another; the hourly audit pages for it.
  const backups = await listBaseBackups(store, lineage, (key, { message }) =>
    log('base backup left out', { key, reason: message }),
  );
  const [newest] = backups.slice(-1);
  if (!newest) {
    throw new PgdrError('BackupNotFound', `no verified base backup below s3://${store.bucket}/${basePrefix(lineage)}`);
  }
  const listedAt = Date.now();
  const archive = await openWal(store, lineage, newest.walSegmentBytes);
  const point = target.kind === 'name' && (await findPoint(target.name, target, backups, { store, lineage, archive }));
  const recovery = chooseRecovery(target, backups, archive, point || undefined);
  const chain = requireChain(recovery.backup, backups);
  await checkChain(store, chain);
  await checkTarget(target, recovery, { store, archive, timeline: recovery.timeline }, directory);
  log('recovery planned', {
    target: describeTarget(target),
    backups: chain.map(({ id }) => id),
    timeline: recovery.timeline,
    from: formatLsn(recovery.start),
    to: formatLsn(recovery.end),
  });
  return { recovery, chain, archive, listedAt };
}

/** A data directory that can be recovered, and the WAL that there is for it. */
export interface Prepared {
  readonly recovery: Recovery;
  readonly archive: WalArchive;
  /** When it was listed, milliseconds since the epoch. */
  readonly listedAt: number;
  readonly tools: ToolEnvironment;
  readonly home: string;
  readonly data: string;
  readonly fetchSeconds: number;
}

/** Recovers into a throwaway server; whoever calls stops it. */
export async function recover(
  store: ObjectStore,
  lineage: Lineage,
  target: RecoveryTarget,
  options: RecoverOptions,
): Promise<Recovered> {
  return recoverPrepared(await prepareRecovery(store, lineage, target, options), store, lineage, target, options);
}

/** Plans, fetches and verifies: all that comes before the WAL. */
export async function prepareRecovery(
  store: ObjectStore,
  lineage: Lineage,
  target: RecoveryTarget,
  options: RecoverOptions,
): Promise<Prepared> {
  const { directory } = options;
  const tools: ToolEnvironment = await toolsOnly(directory);
  const { recovery, chain, archive, listedAt } = await planRecovery(store, lineage, target, options);
  await requireMajor(tools, recovery.backup);
  const home = join(directory, 'clone');
  const began = Date.now();
  await rm(home, { recursive: true, force: true });
  const data = await fetchChain(chain, store, home, tools, options);
  await disarm(data);
  const fetchSeconds = (Date.now() - began) / 1000;
  log('base backup fetched and verified', { seconds: fetchSeconds });
  return { recovery, archive, listedAt, tools, home, data, fetchSeconds };
}

export async function recoverPrepared(
  prepared: Prepared,
  store: ObjectStore,
  lineage: Lineage,
  target: RecoveryTarget,
  options: RecoverOptions,
): Promise<Recovered> {
  const { recovery, archive, fetchSeconds } = prepared;
  const { backup, timeline, start, end } = recovery;
  const parameters = targetParameters(target, timeline);
  const { clone, seconds, listedAt } = await replay(prepared, store, lineage, parameters, options);
  try {
    const { lsn, lastTransactionAt } = await readReached(clone);
    if (target.kind === 'latest') await checkEnd({ store, archive, timeline }, parseLsn(lsn), end);
    checkReached(target, lsn, lastTransactionAt);
    log('recovered', { target: describeTarget(target), lsn, lastTransactionAt, seconds });
    const walBytes = Number(parseLsn(lsn) - start);
    const times = { lastTransactionAt, listedAt, fetchSeconds, replaySeconds: seconds };
    return { clone, backup, timeline, lsn, walBytes, ...times };
  } catch (error) {
    await clone.stop();
    throw error;
  }
}

/** Replays WAL up to what the parameters say; a server that rests after a pause goes on from there. */
export async function replay(
  { recovery, archive, listedAt, home, data }: Prepared,
  store: ObjectStore,
  lineage: Lineage,
  parameters: Readonly<Record<string, string>>,
  { timeoutSeconds, signal, pause = false }: RecoverOptions & { readonly pause?: boolean },
): Promise<{ clone: Clone; seconds: number; listedAt: number }> {
  const began = Date.now();
  const { backup, timeline, start, end } = recovery;
  const provider = await startWalProvider({
    store,
    lineage,
    archive,
    listedAt,
    timeline,
    start,
    end,
    folder: join(home, 'wal'),
    ahead: 6,
    signal,
  });
  try {
    const clone = await startClone({
      data,
      home,
      recovery: { restore_command: provider.restoreCommand, ...parameters },
      pause,
      limits: backup.limits,
      superusers: backup.superusers,
      major: Math.floor(backup.serverVersionNum / 10_000),
      walFailure: provider.failure,
      timeoutSeconds,
      signal,
    });
    return { clone, seconds: (Date.now() - began) / 1000, listedAt: provider.listedAt() };
  } finally {
    await provider.stop();
  }
}

async function toolsOnly(directory: string): Promise<ToolEnvironment> {
  const nowhere = { host: '127.0.0.1', port: 1, username: '', password: '', dbname: '', sslmode: 'disable' } as const;
  return toolEnvironment(nowhere, directory);
}

async function requireMajor(tools: ToolEnvironment, backup: PhysicalManifest): Promise<void> {
  const own = await toolVersion(tools);
  const major = Math.floor(backup.serverVersionNum / 10_000);
  if (own.major === major) return;
  throw new PgdrError('PostgresMajorMismatch', `the base backup is of PostgreSQL ${major}, this task has ${own.text}`);
}

export async function readReached({ connection }: Clone): Promise<{ lsn: string; lastTransactionAt: string | null }> {
  const client = await connect(connection, 'pgdr recovery');
  try {
    const { rows } = await client.query(
      `SELECT pg_last_wal_replay_lsn()::text AS lsn, ${rfc3339('pg_last_xact_replay_timestamp()')} AS "lastTransactionAt"`,
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

/** PostgreSQL says that it arrived; this holds it to that. */
function checkReached(target: RecoveryTarget, lsn: string, lastTransactionAt: string | null): void {
  const missed = (how: string) => new PgdrError('RecoveryFailed', `${describeTarget(target)} was missed: ${how}`);
  if (target.kind === 'lsn' && parseLsn(lsn) < parseLsn(target.lsn)) throw missed(`recovery ended at ${lsn}`);
  if (
    target.kind === 'time' &&
    lastTransactionAt !== null &&
    microseconds(lastTransactionAt) > microseconds(target.time)
  ) {
    throw missed(`a transaction of ${lastTransactionAt} is in it`);
  }
}
