import { openStore, putOnce } from '../lib/aws/object-store.ts';
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
import * as catalog from '../lib/postgres/catalog.ts';
import { type Connection, connect, parseConnection } from '../lib/postgres/connection.ts';
import { takeFingerprint } from '../lib/postgres/fingerprint.ts';
import { checkContent, checkMajors, type Skipped } from '../lib/postgres/preflight.ts';
import { exportSnapshot, joinSnapshot, rfc3339, type Snapshot } from '../lib/postgres/snapshot.ts';
import { type ToolEnvironment, toolEnvironment, toolVersion } from '../lib/postgres/tools.ts';
import { type DumpStream, storeDump } from './dump-stream.ts';
import type { JobContext } from './job.ts';
import { log, startProgress } from './log.ts';

/**
 * A logical backup: one exported snapshot, shared by pg_dump's streams and the fingerprint of every table; the
 * manifest last. Layout and order: docs/architecture.md.
 */
export async function backupLogical(context: JobContext): Promise<BackupSummary> {
  const { settings } = context;
  const began = Date.now();
  const startedAt = new Date(began).toISOString();
  const connection = parseConnection(await readSecret(settings.secret), settings.secret);
  const tools = await toolEnvironment(connection, context.directory);

  const source = await inspectSource(connection, tools, settings.logical.allowSkipped);
  const snapshot = await exportSnapshot(connection);
  try {
    log('snapshot taken', { lsn: snapshot.lsn, takenAt: snapshot.takenAt });
    const id = keys.timeOrderedId(new Date(snapshot.takenAt), context.attempt);
    const prefix = keys.backupPrefix(settings, id);
    const stop = new AbortController();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    // Whichever side fails first stops the other: a dump without a fingerprint is worth nothing, nor the reverse.
    const together = <T>(work: Promise<T>) =>
      work.catch((error) => {
        stop.abort(error);
        throw error;
      });
    const uploadBegan = Date.now();
    const [dumps, fingerprint] = await Promise.all([
      together(storeDumps(context, signal, tools, snapshot, prefix, source)),
      together(fingerprintSource(connection, snapshot, signal)),
    ]);
    await snapshot.check();
    const uploadSeconds = (Date.now() - uploadBegan) / 1000;
    const stopped = await readStop(connection);
    const store = openStore(settings.bucket);
    const stored = await putOnce(
      store,
      keys.fingerprintKey(prefix),
      json({ snapshot: pick(snapshot), ...fingerprint }),
    );
    const fingerprintObject: ManifestObject = { role: 'fingerprint', rawBytes: stored.bytes, ...stored };

    const manifest: Manifest = {
      schemaVersion: 1,
      kind: 'logical',
      id,
      parentId: null,
      system: settings.system,
      database: settings.database,
      lineage: settings.lineage,
      ...source.identity,
      toolVersion: source.toolVersion,
      startLsn: snapshot.lsn,
      stopLsn: stopped.lsn,
      startedAt,
      stoppedAt: stopped.at,
      snapshot: pick(snapshot),
      databases: [source.database],
      objects: [...dumps.objects, fingerprintObject],
      tables: fingerprint.tables,
      sequences: source.sequences,
      materializedViews: source.materializedViews,
      inventory: source.inventory,
      skipped: [...source.skipped, ...dumps.warnings],
      lockUntil: null,
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
      tables: fingerprint.tables.length,
      objects: manifest.objects.length,
      taskSeconds: (Date.now() - began) / 1000,
      uploadSeconds,
      skipped: manifest.skipped.length,
    };
  } finally {
    await snapshot.release();
  }
}

interface Source {
  readonly identity: catalog.ServerIdentity;
  readonly toolVersion: string;
  readonly database: Manifest['databases'][number];
  readonly tables: catalog.Table[];
  readonly sequences: Manifest['sequences'];
  readonly materializedViews: Manifest['materializedViews'];
  readonly inventory: Manifest['inventory'];
  readonly skipped: Skipped[];
}

/** Preflight: everything that can be known to fail, or to be left out, before the first byte. */
async function inspectSource(
  connection: Connection,
  tools: ToolEnvironment,
  allowSkipped: readonly string[],
): Promise<Source> {
  const client = await connect(connection, 'pgdr preflight');
  try {
    const identity = await catalog.identifyServer(client);
    const version = await toolVersion(tools);
    checkMajors(version.major, version.text, identity.serverVersionNum);
    const skipped = await checkContent(client, allowSkipped);
    const tables = await catalog.listTables(client);
    log('preflight passed', { tables: tables.length, server: identity.serverVersionNum, skipped: skipped.length });
    return {
      identity,
      toolVersion: version.text,
      database: await catalog.describeDatabase(client),
      tables,
      sequences: await catalog.listSequences(client),
      materializedViews: await catalog.listMaterializedViews(client),
      inventory: await catalog.takeInventory(client),
      skipped,
    };
  } finally {
    await client.end().catch(() => {});
  }
}

