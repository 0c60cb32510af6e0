import type { Client } from 'pg';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import type { TocEntry } from '../lib/core/archive-toc.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { type DatabaseBackup, databasesOf, type Manifest } from '../lib/core/manifest.ts';
import { dataEntries, objectOf, planRestore, type RestorePlan } from '../lib/core/restore-plan.ts';
import { copyIntoFresh, type RestoreStep, scheduleRestore } from '../lib/core/restore-schedule.ts';
import type { Selection } from '../lib/core/restore-selection.ts';
import { connect } from '../lib/postgres/connection.ts';
import { spread } from '../lib/postgres/spread.ts';
import { databaseArgument } from '../lib/postgres/tools.ts';
import { startProgress } from './log.ts';
import { createDatabase, describeDatabase } from './restore-database.ts';
import { fetchGlobals, restoreAllRoles } from './restore-globals.ts';
import { fillMaterializedViews, sequenceGrants, setSequences } from './restore-rest.ts';
import { checkObject } from './restore-stream.ts';
import {
  type Definitions,
  fetchDefinitions,
  type RestoreOptions,
  restoreFile,
  restoreObject,
  type TargetServer,
  useList,
} from './restore-tools.ts';

const everything = { tables: [], schemas: [], schemaOnly: false };

/** Restores a whole backup into an empty server of our own: roles, then one database after another. */
export async function restore(
  manifest: Manifest,
  store: ObjectStore,
  server: TargetServer,
  options: RestoreOptions,
): Promise<RestoredDatabase[]> {
  const databases = databasesOf(manifest);
  await checkExtensions(
    server,
    databases.flatMap(({ extensions }) => extensions),
  );
  await restoreAllRoles(await fetchGlobals(manifest, store, options), server, options.signal);
  const restored: RestoredDatabase[] = [];
  for (const database of databases) {
    restored.push({ database, plan: await restoreDatabase(database, store, server, options) });
  }
  return restored;
}

export interface RestoredDatabase {
  readonly database: DatabaseBackup;
  readonly plan: Pick<RestorePlan, 'selection' | 'schemaOnly' | 'partial'>;
}

/**
 * Definitions → data in parallel → indexes and constraints → materialized views → ANALYZE. Every object is read to its
 * end and held against the manifest on the way.
 */
async function restoreDatabase(
  database: DatabaseBackup,
  store: ObjectStore,
  server: TargetServer,
  options: RestoreOptions,
): Promise<RestorePlan> {
  const { name } = database;
  const definitions = await fetchDefinitions(database, store, options);
  const plan = planRestore(database, definitions.toc, everything);
  if (name !== server.connection.dbname) {
    await withClient(server, server.connection.dbname, (client) => createDatabase(client, definitions.toc, name));
  }
  await fillDatabase(name, plan, database, definitions, store, server, options);
  await withClient(server, name, (client) => describeDatabase(client, definitions.toc, name));
  // The fingerprint is no archive, but L0 is about every object.
  await checkObject(store, objectOf(database, 'fingerprint'), options.signal);
  return plan;
}

/** Restores what a plan says into a database that holds nothing of it yet. */
export async function fillDatabase(
  database: string,
  plan: RestorePlan,
  manifest: DatabaseBackup,
  definitions: Definitions,
  store: ObjectStore,
  server: TargetServer,
  options: RestoreOptions,
): Promise<void> {
  // The first failure ends what else is running: nobody waits for the rest of a restore that has failed.
  const stop = new AbortController();
  const inner = { ...options, signal: AbortSignal.any([options.signal, stop.signal]) };
  const into = databaseArgument(database);
  const { selection } = plan;
  const wanted = selection
    ? entriesOf(selection, definitions.toc)
    : (plan.entries ?? definitions.toc.map(({ id }) => id));
  const section = async (step: string, name: string, ids: readonly number[], ...args: string[]) => {
    const list = await useList(options.directory, name, ids);
    await restoreFile(step, [...args, '--no-tablespaces', list, into, definitions.path], server, inner.signal);
  };

  await section('definitions', 'definitions', wanted, '--section=pre-data');
  const progress = startProgress(
    'restore',
    plan.data.reduce((sum, object) => sum + object.rawBytes, 0),
  );
  const { steps, remaining } = scheduleRestore(plan.data, definitions.toc, wanted);
  const fresh = { database, copyAs: copyIntoFresh(definitions.toc) };
  const run = async (step: RestoreStep) => {
    const { object, indexes } = step;
    if (step.kind === 'indexes') {
      const name = `indexes-${plan.data.indexOf(object)}`;
      await section(`indexes of ${object.relation}`, name, indexes, '--section=post-data');
      return;
    }
    // --data-only and not --section=data: it also makes the large objects, which are born before their data.
    const args = ['--data-only', into];
    await restoreObject(object, store, server, inner, args, (toc) => dataEntries(toc, plan, object), { fresh });
    progress.add(object.rawBytes);
  };
  const worker = async () => {
    for (let step = steps.next(); step; step = steps.next()) {
      await run(step);
      steps.done(step);
    }
  };
  const workers = Array.from({ length: options.concurrency }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  } finally {
    progress.stop();
  }
  const jobs = `--jobs=${options.concurrency}`;
  await section('indexes and constraints', 'remaining', remaining, '--section=post-data', jobs);
  await withClient(server, database, async (client) => {
    for (const statement of sequenceGrants(manifest, selection?.sequences ?? null)) await client.query(statement);
    if (plan.schemaOnly) return;
    if (selection) await setSequences(client, manifest, selection.sequences);
    await fillMaterializedViews(client, manifest, selection?.materializedViews ?? null);
  });
  if (!plan.schemaOnly) await analyzeAll(server, database, options.concurrency);
}

/** As `ANALYZE` does it, on several connections, the largest first; foreign tables are their own servers' business. */
async function analyzeAll(server: TargetServer, database: string, concurrency: number): Promise<void> {
  const open = () => connect({ ...server.connection, dbname: database }, 'pgdr analyze');
  const clients = await Promise.all(Array.from({ length: concurrency }, open));
  try {
    const { rows } = await (clients[0] as Client).query(`
      SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
       ORDER BY c.relpages DESC, name`);
    await spread(clients, rows, (client, { name }) => client.query(`ANALYZE ${name}`));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

/** What a database that holds nothing needs for a selection, in the archive's order. */
function entriesOf({ chosen, needed, extensions }: Selection, toc: readonly TocEntry[]): number[] {
  const wanted = new Set([...chosen, ...needed, ...extensions]);
  return toc.filter((entry) => wanted.has(entry)).map(({ id }) => id);
}

/** A restore without a needed extension fails half-way: look before the first table is made. */
export async function checkExtensions(
  server: TargetServer,
  wanted: readonly { name: string; version: string }[],
): Promise<void> {
  const missing = await withClient(server, server.connection.dbname, async (client) => {
    const { rows } = await client.query('SELECT name FROM pg_available_extensions');
    return wanted.filter(({ name }) => !rows.some((row) => row.name === name));
  });
  if (missing.length === 0) return;
  const names = missing.map(({ name, version }) => `${name} ${version}`).join(', ');
  throw new PgdrError('ExtensionUnavailable', `PostgreSQL ${server.version} at the target does not have ${names}`);
}

/** Work on a connection of its own to a database of the server. */
export async function withClient<T>(
  server: Pick<TargetServer, 'connection'>,
  database: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connect({ ...server.connection, dbname: database }, 'pgdr restore');
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
