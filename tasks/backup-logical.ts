import { type ObjectStore, putOnce } from '../lib/aws/object-store.ts';
import { readSecret } from '../lib/aws/secret.ts';
import * as keys from '../lib/core/keys.ts';
import {
  backupBytes,
  backupRawBytes,
  countTables,
  type DatabaseRecord,
  databaseOf,
  type Manifest,
  type ManifestObject,
  takenAt,
} from '../lib/core/manifest.ts';
import type { BackupSummary } from '../lib/core/outcome.ts';
import { canBeParent, newBytes } from '../lib/core/reuse.ts';
import { sealManifest } from '../lib/core/sealed-manifest.ts';
import { describeSelection, everything, parseSelection, type Selection } from '../lib/core/selection.ts';
import { type Connection, connect, parseConnection } from '../lib/postgres/connection.ts';
import { exportSnapshot, rfc3339, type Snapshot } from '../lib/postgres/snapshot.ts';
import { forDatabase, type ToolEnvironment, toolEnvironment } from '../lib/postgres/tools.ts';
import { json, openBackupStore, storeDocument } from './backup-store.ts';
import { dumpDatabase } from './dump-database.ts';
import { globalsStream } from './dump-plan.ts';
import { storeDump } from './dump-stream.ts';
import type { JobContext } from './job.ts';
import { log, startProgress } from './log.ts';
import { findParent } from './parent-backup.ts';
import { checkSource, chooseDatabases, describeSource, type Source } from './source.ts';
import { nameSourceFailure } from './source-failure.ts';

/**
 * A logical backup: for each database one exported snapshot, shared by pg_dump's streams and the fingerprint of every
 * table; the manifest last. Layout and order: docs/architecture.md.
 */
export async function backupLogical(context: JobContext): Promise<BackupSummary> {
  const { secret, logical } = context.settings;
  const source = parseConnection(await readSecret(secret), secret);
  const connection: Connection = { ...source, lockTimeoutSeconds: logical.lockTimeoutSeconds };
  return backUp(context, connection, await chooseDatabases(connection, logical.databases));
}

/** Backs up databases of a server: that of the secret, or one that was recovered from elsewhere. */
export async function backUp(
  context: JobContext,
  connection: Connection,
  names: readonly string[],
  { adhoc, selection }: Scope = scopeOf(context),
): Promise<BackupSummary> {
  const { settings } = context;
  const began = Date.now();
  const tools = await toolEnvironment(connection, context.directory);
  const preflight = await checkSource(connection, names, tools, selection, settings.logical.allowSkipped);

  const lockUntil = new Date(began + settings.lock.seconds * 1000);
  const store = await openBackupStore(settings, { mode: settings.lock.mode, until: lockUntil });
  const parent = await chooseParent(context, store, preflight.identity);
  const databases = await openDatabases(connection, tools, names, selection);
  try {
    const [first] = databases as [Database];
    const id = keys.timeOrderedId(new Date(first.snapshot.takenAt), context.attempt);
    const prefix = keys.backupPrefix(settings, id, adhoc);
    log('snapshots taken', { backup: id, databases: names, parent: parent?.id ?? null });

    const uploadBegan = Date.now();
    const objects = await storeGlobals(context, store, tools, first, prefix);
    const records: DatabaseRecord[] = [];
    const skipped = [...preflight.skipped];
    const all = databases.flatMap(({ source }) => source.tables);
    const estimate = all.reduce((sum, { bytes }) => sum + bytes, 0);
    const progress = startProgress('dump', estimate, all.length);
    try {
      for (const [i, { source, ...database }] of databases.entries()) {
        const content = await nameSourceFailure(
          database.connection,
          database.snapshot,
          dumpDatabase({
            ...database,
            context,
            store,
            progress,
            source,
            prefix: keys.contentPrefix(prefix, i + 1),
            parent: parent && databaseOf(parent, source.identity.name),
          }),
        );
        objects.push(...content.objects);
        skipped.push(...content.warnings);
        records.push(recordOf(source, database.snapshot, content.tables));
      }
    } finally {
      progress.stop();
    }
    const uploadSeconds = (Date.now() - uploadBegan) / 1000;
    const stopped = await readStop(connection);

    const whole: Manifest = {
      schemaVersion: 1,
      kind: 'logical',
      id,
      parentId: parent?.id ?? null,
      system: settings.system,
      database: settings.database,
      lineage: settings.lineage,
      adhoc,
      ...preflight.identity,
      toolVersion: preflight.toolVersion,
      startLsn: first.snapshot.lsn,
      stopLsn: stopped.lsn,
      startedAt: new Date(began).toISOString(),
      stoppedAt: stopped.at,
      roles: first.source.access.roles,
      databases: records,
      objects,
      skipped,
      lockUntil: lockUntil.toISOString(),
    };
    const manifest = store.clientKey
      ? sealManifest(whole, await storeDocument(store, keys.detailsKey(prefix), 'details', json(whole)))
      : whole;
    // The commit. A task that the execution has given up must not make a backup appear behind its back.
    await context.stillWanted();
    await putOnce(store, keys.manifestKey(prefix), json(manifest));
    log('manifest written', { key: keys.manifestKey(prefix) });
    return {
      id,
      manifestKey: keys.manifestKey(prefix),
      takenAt: takenAt(manifest),
      bytes: backupBytes(manifest),
      rawBytes: backupRawBytes(manifest),
      newBytes: newBytes(manifest, prefix),
      databases: names,
      partial: describeSelection(records[0]?.selection ?? null),
      adhoc,
      tables: countTables(manifest),
      objects: manifest.objects.length,
      taskSeconds: (Date.now() - began) / 1000,
      uploadSeconds,
      skipped: whole.skipped.length,
    };
  } finally {
    await Promise.all(databases.map(({ snapshot }) => snapshot.release()));
  }
}

