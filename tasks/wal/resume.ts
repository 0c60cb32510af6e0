import type { ObjectStore } from '../../lib/aws/object-store.ts';
import type { Lineage } from '../../lib/core/keys.ts';
import { segmentStart } from '../../lib/core/wal.ts';
import { coverage, type WalArchive } from '../../lib/core/wal-archive.ts';
import type { Position } from '../../lib/core/wal-follow.ts';
import { readTail, recentArchive, recordedGaps, storedTimelines } from './stored-wal.ts';

/** Where the store ends, read from the store alone: what a receiver needs to go on after it lost all else. */
export interface Resume extends Position {
  /** The stored bytes right before `start`, to be compared with what the server sends for the same place. */
  readonly tail: Buffer;
}

/** Enough to tell two histories apart: several pages, each with its own address and checksums of its records. */
const comparedBytes = 64 * 1024;

/** Undefined when nothing is stored. */
export async function findResume(store: ObjectStore, of: Lineage, segmentBytes: number): Promise<Resume | undefined> {
  const timeline = (await storedTimelines(store, of)).at(-1);
  if (timeline === undefined) return undefined;
  const archive = await recentArchive(store, of, timeline, segmentBytes);
  const start = resumeLsn(archive, timeline, await recordedGaps(store, of, timeline));
  if (start === undefined) return undefined;
  return { timeline, start, tail: await tailBefore(store, archive, timeline, start) };
}

/**
 * The first byte that is not stored and may still be had. A receiver that died in the middle of several uploads left a
 * hole, which is filled; a recorded gap is one that cannot be, and is passed over.
 */
export function resumeLsn(
  archive: WalArchive,
  timeline: number,
  gaps: readonly { readonly start: bigint; readonly end: bigint }[],
): bigint | undefined {
  const ranges = coverage(archive, timeline);
  let at = ranges[0]?.start;
  // A gap from before all that is left to see: everything up to its end is known to be lost.
  for (const { end } of gaps) if (at === undefined || end > at) at = at === undefined ? end : at;
  if (at === undefined) return undefined;
  for (;;) {
    const from: bigint = at;
    const stored = ranges.find(({ start, end }) => start <= from && from < end);
    const lost = gaps.find(({ start, end }) => start <= from && from < end);
    if (!stored && !lost) return from;
    at = stored ? stored.end : (lost as { end: bigint }).end;
  }
}

async function tailBefore(store: ObjectStore, archive: WalArchive, timeline: number, end: bigint): Promise<Buffer> {
  // Of its own segment alone: the server need not have an earlier one any more.
  const within = Number(end - segmentStart(end, archive.segmentBytes));
  const last = archive.objects.get(timeline)?.findLast((object) => object.start < end && object.end === end);
  return last && within > 0 ? readTail(store, last, Math.min(comparedBytes, within)) : Buffer.alloc(0);
}
