import { list, type ObjectStore } from '../lib/aws/object-store.ts';
import { type CapturePoint, capturePoint } from '../lib/core/capture-point.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { logicalPrefix } from '../lib/core/keys.ts';
import { formatLsn, parseLsn } from '../lib/core/lsn.ts';
import { type DatabaseBackup, databasesOf } from '../lib/core/manifest.ts';
import type { Check, TableProof } from '../lib/core/proof.ts';
import { judgeCaptured } from '../lib/core/proof-captured.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { timelineAt } from '../lib/core/wal.ts';
import type { Clone } from '../lib/postgres/clone.ts';
import { connect } from '../lib/postgres/connection.ts';
import { countCommitted, inspectCaptured } from '../lib/postgres/inspect-captured.ts';
import { readManifest } from './backup-store.ts';
import { log } from './log.ts';
import { type Prepared, type RecoverOptions, readReached, replay } from './recover.ts';
import { commitsBefore } from './wal-scan.ts';

/** What the comparison of a recovered server with its source came to. */
export interface Comparison {
  readonly databases: ReadonlyMap<string, DatabaseComparison>;
  /** Why there is none of the others. */
  readonly why: string;
  readonly lastTransactionAt: string | null;
  /** What replaying took until the comparison; the recovery needs it in any case. */
  readonly replaySeconds: number;
  /** Whether the recovery can go on from here; otherwise the data directory was used up. */
  readonly resumable: boolean;
}

export interface DatabaseComparison {
  readonly checks: readonly Check[];
  readonly tables: readonly TableProof[];
}

interface Point {
  readonly database: DatabaseBackup;
  readonly transactions: string;
  readonly lsn: bigint;
}

/** Of many logical backups, the newest that can serve is among the newest few, or there is a reason that all share. */
const mostCandidates = 5;

/**
 * Compares a server with its source on its way through recovery. A logical backup has the hashes of every table in a
 * snapshot; recovery is paused at the very point of the WAL that shows what this snapshot showed, and everything is
 * read there. The source is asked for nothing more.
 */
export async function compareWithSource(
  prepared: Prepared,
  store: ObjectStore,
  settings: DatabaseSettings,
  options: RecoverOptions,
): Promise<Comparison> {
  const { points, why } = await findPoints(prepared, store, settings, options);
  const databases = new Map<string, DatabaseComparison>();
  let said = why;
  let lastTransactionAt: string | null = null;
  let replaySeconds = 0;
  const result = (resumable: boolean) => ({ databases, why: said, lastTransactionAt, replaySeconds, resumable });
  for (const [lsn, group] of Map.groupBy(points, (point) => point.lsn)) {
    const target = {
      recovery_target_timeline: String(prepared.recovery.timeline),
      recovery_target_lsn: formatLsn(lsn),
      recovery_target_inclusive: 'off',
      recovery_target_action: 'pause',
    };
    let clone: Clone;
    try {
      const replayed = await replay(prepared, store, settings, target, { ...options, pause: true });
      clone = replayed.clone;
      replaySeconds += replayed.seconds;
    } catch (error) {
      if (!(error instanceof PgdrError) || error.name !== 'RecoveryTargetUnreachable') throw error;
      said = error.message;
      return result(true);
    }
    try {
      lastTransactionAt = (await readReached(clone)).lastTransactionAt ?? lastTransactionAt;
      for (const point of group) {
        const compared = await compareDatabase(clone, point, options.signal);
        if (typeof compared === 'string') said = compared;
        else databases.set(point.database.name, compared);
      }
    } finally {
      await clone.rest();
    }
    if (!clone.paused) return result(false);
  }
  return result(true);
}

/** The points of the newest logical backup that lies within what is recovered, in the order of the WAL. */
async function findPoints(
  prepared: Prepared,
  store: ObjectStore,
  settings: DatabaseSettings,
  { directory }: RecoverOptions,
): Promise<{ points: Point[]; why: string }> {
  const { recovery, archive, tools } = prepared;
  const { backup, timeline, end } = recovery;
  const ancestors = archive.histories.get(timeline) ?? [];
  const keys = (await Array.fromAsync(list(store, logicalPrefix(settings)))).filter((key) =>
    key.endsWith('/manifest.json'),
  );
  let why = `no logical backup lies between base backup ${backup.id} and the end of the stored WAL: take one, and test again`;
  for (const key of keys.toReversed().slice(0, mostCandidates)) {
    const manifest = await readManifest(store, key);
    if (manifest.systemIdentifier !== backup.systemIdentifier) continue;
    const points: Point[] = [];
    for (const database of databasesOf(manifest)) {
      const { transactions } = database.snapshot;
      const lsn = parseLsn(database.snapshot.lsn);
      if (transactions === undefined || lsn < parseLsn(backup.stopLsn) || lsn >= end) continue;
      if (timelineAt(timeline, ancestors, lsn - 1n) !== manifest.timeline) continue;
      const commits = await commitsBefore({ store, archive, timeline }, lsn, directory, tools);
      const point: CapturePoint = capturePoint({ transactions, lsn }, commits);
      if ('why' in point) why = `${manifest.id}: ${point.why}`;
      else if (point.lsn >= parseLsn(backup.stopLsn)) points.push({ database, transactions, lsn: point.lsn });
    }
    if (points.length === 0) continue;
    if (points.length === manifest.databases.length) why = `logical backup ${manifest.id} does not hold this database`;
    return { points: points.sort((a, b) => (a.lsn < b.lsn ? -1 : 1)), why };
  }
  return { points: [], why };
}

/** In words, why this point shows something else than the snapshot did; most likely it is the snapshot's own doing. */
async function compareDatabase(
  clone: Clone,
  { database, transactions, lsn }: Point,
  signal: AbortSignal,
): Promise<DatabaseComparison | string> {
  const connection = { ...clone.connection, dbname: database.name };
  const clients = await Promise.all([connect(connection, 'pgdr proof'), connect(connection, 'pgdr proof')]);
  const end = () => Promise.all(clients.map((client) => client.end().catch(() => {})));
  signal.addEventListener('abort', end);
  try {
    signal.throwIfAborted();
    const [client] = clients;
    const early = client ? await countCommitted(client, transactions) : 0;
    if (early > 0) return `${database.id}: ${early} transactions were committed long before they showed in the source`;
    const compared = judgeCaptured(database, await inspectCaptured(clients, database));
    const held = compared.checks.every((check) => check.held);
    log('compared with the source', { database: database.name, backup: database.id, lsn: formatLsn(lsn), held });
    return compared;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof PgdrError) throw error;
    throw new PgdrError('RecoveryFailed', `${database.name} could not be read: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener('abort', end);
    await end();
  }
}
