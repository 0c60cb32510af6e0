import type { Client } from 'pg';
import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseRecord } from '../lib/core/manifest.ts';
import { everything, type Selection } from '../lib/core/selection.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { type Access, takeAccess } from '../lib/postgres/access.ts';
import * as catalog from '../lib/postgres/catalog.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { findDefects } from '../lib/postgres/integrity.ts';
import { takeInventory } from '../lib/postgres/inventory.ts';
import { checkContent, checkMajors, type Skipped } from '../lib/postgres/preflight.ts';
import { type Extent, resolveSelection } from '../lib/postgres/selection.ts';
import { joinSnapshot, type Snapshot } from '../lib/postgres/snapshot.ts';
import { type ToolEnvironment, toolVersion } from '../lib/postgres/tools.ts';
import { log } from './log.ts';

/** What the source is and holds, as far as the manifest records it beside the data itself. */

export interface Preflight {
  readonly identity: catalog.ServerIdentity;
  readonly toolVersion: string;
  readonly skipped: Skipped[];
}

export interface Source {
  readonly identity: catalog.DatabaseIdentity;
  readonly tables: catalog.Table[];
  readonly sequences: DatabaseRecord['sequences'];
  readonly inventory: DatabaseRecord['inventory'];
  readonly materializedViews: DatabaseRecord['materializedViews'];
  readonly access: Access;
  readonly defects: DatabaseRecord['defects'];
  readonly extent: Extent;
}

/** The databases to back up: those of the settings, or the one of the secret. Throws `DatabaseMissing`. */
export async function chooseDatabases(
  connection: Connection,
  wanted: DatabaseSettings['logical']['databases'],
): Promise<string[]> {
  if (wanted === null) return [connection.dbname];
  const client = await connect(connection, 'pgdr preflight');
  try {
    const present = await catalog.listDatabases(client);
    if (wanted === 'all') return present;
    const missing = wanted.filter((name) => !present.includes(name));
    if (missing.length === 0) return [...wanted];
    throw new PgdrError('DatabaseMissing', `${connection.host} has no database ${missing.join(', ')}`);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Everything that can be known to fail, or to be left out, before the first byte. */
export async function checkSource(
  server: Connection,
  databases: readonly string[],
  tools: ToolEnvironment,
  selection: Selection,
  allowSkipped: readonly string[],
): Promise<Preflight> {
  const version = await toolVersion(tools);
  const skipped = new Map<string, Skipped>();
  let identity: catalog.ServerIdentity | undefined;
  const vain: (readonly string[])[] = [];
  for (const dbname of databases) {
    const client = await connect({ ...server, dbname }, 'pgdr preflight');
    try {
      identity = await catalog.identifyServer(client);
      checkMajors(version.major, version.text, identity.serverVersionNum);
      const extent = await resolveSelection(client, selection);
      vain.push(extent.vain);
      for (const each of await checkContent(client, dbname, extent, allowSkipped))
        skipped.set(JSON.stringify(each), each);
    } finally {
      await client.end().catch(() => {});
    }
  }
  // A name that is in none of the databases may be misspelt, and what it meant would be missing.
  const nowhere = vain[0]?.filter((pattern) => vain.every((list) => list.includes(pattern))) ?? [];
  if (nowhere.length > 0) throw new PgdrError('SelectionEmpty', `nothing matches ${nowhere.join(', ')}`);
  if (!identity) throw new PgdrError('DatabaseMissing', `${server.host} has no database to back up`);
  log('preflight passed', { server: identity.serverVersionNum, databases, skipped: skipped.size });
  return { identity, toolVersion: version.text, skipped: [...skipped.values()] };
}

/**
 * Describes the source as the snapshot sees it. Sequences alone are outside of any snapshot: they are read here, before
 * any dump begins, so that a restored one may be ahead of the manifest and never behind it.
 */
export async function describeSource(
  connection: Connection,
  snapshot: Snapshot,
  selection: Selection = everything,
): Promise<Source> {
  const client: Client = await joinSnapshot(connection, snapshot.id);
  try {
    const extent = await resolveSelection(client, selection);
    const { excludedOids, tables } = extent;
    return {
      extent,
      identity: await catalog.describeDatabase(client),
      tables: await catalog.listTables(client, excludedOids),
      sequences: await catalog.listSequences(client, excludedOids),
      inventory: await takeInventory(client, tables),
      materializedViews: await catalog.listMaterializedViews(client, excludedOids),
      access: await takeAccess(client, tables),
      defects: await findDefects(client, excludedOids),
    };
  } finally {
    await client.end().catch(() => {});
  }
}
