import { getText, list, type ObjectStore } from '../lib/aws/object-store.ts';
import { type Lineage, parseWalKey, walPrefix } from '../lib/core/keys.ts';
import { readArchive, type WalArchive } from '../lib/core/wal-archive.ts';

/** What the store holds of the WAL of a lineage, now. */
export async function openWal(store: ObjectStore, lineage: Lineage, segmentBytes: number): Promise<WalArchive> {
  const keys: string[] = [];
  const histories = new Map<number, string>();
  for await (const key of list(store, walPrefix(lineage))) {
    keys.push(key);
    const parsed = parseWalKey(key);
    if (parsed?.kind === 'history') histories.set(parsed.timeline, await getText(store, key));
  }
  return readArchive(keys, segmentBytes, histories);
}
