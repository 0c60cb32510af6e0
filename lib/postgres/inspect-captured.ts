import type { Client } from 'pg';
import { underWay } from '../core/capture-point.ts';
import type { DatabaseBackup } from '../core/manifest.ts';
import { type Captured, comparable } from '../core/proof-captured.ts';
import { takeAccess } from './access.ts';
import * as catalog from './catalog.ts';
import { largeObjects, takeFingerprint } from './fingerprint.ts';
import { takeInventory } from './inventory.ts';

/** What a server that is paused in its recovery shows of one database, read without writing anything. */
export async function inspectCaptured(clients: readonly Client[], database: DatabaseBackup): Promise<Captured> {
  const client = clients[0] as Client;
  for (const each of clients) await each.query('SET statement_timeout = 0');
  const { serverVersionNum } = await catalog.identifyServer(client);
  const { extensions } = await catalog.describeDatabase(client);
  const { rows } = await client.query(
    `SELECT format('%I.%I', n.nspname, c.relname) AS relation
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'u'`,
  );
  const unlogged = rows.map(({ relation }) => relation as string);
  const present = new Set([largeObjects, ...(await catalog.listTables(client)).map(({ relation }) => relation)]);
  const relations = new Set([...comparable(database, unlogged).filter((relation) => present.has(relation))]);
  // Of a whole backup, tables that the source did not have are found, too.
  if (database.selection === null) {
    for (const relation of present) if (!unlogged.includes(relation)) relations.add(relation);
  }
  const only = database.selection && [...relations].filter((relation) => relation !== largeObjects);
  return {
    serverVersionNum,
    ...(await takeAccess(client, only)),
    inventory: await takeInventory(client, only),
    extensions,
    unlogged,
    tables: await takeFingerprint(clients, [...relations]),
  };
}

/** How many of the transactions that a snapshot did not show are committed here. */
export async function countCommitted(client: Client, transactions: string): Promise<number> {
  const { rows } = await client.query(
    `SELECT count(*)::int AS committed FROM unnest($1::text[]) AS u (xid)
      WHERE u.xid::xid8 < pg_snapshot_xmax(pg_current_snapshot()) AND pg_xact_status(u.xid::xid8) = 'committed'`,
    [underWay(transactions)],
  );
  return rows[0].committed;
}
