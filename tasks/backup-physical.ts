import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { listBaseBackups } from '../lib/aws/base-backups.ts';
import { extendLock, type ObjectStore, openStore, putOnce } from '../lib/aws/object-store.ts';
import { readSecret } from '../lib/aws/secret.ts';
import { type Basis, chooseBasis } from '../lib/core/backup-chain.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { baseBackupPrefix, type Lineage, manifestKey, timeOrderedId, verificationKey } from '../lib/core/keys.ts';
import { formatLsn, parseLsn } from '../lib/core/lsn.ts';
import type { BackupSummary } from '../lib/core/outcome.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import { parsePhysicalSettings } from '../lib/core/physical-settings.ts';
import { reach } from '../lib/core/wal-archive.ts';
import { type Cluster, describeCluster, readBackupEnd } from '../lib/postgres/cluster.ts';
import { connect, parseConnection } from '../lib/postgres/connection.ts';
import { refuseManaged } from '../lib/postgres/managed.ts';
import { makeManifest } from './base-backup-manifest.ts';
import { storeBaseBackup } from './base-backup-store.ts';
import { checkChain } from './check-chain.ts';
import type { JobContext } from './job.ts';
import { log } from './log.ts';
import { openWal } from './wal-store.ts';

/**
 * A base backup: streamed from the server into the bucket, then the WAL that makes it consistent awaited there, then
 * the manifest. Without a receiver that streams it is refused, for it could never be restored.
 */
