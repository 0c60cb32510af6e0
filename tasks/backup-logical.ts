import { extendLock, type ObjectStore, openStore, putOnce } from '../lib/aws/object-store.ts';
import { readSecret } from '../lib/aws/secret.ts';
import * as keys from '../lib/core/keys.ts';
import {
  backupBytes,
  backupRawBytes,
  type Manifest,
  type ManifestObject,
  type TableFingerprint,
} from '../lib/core/manifest.ts';
import type { BackupSummary } from '../lib/core/outcome.ts';
import { canBeParent, newBytes, reusableObject } from '../lib/core/reuse.ts';
import { type Connection, connect, parseConnection } from '../lib/postgres/connection.ts';
import { takeFingerprint } from '../lib/postgres/fingerprint.ts';
import type { Skipped } from '../lib/postgres/preflight.ts';
import { exportSnapshot, joinSnapshot, rfc3339, type Snapshot } from '../lib/postgres/snapshot.ts';
import { type ToolEnvironment, toolEnvironment } from '../lib/postgres/tools.ts';
import { planStreams } from './dump-plan.ts';
import { type DumpStream, storeDump } from './dump-stream.ts';
import type { JobContext } from './job.ts';
import { log, startProgress } from './log.ts';
import { findParent } from './parent-backup.ts';
import { checkSource, describeSource, type Source } from './source.ts';

/**
 * A logical backup: one exported snapshot, shared by pg_dump's streams and the fingerprint of every table; the
 * manifest last. Layout and order: docs/architecture.md.
 */
export async function backupLogical(context: JobContext): Promise<BackupSummary> {
  const { settings } = context;
  const began = Date.now();
  const connection = parseConnection(await readSecret(settings.secret), settings.secret);
  const tools = await toolEnvironment(connection, context.directory);
  const preflight = await checkSource(connection, tools, settings.logical.allowSkipped);

  const lockUntil = new Date(began + settings.lock.seconds * 1000);
  const store = openStore(settings.bucket, { mode: settings.lock.mode, until: lockUntil });
  const parent = await chooseParent(context, store, preflight.identity);
  const snapshot = await exportSnapshot(connection);
  try {
    log('snapshot taken', { lsn: snapshot.lsn, takenAt: snapshot.takenAt, parent: parent?.id ?? null });
    const id = keys.timeOrderedId(new Date(snapshot.takenAt), context.attempt);
    const prefix = keys.backupPrefix(settings, id);
    const source = await describeSource(connection, snapshot);
    const uploadBegan = Date.now();
    const { objects, warnings, tables } = await storeContent({
      context,
      connection,
      tools,
      store,
      snapshot,
      prefix,
      source,
      parent,
    });
    await snapshot.check();
    const uploadSeconds = (Date.now() - uploadBegan) / 1000;
    const stopped = await readStop(connection);
    const fingerprint = await putOnce(store, keys.fingerprintKey(prefix), json({ snapshot: pick(snapshot), tables }));

    const manifest: Manifest = {
      schemaVersion: 1,
      kind: 'logical',
      id,
      parentId: parent?.id ?? null,
      system: settings.system,
      database: settings.database,
      lineage: settings.lineage,
      ...preflight.identity,
      toolVersion: preflight.toolVersion,
      startLsn: snapshot.lsn,
      stopLsn: stopped.lsn,
      startedAt: new Date(began).toISOString(),
      stoppedAt: stopped.at,
      snapshot: pick(snapshot),
      databases: [source.database],
      objects: [...objects, { role: 'fingerprint', rawBytes: fingerprint.bytes, ...fingerprint }],
      tables,
      sequences: source.sequences,
      materializedViews: source.materializedViews,
      inventory: source.inventory,
      ...source.access,
      defects: source.defects,
      skipped: [...preflight.skipped, ...warnings],
      lockUntil: lockUntil.toISOString(),
    };
    // The commit. A task that the execution has given up must not make a backup appear behind its back.
    await context.stillWanted();
    await putOnce(store, keys.manifestKey(prefix), json(manifest));
    log('manifest written', { key: keys.manifestKey(prefix) });
    return {
      id,
      manifestKey: keys.manifestKey(prefix),
      takenAt: snapshot.takenAt,
      bytes: backupBytes(manifest),
      rawBytes: backupRawBytes(manifest),
      newBytes: newBytes(manifest, prefix),
      tables: tables.length,
      objects: manifest.objects.length,
      taskSeconds: (Date.now() - began) / 1000,
      uploadSeconds,
      skipped: manifest.skipped.length,
    };
  } finally {
    await snapshot.release();
  }
}

/** The backup whose objects may be referred to, where the settings want that and it is of the same server. */
async function chooseParent(
  { settings }: JobContext,
  store: ObjectStore,
  identity: { systemIdentifier: string; serverVersionNum: number },
): Promise<Manifest | undefined> {
  if (settings.logical.reuseSeconds === 0) return undefined;
  const parent = await findParent(store, settings);
  return parent && canBeParent(parent, identity) ? parent : undefined;
}

