import {
  type Check,
  compareTables,
  heldOnTheWay,
  judge,
  judgeUse,
  type MeasuredRpo,
  measureRpo,
  type TableProof,
} from '../lib/core/proof.ts';
import { expectedOf } from '../lib/core/proof-scope.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { largeObjects } from '../lib/postgres/fingerprint.ts';
import { inspectContent, inspectUse } from '../lib/postgres/inspect.ts';
import { log } from './log.ts';
import type { RestoredDatabase } from './restore.ts';

export interface Proof {
  readonly checks: readonly Check[];
  readonly tables: readonly TableProof[];
  readonly rpo: MeasuredRpo;
}

/**
 * Proves a restored database that nobody else uses; needs a superuser, and leaves every index rebuilt. `diedAt` is
 * when the source is taken to have been lost, in milliseconds since the epoch. Two connections: the server and its
 * cores belong to the proof, but on the smallest task that is one of each.
 */
export async function prove(
  connection: Connection,
  { database, plan }: RestoredDatabase,
  options: { assertions: readonly string[]; diedAt: number; signal: AbortSignal },
): Promise<Proof> {
  const { assertions, diedAt, signal } = options;
  const open = () => connect(connection, 'pgdr proof');
  const [first, second, fresh] = await Promise.all([open(), open(), open()]);
  const clients = [first, second];
  // Ending a connection fails its query: the only way to leave one that takes hours.
  const end = () => Promise.all([...clients, fresh].map((client) => client.end().catch(() => {})));
  signal.addEventListener('abort', end);
  try {
    signal.throwIfAborted();
    const expected = expectedOf(database, plan);
    const relations = expected.tables.map(({ relation }) => relation).filter((relation) => relation !== largeObjects);
    const only = database.selection && relations;
    const restored = await inspectContent(clients, only);
    const tables = compareTables(expected.tables, restored.tables);
    const content = judge(expected, restored, tables, database.tables);
    log('content compared', { tables: tables.length, held: content.every((check) => check.held) });
    const usable = await inspectUse(clients, fresh, assertions);
    const rpo = measureRpo(database, usable.heartbeatAt, diedAt);
    return { checks: [...heldOnTheWay(database), ...content, ...judgeUse(usable, rpo)], tables, rpo };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', end);
    await end();
  }
}