interface Scope {
  /** Whether it is kept apart from the daily backups. */
  readonly adhoc: boolean;
  readonly selection: Selection;
}

/** The selection that the execution was asked for makes an ad-hoc backup; otherwise it is that of the settings. */
function scopeOf({ settings, input }: JobContext): Scope {
  if (input.select === undefined || input.select === null) {
    return { adhoc: false, selection: settings.logical.select ?? everything };
  }
  return { adhoc: true, selection: parseSelection(input.select) };
}

interface Database {
  readonly connection: Connection;
  readonly tools: ToolEnvironment;
  readonly snapshot: Snapshot;
  readonly source: Source;
}

/**
 * A snapshot of each database, one right after the other: a server has no snapshot across databases, and the manifest
 * says when each was taken. All are described before any dump begins, since sequences are outside of snapshots.
 */
async function openDatabases(
  server: Connection,
  tools: ToolEnvironment,
  names: readonly string[],
  selection: Selection,
): Promise<Database[]> {
  const snapshots: Snapshot[] = [];
  try {
    const connections = names.map((dbname) => ({ ...server, dbname }));
    for (const connection of connections) snapshots.push(await exportSnapshot(connection));
    const databases: Database[] = [];
    for (const [i, connection] of connections.entries()) {
      const snapshot = snapshots[i] as Snapshot;
      const source = await nameSourceFailure(connection, snapshot, describeSource(connection, snapshot, selection));
      databases.push({ connection, tools: forDatabase(tools, connection.dbname), snapshot, source });
    }
    return databases;
  } catch (error) {
    await Promise.all(snapshots.map((snapshot) => snapshot.release()));
    throw error;
  }
}

/** Roles are the server's, and kept once. */
async function storeGlobals(
  { settings, signal }: JobContext,
  store: ObjectStore,
  tools: ToolEnvironment,
  { connection }: Database,
  prefix: string,
): Promise<ManifestObject[]> {
  const { zstdLevel } = settings.logical;
  const nothing = () => {};
  const stream = globalsStream(connection.dbname, prefix);
  return storeDump(stream, store, tools, { zstdLevel, signal, onRawBytes: nothing, onWarning: nothing });
}

function recordOf(
  source: Source,
  { lsn, takenAt, transactions }: Snapshot,
  tables: DatabaseRecord['tables'],
): DatabaseRecord {
  const { grants, owners, settings } = source.access;
  return {
    ...source.identity,
    snapshot: { lsn, takenAt, transactions },
    selection: source.extent.selection,
    tables,
    sequences: source.sequences,
    materializedViews: source.materializedViews,
    inventory: source.inventory,
    grants,
    owners,
    settings,
    defects: source.defects,
  };
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
