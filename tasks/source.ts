import type { Client } from 'pg';
import type { Manifest } from '../lib/core/manifest.ts';
import { type Access, takeAccess } from '../lib/postgres/access.ts';
import * as catalog from '../lib/postgres/catalog.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { findDefects } from '../lib/postgres/integrity.ts';
import { takeInventory } from '../lib/postgres/inventory.ts';
import { checkContent, checkMajors, type Skipped } from '../lib/postgres/preflight.ts';
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
  readonly database: Manifest['databases'][number];
  readonly tables: catalog.Table[];
  readonly sequences: Manifest['sequences'];
  readonly inventory: Manifest['inventory'];
  readonly materializedViews: Manifest['materializedViews'];
  readonly access: Access;
  readonly defects: Manifest['defects'];
}

/** Everything that can be known to fail, or to be left out, before the first byte. */
export async function checkSource(
  connection: Connection,
  tools: ToolEnvironment,
  allowSkipped: readonly string[],
): Promise<Preflight> {
  const client = await connect(connection, 'pgdr preflight');
  try {
    const identity = await catalog.identifyServer(client);
    const version = await toolVersion(tools);
    checkMajors(version.major, version.text, identity.serverVersionNum);
    const skipped = await checkContent(client, allowSkipped);
    log('preflight passed', { server: identity.serverVersionNum, skipped: skipped.length });
    return { identity, toolVersion: version.text, skipped };
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * Describes the source as the snapshot sees it. Sequences alone are outside of any snapshot: they are read here, before
 * any dump begins, so that a restored one may be ahead of the manifest and never behind it.
 */
export async function describeSource(connection: Connection, snapshot: Snapshot): Promise<Source> {
  const client: Client = await joinSnapshot(connection, snapshot.id);
  try {
    return {
      database: await catalog.describeDatabase(client),
      tables: await catalog.listTables(client),
      sequences: await catalog.listSequences(client),
      inventory: await takeInventory(client),
      materializedViews: await catalog.listMaterializedViews(client),
      access: await takeAccess(client),
      defects: await findDefects(client),
    };
  } finally {
    await client.end().catch(() => {});
  }
}