interface Content {
  readonly objects: ManifestObject[];
  readonly warnings: Skipped[];
  readonly tables: TableFingerprint[];
}

interface Work {
  readonly context: JobContext;
  readonly connection: Connection;
  readonly tools: ToolEnvironment;
  readonly store: ObjectStore;
  readonly snapshot: Snapshot;
  readonly prefix: string;
  readonly source: Source;
  readonly parent: Manifest | undefined;
}

/** Dumps and fingerprints side by side; whichever fails first stops the other, since one without the other is nothing. */
async function storeContent(work: Work): Promise<Content> {
  const stop = new AbortController();
  const signal = AbortSignal.any([work.context.signal, stop.signal]);
  const together = <T>(part: Promise<T>) =>
    part.catch((error) => {
      stop.abort(error);
      throw error;
    });
  const fingerprints = new Map<string, PromiseWithResolvers<TableFingerprint>>();
  const fingerprintOf = (relation: string) => {
    const known = fingerprints.get(relation) ?? Promise.withResolvers<TableFingerprint>();
    fingerprints.set(relation, known);
    return known;
  };
  const stopped = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  stopped.catch(() => {});
  const [dumps, tables] = await Promise.all([
    together(storeDumps(work, signal, (relation) => Promise.race([fingerprintOf(relation).promise, stopped]))),
    together(fingerprintSource(work, signal, (table) => fingerprintOf(table.relation).resolve(table))),
  ]);
  return { ...dumps, tables };
}

/**
 * Dumps the schema, the data and the globals, `concurrency` streams at a time, the largest first. With a parent, a
 * table waits for its fingerprint, which may spare its dump; what cannot be spared goes ahead meanwhile.
 */
async function storeDumps(
  { context, tools, store, snapshot, prefix, source, parent }: Work,
  signal: AbortSignal,
  fingerprintOf: (relation: string) => Promise<TableFingerprint>,
): Promise<Omit<Content, 'tables'>> {
  const { logical } = context.settings;
  const plan = planStreams({ tables: source.tables, database: source.database.name }, logical, snapshot.id, prefix);
  const waiting = parent ? [...plan.shared, ...plan.own] : [...plan.own, ...plan.shared];
  const progress = startProgress(
    'dump',
    source.tables.reduce((sum, table) => sum + table.bytes, 0),
  );
  const objects: ManifestObject[] = [];
  const warnings: Skipped[] = [];
  const onWarning = (what: string) => (text: string) => warnings.push({ what, why: text.trim().slice(0, 1000) });

  const reuse = async ({ relation }: DumpStream): Promise<ManifestObject | undefined> => {
    if (!parent || relation === undefined) return undefined;
    const options = { now: new Date(snapshot.takenAt), maxAgeSeconds: logical.reuseSeconds };
    const object = reusableObject(parent, await fingerprintOf(relation), options);
    // The object now belongs to this backup too, and must live as long.
    if (object) await extendLock(store, object.key, object.versionId);
    return object;
  };
  const worker = async () => {
    for (let stream = waiting.shift(); stream; stream = waiting.shift()) {
      const reused = await reuse(stream);
      const object =
        reused ??
        (await storeDump(stream, store, tools, {
          zstdLevel: logical.zstdLevel,
          signal,
          onRawBytes: progress.add,
          onWarning: onWarning(stream.program),
        }));
      objects.push(object);
      log(reused ? 'object of an earlier backup' : 'object stored', { key: object.key, bytes: object.bytes });
    }
  };
  try {
    await Promise.all(Array.from({ length: logical.concurrency }, worker));
  } finally {
    progress.stop();
  }
  return { objects: objects.sort((a, b) => (a.key < b.key ? -1 : 1)), warnings };
}

/** Two connections hash two tables at a time: enough to hide the wait, little enough to leave the server its cores. */
async function fingerprintSource(
  { connection, snapshot }: Work,
  signal: AbortSignal,
  onTable: (table: TableFingerprint) => void,
): Promise<TableFingerprint[]> {
  const clients = await Promise.all([0, 1].map(() => joinSnapshot(connection, snapshot.id)));
  const end = () => Promise.all(clients.map((client) => client.end().catch(() => {})));
  signal.addEventListener('abort', end);
  try {
    return await takeFingerprint(clients, onTable);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', end);
    await end();
  }
}

async function readStop(connection: Connection): Promise<{ lsn: string; at: string }> {
  const client = await connect(connection, 'pgdr stop');
  try {
    const { rows } = await client.query(`
      SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn,
             ${rfc3339('clock_timestamp()')} AS at`);
    return rows[0];
  } finally {
    await client.end().catch(() => {});
  }
}

const pick = ({ lsn, takenAt }: Snapshot) => ({ lsn, takenAt });
const json = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
