import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { getStream, getText, list, type ObjectStore } from '../../lib/aws/object-store.ts';
import {
  type Lineage,
  parseWalKey,
  walHistoryKey,
  walIdentityKey,
  walPrefix,
  walSegmentKey,
  walTimelinePrefix,
} from '../../lib/core/keys.ts';
import {
  parseWalIdentity,
  readArchive,
  type WalArchive,
  type WalIdentity,
  type WalObject,
} from '../../lib/core/wal-archive.ts';
import { decompress, decompressor } from './zstd.ts';

/** What of the WAL is stored, as far as a receiver has to know it to go on. */

/** Whose WAL the lineage holds; undefined before the first receiver. */
export async function readIdentity(store: ObjectStore, of: Lineage): Promise<WalIdentity | undefined> {
  const key = walIdentityKey(of);
  // Listed rather than read: without the right to list a whole bucket, S3 answers 403 for what does not exist.
  if (!(await isStored(store, key))) return undefined;
  return parseWalIdentity(await getText(store, key), key);
}

async function isStored(store: ObjectStore, wanted: string): Promise<boolean> {
  for await (const key of list(store, wanted)) if (key === wanted) return true;
  return false;
}

/** Timelines of which WAL or a `.history` is stored, in order. */
export async function storedTimelines(store: ObjectStore, of: Lineage): Promise<number[]> {
  const prefix = walPrefix(of);
  const found = new Set<number>();
  for await (const folder of list(store, prefix, '/')) {
    const name = folder.slice(prefix.length, -1);
    if (/^[0-9A-F]{8}$/.test(name)) found.add(Number.parseInt(name, 16));
  }
  return [...found].sort((a, b) => a - b);
}

/**
 * The archive of one timeline from its newest whole segment on. Segments become whole in their order, so nothing below
 * has to be listed, however long the history is.
 */
export async function recentArchive(
  store: ObjectStore,
  of: Lineage,
  timeline: number,
  segmentBytes: number,
): Promise<WalArchive> {
  const prefix = walTimelinePrefix(of, timeline);
  let newest: string | undefined;
  // Whole segments are named by the timeline first, so `parts/` is not among them.
  for await (const key of list(store, `${prefix}${prefix.slice(-9, -1)}`)) {
    if (parseWalKey(key)?.kind === 'segment') newest = key;
  }
  const parsed = newest === undefined ? undefined : parseWalKey(newest);
  const whole = parsed?.kind === 'segment' ? parsed.segment : undefined;
  const keys: string[] = whole ? [walSegmentKey(of, whole)] : [];
  // `0` follows `/`: everything after all parts of that segment.
  const startAfter = whole ? `${prefix}parts/${whole}0` : undefined;
  for await (const key of list(store, `${prefix}parts/`, undefined, startAfter)) keys.push(key);
  return readArchive(keys, segmentBytes);
}

/** Gaps of one timeline that were recorded: the WAL goes on at their end. */
export async function recordedGaps(store: ObjectStore, of: Lineage, timeline: number) {
  const gaps: { start: bigint; end: bigint }[] = [];
  for await (const key of list(store, `${walPrefix(of)}gaps/`)) {
    const gap = parseWalKey(key);
    if (gap?.kind === 'gap' && gap.timeline === timeline) gaps.push({ start: gap.start, end: gap.end });
  }
  return gaps;
}

/** The bytes of an object of WAL, uncompressed. */
export async function* readWal(store: ObjectStore, key: string): AsyncGenerator<Buffer> {
  const source = Readable.from(await getStream(store, key));
  // A broken source ends the loop below with its error.
  yield* pipeline(source, decompressor(), () => {}) as unknown as AsyncIterable<Buffer>;
}

/** The last bytes of an object of WAL, at most `most`. */
export async function readTail(store: ObjectStore, object: WalObject, most: number): Promise<Buffer> {
  let tail = Buffer.alloc(0);
  for await (const bytes of readWal(store, object.key)) {
    tail = Buffer.concat([tail, bytes]);
    if (tail.length > 2 * most) tail = Buffer.from(tail.subarray(tail.length - most));
  }
  return tail.subarray(Math.max(0, tail.length - most));
}

/** Whether two streams of WAL are the same bytes. */
export async function holdsSameWal(a: AsyncIterable<Buffer>, b: AsyncIterable<Buffer>): Promise<boolean> {
  const digest = async (source: AsyncIterable<Buffer>) => {
    const hash = createHash('sha256');
    for await (const bytes of source) hash.update(bytes);
    return hash.digest('hex');
  };
  return (await digest(a)) === (await digest(b));
}

/** Whether an object holds the WAL that `body` is compressed from. */
export async function holdsSame(store: ObjectStore, key: string, body: Buffer): Promise<boolean> {
  const raw = await decompress(body);
  let at = 0;
  for await (const bytes of readWal(store, key)) {
    if (!raw.subarray(at, at + bytes.length).equals(bytes)) return false;
    at += bytes.length;
  }
  return at === raw.length;
}

export const isHistoryStored = (store: ObjectStore, of: Lineage, timeline: number): Promise<boolean> =>
  isStored(store, walHistoryKey(of, timeline));
