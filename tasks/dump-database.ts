import type { Client } from 'pg';
import { extendLock, type ObjectStore } from '../lib/aws/object-store.ts';
import * as keys from '../lib/core/keys.ts';
import type { DatabaseBackup, ManifestObject, TableFingerprint } from '../lib/core/manifest.ts';
import { reusableObjects } from '../lib/core/reuse.ts';
import type { Connection } from '../lib/postgres/connection.ts';
import { emptyFingerprint, largeObjects, takeFingerprint } from '../lib/postgres/fingerprint.ts';
import type { Skipped } from '../lib/postgres/preflight.ts';
import { hasLargeObjects } from '../lib/postgres/selection.ts';
import { joinSnapshot, type Snapshot } from '../lib/postgres/snapshot.ts';
import type { ToolEnvironment } from '../lib/postgres/tools.ts';
import { json, storeDocument } from './backup-store.ts';
import { planStreams } from './dump-plan.ts';
import { type DumpStream, storeDump } from './dump-stream.ts';
import type { JobContext } from './job.ts';
import { log, type Progress } from './log.ts';
import type { Source } from './source.ts';

/** One database of a backup: its dump and its fingerprint, both in its own snapshot. */
export interface DatabaseWork {
  readonly context: JobContext;
  readonly store: ObjectStore;
  readonly progress: Progress;
  readonly connection: Connection;
  readonly tools: ToolEnvironment;
  readonly snapshot: Snapshot;
  /** The folder of this database, with its trailing slash. */
  readonly prefix: string;
  readonly source: Source;
  /** The same database in the backup whose objects may be referred to. */
  readonly parent: DatabaseBackup | undefined;
}

export interface DatabaseContent {
  readonly objects: ManifestObject[];
  readonly warnings: Skipped[];
  readonly tables: TableFingerprint[];
}

/** Dumps and fingerprints side by side; whichever fails first stops the other, since one without the other is nothing. */
export async function dumpDatabase(work: DatabaseWork): Promise<DatabaseContent> {
  const { context, store, snapshot, prefix, source } = work;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
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
  await snapshot.check();
  const { lsn, takenAt } = snapshot;
  const text = json({ snapshot: { lsn, takenAt }, tables });
  const fingerprint = await storeDocument(store, keys.fingerprintKey(prefix), 'fingerprint', text);
  const database = source.identity.name;
  return { ...dumps, objects: [...dumps.objects, { ...fingerprint, database }], tables };
}

/**
 * Dumps the schema and the data, `concurrency` streams at a time, the largest first. With a parent, a table waits for
 * its fingerprint, which may spare its dump; what cannot be spared goes ahead meanwhile.
 */
async function storeDumps(
  { context, progress, tools, store, snapshot, prefix, source, parent }: DatabaseWork,
  signal: AbortSignal,
  fingerprintOf: (relation: string) => Promise<TableFingerprint>,
): Promise<Omit<DatabaseContent, 'tables'>> {
  const { logical } = context.settings;
  const database = source.identity.name;
  const plan = planStreams(source, logical, snapshot.id, prefix);
  const waiting = parent ? [...plan.shared, ...plan.own] : [...plan.own, ...plan.shared];
  const objects: ManifestObject[] = [];
  const warnings: Skipped[] = [];

  const reuse = async ({ relation }: DumpStream): Promise<ManifestObject[]> => {
    if (!parent || relation === undefined) return [];
    const encrypted = store.clientKey !== undefined;
    const options = { now: new Date(snapshot.takenAt), maxAgeSeconds: logical.reuseSeconds, encrypted };
    const volumes = reusableObjects(parent, await fingerprintOf(relation), options);
    // They now belong to this backup too, and must live as long.
    for (const { key, versionId } of volumes) await extendLock(store, key, versionId);
    return volumes;
  };
  const worker = async () => {
    for (let stream = waiting.shift(); stream; stream = waiting.shift()) {
      const { program } = stream;
      const reused = await reuse(stream);
      const stored =
        reused.length > 0
          ? reused
          : await storeDump(stream, store, tools, {
              zstdLevel: logical.zstdLevel,
              signal,
              onRawBytes: progress.add,
              onWarning: (text) => warnings.push({ database, what: program, why: text.trim().slice(0, 1000) }),
            });
      objects.push(...stored.map((object) => ({ ...object, database })));
      if (stream.role === 'table') progress.addTables(1);
      // The last of those that all other tables are in: `main`, or the definitions when there is nothing else.
      else if (stream.role === 'main' || plan.shared.length === 1) {
        progress.addTables(source.tables.length - plan.own.length);
      }
      for (const { key, bytes } of stored) {
        log(reused.length > 0 ? 'object of an earlier backup' : 'object stored', { key, bytes });
      }
    }
  };
  await Promise.all(Array.from({ length: logical.concurrency }, worker));
  return { objects: objects.sort((a, b) => (a.key < b.key ? -1 : 1)), warnings };
}

/** As many tables are hashed at a time as are dumped: with fewer, the hashes of the last ones are waited for alone. */
async function fingerprintSource(
  { context, connection, snapshot, source }: DatabaseWork,
  signal: AbortSignal,
  onTable: (table: TableFingerprint) => void,
): Promise<TableFingerprint[]> {
  const join = () => joinSnapshot(connection, snapshot.id);
  const clients = await Promise.all(Array.from({ length: context.settings.logical.concurrency }, join));
  const end = () => Promise.all(clients.map((client) => client.end().catch(() => {})));
  signal.addEventListener('abort', end);
  try {
    const { selection } = source.extent;
    const withoutRows = new Set(selection?.withoutRows);
    const relations = source.tables.map(({ relation }) => relation);
    const filled = relations.filter((relation) => !withoutRows.has(relation));
    const objects = hasLargeObjects(source.extent) ? [largeObjects] : [];
    const onlyVisible = context.settings.logical.allowSkipped.includes('row-security');
    const tables = await takeFingerprint(clients, [...objects, ...filled], onTable, { onlyVisible });
    const none = { rows: '0', hash1: '0', hash2: '0' };
    if (objects.length === 0) tables.push({ relation: largeObjects, columns: '', ...none });
    for (const relation of withoutRows) tables.push(await emptyFingerprint(clients[0] as Client, relation));
    return tables.sort((a, b) => (a.relation < b.relation ? -1 : 1));
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', end);
    await end();
  }
}
