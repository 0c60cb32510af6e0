import type { Client } from 'pg';
import type { Restored, Usable } from '../core/proof.ts';
import { takeAccess } from './access.ts';
import { examineStorage } from './amcheck.ts';
import { checkAssertions } from './assertions.ts';
import * as catalog from './catalog.ts';
import { takeFingerprint } from './fingerprint.ts';
import { readHeartbeat } from './heartbeat.ts';
import { checkOwnedSequences, countOrphans, findDefects } from './integrity.ts';
import { takeInventory } from './inventory.ts';

/** Everything that a proof judges, asked of a database that nobody writes to: so the connections share no snapshot. */

/** For L3 and L4: what the database holds; `only` are the tables of a partial backup. */
export async function inspectContent(clients: readonly Client[], only: readonly string[] | null): Promise<Restored> {
  const client = clients[0] as Client;
  // A setting of the database must not end the proof.
  for (const each of clients) await each.query('SET statement_timeout = 0');
  const { serverVersionNum } = await catalog.identifyServer(client);
  return {
    serverVersionNum,
    ...(await takeAccess(client, only)),
    sequences: await catalog.listSequences(client),
    inventory: await takeInventory(client, only),
    extensions: (await catalog.describeDatabase(client)).extensions,
    foreignKeys: await countOrphans(clients),
    ownedSequences: await checkOwnedSequences(clients),
    defects: await findDefects(client),
    tables: await takeFingerprint(clients),
  };
}

/** For L5: whether it can be used. Rebuilds every index. `fresh` is a connection as the database makes it. */
export async function inspectUse(
  clients: readonly Client[],
  fresh: Client,
  assertions: readonly string[],
): Promise<Usable> {
  return {
    storage: await examineStorage(clients),
    assertions: await checkAssertions(fresh, assertions),
    heartbeatAt: await readHeartbeat(fresh),
  };
}
