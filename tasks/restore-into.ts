import type { Client } from 'pg';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import type { TocEntry } from '../lib/core/archive-toc.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseBackup, TableFingerprint } from '../lib/core/manifest.ts';
import { dataEntries, type Omission, type RestorePlan } from '../lib/core/restore-plan.ts';
import { describeEntry, type Selection } from '../lib/core/restore-selection.ts';
import { parseRelation, quoteIdentifier, relationKey, splitStatements } from '../lib/core/sql-statements.ts';
import { fingerprintOf, pinned } from '../lib/postgres/fingerprint.ts';
import { databaseArgument, startTool } from '../lib/postgres/tools.ts';
import { withClient } from './restore.ts';
import { findConflicts, findMissing } from './restore-existing.ts';
import { catchUpStatements, fedColumns, sequenceGrants, sequenceStatements } from './restore-rest.ts';
import {
  type Definitions,
  finish,
  type RestoreOptions,
  restoreObject,
  startRestoring,
  type TargetServer,
  useList,
} from './restore-tools.ts';
import { beginTransaction, type Transaction } from './restore-transaction.ts';
import { verifyTables } from './restore-verify.ts';

/** Proves that the execution still waits; asked before the commit. */
interface Committing extends RestoreOptions {
  stillWanted(): Promise<void>;
}

export interface IntoOptions extends Committing {
  /** May tables of these names be dropped first? */
  readonly overwrite: boolean;
  readonly lockTimeoutSeconds: number;
}

/**
 * Restores tables or schemas into a database that holds other data, in one transaction: made, filled, compared with
 * the manifest, then committed. Gives the number of rows, and what could not come back.
 */
export async function restoreInto(
  database: string,
  plan: RestorePlan & { selection: Selection },
  manifest: DatabaseBackup,
  definitions: Definitions,
  store: ObjectStore,
  server: TargetServer,
  options: IntoOptions,
): Promise<{ rows: string; omitted: Omission[] }> {
  const { selection } = plan;
  const { conflicts, missing } = await withClient(server, database, async (client) => ({
    conflicts: await findConflicts(client, selection.chosen),
    missing: await findMissing(client, selection.needed),
  }));
  // A schema is never dropped for another: what depends on its types and functions would go with it.
  const inTheWay = options.overwrite ? conflicts.filter(({ kind }) => kind === 'SCHEMA') : conflicts;
  if (inTheWay.length > 0) throw exists(database, inTheWay);
  const replaced = conflicts.filter((entry) => entry.kind.endsWith('TABLE'));

  const wanted = new Set<TocEntry>([...selection.chosen, ...missing]);
  // To a head that is there already, a partition is attached when it is complete: its indexes are found and taken
  // over then, while attaching it first would make them a second time.
  const wantedIds = new Set([...wanted].map(({ id }) => id));
  const late = new Set(
    definitions.toc.filter(
      (entry) =>
        wanted.has(entry) && entry.kind.endsWith('ATTACH') && !entry.dependencies.every((id) => wantedIds.has(id)),
    ),
  );
  const made = definitions.toc.filter((entry) => wanted.has(entry) && !late.has(entry));
  const list = await useList(
    options.directory,
    'into',
    made.map(({ id }) => id),
  );
  const script = async (transaction: Transaction, step: string, section: string) => {
    const args = [`--section=${section}`, '--no-tablespaces', list, '--file=-', definitions.path];
    const tool = startRestoring('pg_restore', args, server.tools, options.signal);
    tool.process.stdin?.end();
    await transaction.runOutput(tool);
    await finish(step, tool);
  };
  const newSequences = new Set(made.filter(({ kind }) => kind === 'SEQUENCE').map(keyOf));

  const transaction = await beginTransaction(server, database, options.signal);
  try {
    await transaction.run(`SET lock_timeout = '${options.lockTimeoutSeconds}s'`);
    if (replaced.length > 0) await transaction.run(`DROP TABLE ${replaced.map(keyOf).join(', ')}`);
    await script(transaction, 'definitions', 'pre-data');
    for (const object of plan.data) {
      await restoreObject(
        object,
        store,
        server,
        options,
        ['--data-only', '--file=-'],
        (toc) => dataEntries(toc, plan, object),
        { consumeOutput: (tool) => transaction.runOutput(tool) },
      );
    }
    for (const statement of sequenceStatements(manifest, newSequences)) await transaction.run(statement);
    for (const statement of catchUpStatements(await transaction.ask(fedColumns), newSequences)) {
      await transaction.run(statement);
    }
    for (const statement of sequenceGrants(manifest, newSequences)) await transaction.run(statement);
    await script(transaction, 'indexes and constraints', 'post-data');
    // Definitions come in an order in which each finds what it is made of; so do their contents.
    for (const view of made.filter(({ kind }) => kind === 'MATERIALIZED VIEW')) {
      const populated = manifest.materializedViews.some(
        ({ relation, populated }) => populated && sameRelation(relation, view),
      );
      if (populated && !plan.schemaOnly) await transaction.run(`REFRESH MATERIALIZED VIEW ${keyOf(view)}`);
    }
    for (const { definition } of [...late].filter(({ kind }) => kind === 'TABLE ATTACH')) {
      for (const statement of splitStatements(definition)) await transaction.run(statement);
    }
    const rows = await verify(transaction, manifest, plan.tables);
    await options.stillWanted();
    await transaction.commit();
    return { rows, omitted: await addOmitted(database, selection, server, options.lockTimeoutSeconds) };
  } finally {
    await transaction.close();
  }
}