/** Dumps the schema, the data and the globals, `concurrency` streams at a time, the largest first. */
async function storeDumps(
  context: JobContext,
  signal: AbortSignal,
  tools: ToolEnvironment,
  snapshot: Snapshot,
  prefix: string,
  source: Source,
): Promise<{ objects: ManifestObject[]; warnings: Skipped[] }> {
  const { logical, bucket } = context.settings;
  const store = openStore(bucket);
  const streams = planStreams(source, logical, snapshot.id, prefix);
  const progress = startProgress(
    'dump',
    source.tables.reduce((sum, table) => sum + table.bytes, 0),
  );
  const objects: ManifestObject[] = [];
  const warnings: Skipped[] = [];
  const waiting = [...streams];
  const worker = async () => {
    for (let stream = waiting.shift(); stream; stream = waiting.shift()) {
      const { program } = stream;
      const object = await storeDump(stream, store, tools, {
        zstdLevel: logical.zstdLevel,
        signal,
        onRawBytes: progress.add,
        onWarning: (text) => warnings.push({ what: program, why: text.trim().slice(0, 1000) }),
      });
      objects.push(object);
      log('object stored', { key: object.key, bytes: object.bytes, rawBytes: object.rawBytes });
    }
  };
  try {
    await Promise.all(Array.from({ length: logical.concurrency }, worker));
  } finally {
    progress.stop();
  }
  return { objects: objects.sort((a, b) => (a.key < b.key ? -1 : 1)), warnings };
}

/**
 * The largest tables get a stream and an object of their own; `main` holds the rest of the data, and the definitions
 * once more. The schema is an archive of its own, so that a restore can make tables before it has read any data.
 */
export function planStreams(
  { tables, database }: Pick<Source, 'tables' | 'database'>,
  logical: { ownStreams: number; lockTimeoutSeconds: number },
  snapshotId: string,
  prefix: string,
): DumpStream[] {
  const common = [
    '--format=custom',
    '--compress=0',
    `--snapshot=${snapshotId}`,
    `--lock-wait-timeout=${logical.lockTimeoutSeconds}s`,
  ];
  const own = tables.slice(0, logical.ownStreams).filter((table) => table.bytes > 0);
  const rest = tables.slice(own.length).reduce((sum, table) => sum + table.bytes, 0);
  const program = 'pg_dump';
  return [
    ...own.map(
      (table, i): DumpStream => ({
        role: 'table',
        relation: table.relation,
        key: keys.tableKey(prefix, i + 1),
        program,
        args: [...common, '--data-only', `--table=${pattern(table.relation)}`],
        partBytes: keys.partBytesFor(table.bytes),
      }),
    ),
    {
      role: 'main',
      key: keys.mainKey(prefix),
      program,
      args: [...common, ...own.map((table) => `--exclude-table-data=${pattern(table.relation)}`)],
      partBytes: keys.partBytesFor(rest),
    },
    {
      role: 'schema',
      key: keys.schemaKey(prefix),
      program,
      args: [...common, '--schema-only'],
      partBytes: keys.partBytesFor(0),
    },
    {
      role: 'globals',
      key: keys.globalsKey(prefix),
      program: 'pg_dumpall',
      // Password hashes need a superuser and would be secrets in a backup; see docs/architecture.md.
      args: ['--globals-only', '--no-role-passwords', '--no-tablespaces', `--database=${database.name}`],
      partBytes: keys.partBytesFor(0),
    },
  ];
}

/**
 * A relation as a pg_dump pattern that matches it alone: both parts quoted, since an unquoted pattern folds case and
 * gives meaning to `*`, `?` and `.`; `$` cannot be quoted away by older majors but needs no escape inside quotes.
 */
function pattern(relation: string): string {
  const [, schema, name] = /^("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)$/s.exec(relation) ?? [];
  const quoted = (part = '') => (part.startsWith('"') ? part : `"${part}"`);
  return `${quoted(schema)}.${quoted(name)}`;
}

/** Two connections hash two tables at a time: enough to hide the wait, little enough to leave the server its cores. */
async function fingerprintSource(
  connection: Connection,
  snapshot: Snapshot,
  signal: AbortSignal,
): Promise<{ tables: TableFingerprint[] }> {
  const clients = await Promise.all([0, 1].map(() => joinSnapshot(connection, snapshot.id)));
  const end = () => Promise.all(clients.map((client) => client.end().catch(() => {})));
  signal.addEventListener('abort', end);
  try {
    return { tables: await takeFingerprint(clients) };
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
