import { type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { PgdrError } from '../../lib/core/errors.ts';
import { type Lineage, walHistoryKey, walIdentityKey } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import type { WalIdentity } from '../../lib/core/wal-archive.ts';
import { type Connection, connect } from '../../lib/postgres/connection.ts';
import type { Replication, ServerIdentity } from '../../lib/postgres/replication.ts';
import { readSlot, type Slot } from '../../lib/postgres/slot.ts';
import { log } from '../log.ts';
import { isHistoryStored, readIdentity } from './stored-wal.ts';

/** What has to be right about a server, and ready on it, before its WAL is asked for. */

/** The lineage belongs to one server: the first receiver writes down which, every later one compares. */
export async function checkIdentity(
  store: ObjectStore,
  of: Lineage,
  server: ServerIdentity,
  walSegmentBytes: number,
): Promise<void> {
  const { systemIdentifier } = server;
  let stored = await readIdentity(store, of);
  if (!stored) {
    const startedAt = new Date().toISOString();
    const identity: WalIdentity = { schemaVersion: 1, systemIdentifier, walSegmentBytes, startedAt };
    await putOnce(store, walIdentityKey(of), Buffer.from(`${JSON.stringify(identity, null, 2)}\n`));
    stored = identity;
  }
  if (stored.systemIdentifier !== systemIdentifier) {
    const [theirs, ours] = [systemIdentifier, stored.systemIdentifier];
    throw new PgdrError('WalOtherServer', `the server's identifier is ${theirs}, the lineage holds WAL of ${ours}`);
  }
  if (stored.walSegmentBytes !== walSegmentBytes) {
    const [theirs, ours] = [walSegmentBytes, stored.walSegmentBytes];
    throw new PgdrError('WalOtherServer', `segments of the server have ${theirs} bytes, those stored ${ours}`);
  }
}

/** The slot, made where there is none or where the server has given up what it stood for. */
export async function provideSlot(connection: Connection, replication: Replication, name: string): Promise<Slot> {
  const client = await connect(connection, 'pgdr slot');
  try {
    const found = await readSlot(client, name);
    if (found && found.walStatus !== 'lost' && found.restartLsn !== undefined) return found;
    if (found) {
      log('the slot had lost its WAL and is made anew', { slot: name, walStatus: found.walStatus });
      await replication.dropSlot(name);
    }
    await replication.createSlot(name);
    const made = await readSlot(client, name);
    if (!made) throw new Error(`the slot ${name} was made and is not there`);
    log('slot made', { slot: name, restartLsn: made.restartLsn === undefined ? null : formatLsn(made.restartLsn) });
    return made;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Stores the `.history` of a timeline, which a recovery along it needs; the first has none. */
export async function storeHistory(
  store: ObjectStore,
  of: Lineage,
  replication: Replication,
  timeline: number,
): Promise<void> {
  if (timeline === 1 || (await isHistoryStored(store, of, timeline))) return;
  const text = await replication.timelineHistory(timeline);
  await putOnce(store, walHistoryKey(of, timeline), Buffer.from(text));
  log('history stored', { timeline });
}

/** `16MB`, `1GB`: how PostgreSQL shows wal_segment_size. */
export function parseWalSize(text: string): number {
  const match = /^(\d+)(MB|GB)$/.exec(text);
  if (!match) throw new RangeError(`not a size of segments: ${text}`);
  return Number(match[1]) * (match[2] === 'GB' ? 2 ** 30 : 2 ** 20);
}