/**
 * Copies a schema from a staging database into this one, in one transaction, and compares it with the manifest.
 * `renamed` gives the name of a relation there.
 */
export async function copySchema(
  from: string,
  schema: string,
  database: string,
  plan: RestorePlan,
  manifest: DatabaseBackup,
  server: TargetServer,
  options: Committing,
): Promise<string> {
  const transaction = await beginTransaction(server, database, options.signal);
  try {
    const args = ['--no-tablespaces', `--schema=${quoteIdentifier(schema)}`, databaseArgument(from)];
    const dump = startTool('pg_dump', args, server.tools, 'RestoreFailed', { signal: options.signal });
    dump.process.stdin?.end();
    await transaction.runOutput(dump);
    await dump.ended;
    const rows = await verify(transaction, manifest, plan.tables, schema);
    await options.stillWanted();
    await transaction.commit();
    return rows;
  } finally {
    await transaction.close();
  }
}

/** Fingerprints inside of the transaction: what differs is never committed. */
async function verify(
  transaction: Transaction,
  manifest: DatabaseBackup,
  relations: readonly string[],
  schema?: string,
): Promise<string> {
  for (const setting of pinned) await transaction.run(setting);
  const restored: TableFingerprint[] = [];
  for (const relation of relations) {
    const { schema: own, name } = parseRelation(relation) ?? { schema: '', name: relation };
    const there = relationKey({ schema: schema ?? own, name });
    restored.push({ ...(await fingerprintOf((query) => transaction.ask(query), there)), relation });
  }
  return verifyTables(manifest, relations, restored);
}

/**
 * Foreign keys, triggers, policies and rules that need other tables: here these may exist. Each for itself, since the
 * rows are back already; what fails is named with its reason.
 */
async function addOmitted(
  database: string,
  { omitted }: Selection,
  server: TargetServer,
  lockTimeoutSeconds: number,
): Promise<Omission[]> {
  return withClient(server, database, async (client) => {
    await client.query("SELECT pg_catalog.set_config('search_path', '', false)");
    await client.query(`SET lock_timeout = '${lockTimeoutSeconds}s'`);
    const left: Omission[] = [];
    for (const { entry, what, why } of omitted) {
      const reason = /^(FK CONSTRAINT|TRIGGER|POLICY|RULE)$/.test(entry.kind) ? await tried(client, entry) : why;
      if (reason) left.push({ what, why: reason });
    }
    return left;
  });
}

async function tried(client: Client, { definition }: TocEntry): Promise<string | undefined> {
  try {
    await client.query(definition);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function exists(database: string, conflicts: readonly TocEntry[]): PgdrError {
  const names = conflicts.slice(0, 10).map(describeEntry);
  const more = conflicts.length > 10 ? ` and ${conflicts.length - 10} more` : '';
  return new PgdrError('RestoreTargetExists', `database ${database} has ${names.join(', ')}${more}`);
}

const keyOf = ({ schema, tag }: TocEntry): string => relationKey({ schema, name: tag });

function sameRelation(relation: string, entry: TocEntry): boolean {
  const parsed = parseRelation(relation);
  return parsed?.schema === entry.schema && parsed.name === entry.tag;
}