export async function backupPhysical(context: JobContext): Promise<BackupSummary> {
  const { settings } = context;
  const physical = parsePhysicalSettings(context.input.physical);
  const began = Date.now();
  const connection = parseConnection(await readSecret(physical.secret), physical.secret);
  const lockUntil = new Date(began + settings.lock.seconds * 1000);
  const store = openStore(settings.bucket, { mode: settings.lock.mode, until: lockUntil });
  const client = await connect(connection, 'pgdr base backup');
  try {
    await refuseManaged(client);
    const cluster = await describeCluster(client);
    await requireReceiver(client, physical.slot);
    const id = timeOrderedId(new Date(began), context.attempt);
    const prefix = baseBackupPrefix(settings, id);
    log('base backup begins', { id, bytes: cluster.bytes, server: cluster.identity.serverVersionNum });
    const basis = await chooseParent(context, store, cluster, physical.fullEverySeconds);
    const parent = basis.chain?.at(-1);
    const uploadBegan = Date.now();
    const stored = await storeBaseBackup({
      connection,
      cluster,
      store,
      prefix,
      id,
      parentManifest: parent?.objects.find(({ role }) => role === 'backup-manifest'),
      signal: context.signal,
    });
    const { backup, objects } = stored;
    const uploadSeconds = (Date.now() - uploadBegan) / 1000;
    const end = await readBackupEnd(client);
    log('base backup stored', { startLsn: backup.startLsn, stopLsn: backup.stopLsn, seconds: uploadSeconds });
    await waitForWal(context, store, cluster, backup, () => requireReceiver(client, physical.slot));

    const manifest = makeManifest({
      id,
      lineage: settings,
      cluster,
      stored,
      began,
      end,
      parentId: parent?.id ?? null,
      fullBecause: basis.chain ? null : basis.because,
      lockUntil,
    });
    const { parentId, fullBecause = null } = manifest;
    if (parentId !== null && basis.chain) await keepAncestors(store, settings, basis.chain);
    // The commit. A task that the execution has given up must not make a backup appear behind its back.
    await context.stillWanted();
    await putOnce(store, manifestKey(prefix), Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
    log('manifest written', { key: manifestKey(prefix) });
    const bytes = objects.reduce((sum, object) => sum + object.bytes, 0);
    return {
      id,
      manifestKey: manifestKey(prefix),
      takenAt: end.at,
      bytes,
      rawBytes: objects.reduce((sum, object) => sum + object.rawBytes, 0),
      newBytes: bytes,
      databases: cluster.databases.map(({ name }) => name),
      partial: null,
      adhoc: false,
      tables: 0,
      objects: objects.length,
      taskSeconds: (Date.now() - began) / 1000,
      uploadSeconds,
      skipped: 0,
      physical: {
        timeline: backup.timeline,
        startLsn: backup.startLsn,
        stopLsn: backup.stopLsn,
        parentId,
        fullBecause,
      },
    };
  } finally {
    await client.end().catch(() => {});
  }
}

/** The backups that this one is to build on, as far as they can be relied upon. */
async function chooseParent(
  { settings, input }: JobContext,
  store: ObjectStore,
  { identity, summarizesWal }: Cluster,
  fullEverySeconds: number | null,
): Promise<Basis> {
  if (fullEverySeconds === null || input.full === true) return { chain: null, because: null };
  // One that cannot be read is no reason to take none: there is an older one to build on, or this one is full.
  const backups = await listBaseBackups(store, settings, (key, { message }) =>
    log('base backup left out', { key, reason: message }),
  );
  const basis = chooseBasis(backups, {
    major: Math.floor(identity.serverVersionNum / 10_000),
    systemIdentifier: identity.systemIdentifier,
    summarizesWal,
    fullEverySeconds,
    now: Date.now(),
  });
  if (!basis.chain) {
    if (basis.because !== null) log('a full base backup in place of an increment', { reason: basis.because });
    return basis;
  }
  try {
    await checkChain(store, basis.chain);
    return basis;
  } catch (error) {
    if (!(error instanceof PgdrError) || error.name === 'StorageRefused') throw error;
    log('a full base backup in place of an increment', { reason: error.message });
    return { chain: null, because: error.message };
  }
}

/** An increment is worth nothing without what it builds on, which therefore stays locked as long as it does. */
async function keepAncestors(store: ObjectStore, lineage: Lineage, chain: readonly PhysicalManifest[]): Promise<void> {
  for (const { id, objects } of chain) {
    const prefix = baseBackupPrefix(lineage, id);
    await Promise.all([
      ...objects.map(({ key, versionId }) => extendLock(store, key, versionId)),
      extendLock(store, manifestKey(prefix)),
      extendLock(store, verificationKey(prefix)),
    ]);
  }
}

/** Throws `ReceiverNotStreaming` unless somebody reads from the slot of the receiver. */
async function requireReceiver(client: pg.Client, slot: string): Promise<void> {
  const { rows } = await client.query('SELECT active FROM pg_replication_slots WHERE slot_name = $1', [slot]);
  if (rows[0]?.active) return;
  const what = rows.length === 0 ? 'does not exist' : 'is read by nobody';
  throw new PgdrError('ReceiverNotStreaming', `the replication slot ${slot} of the WAL receiver ${what}`);
}

/** A receiver ships every few seconds; one that brings nothing for this long will not. */
const walPatience = 5 * 60_000;

/** Waits until the store holds the WAL from the start of the backup to its end, without a gap. */
async function waitForWal(
  { settings, signal }: JobContext,
  store: ObjectStore,
  { walSegmentBytes }: Cluster,
  { timeline, startLsn, stopLsn }: { timeline: number; startLsn: string; stopLsn: string },
  check: () => Promise<void>,
): Promise<void> {
  let end = -1n;
  let moved = Date.now();
  for (;;) {
    const now = reach(await openWal(store, settings, walSegmentBytes), timeline, parseLsn(startLsn)).end;
    if (now >= parseLsn(stopLsn)) return;
    if (now > end) moved = Date.now();
    end = now;
    if (Date.now() - moved > walPatience) {
      throw new PgdrError(
        'ReceiverNotStreaming',
        `the stored WAL ends at ${formatLsn(end)} and has not come forward for ${walPatience / 60_000} minutes; the backup needs it up to ${stopLsn}`,
      );
    }
    await check();
    await sleep(1000, undefined, { signal });
  }
}
