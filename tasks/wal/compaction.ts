import { pipeline, Readable } from 'node:stream';
import { list, metadataOf, type ObjectStore, putStream } from '../../lib/aws/object-store.ts';
import { PgdrError } from '../../lib/core/errors.ts';
import { type Lineage, walSegmentKey, walTimelinePrefix } from '../../lib/core/keys.ts';
import { parseSegmentName } from '../../lib/core/wal.ts';
import { type Piece, planSegment, readArchive, type WalArchive } from '../../lib/core/wal-archive.ts';
import { joinMarks, marksFromMetadata, marksToMetadata, noMarks } from '../../lib/core/wal-marks.ts';
import { log } from '../log.ts';
import { holdsSameWal, readWal } from './stored-wal.ts';
import { compressor } from './zstd.ts';

const partBytes = 8 * 2 ** 20;

export interface Compactor {
  add(segment: string): void;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
}

/**
 * Makes whole segments of parts, one at a time, beside the work that counts: a restore then reads one object instead of
 * many. The parts are read back from the store, so what is written was proven readable, and they stay.
 */
export function createCompactor(store: ObjectStore, of: Lineage, segmentBytes: number, signal: AbortSignal): Compactor {
  const waiting: string[] = [];
  let running: Promise<void> | undefined;
  const run = async () => {
    for (let segment = waiting.shift(); segment && !signal.aborted; segment = waiting.shift()) {
      try {
        await compactSegment(store, of, segment, segmentBytes);
      } catch (error) {
        // The parts are as good; the next start of a receiver finds what was left.
        log('a segment was not made whole', { segment, reason: (error as Error).message });
      }
    }
    running = undefined;
  };
  return {
    add(segment: string) {
      waiting.push(segment);
      running ??= run();
    },
    async idle() {
      while (running) await running;
    },
  };
}

/** Writes `{SEGMENT}.zst` from the parts; false when they do not make a whole segment yet. */
export async function compactSegment(
  store: ObjectStore,
  of: Lineage,
  segment: string,
  segmentBytes: number,
): Promise<boolean> {
  const timeline = parseSegmentName(segment, segmentBytes)?.timeline ?? 0;
  const keys: string[] = [];
  for await (const key of list(store, `${walTimelinePrefix(of, timeline)}parts/${segment}/`)) keys.push(key);
  const { pieces, missing } = planSegment(readArchive(keys, segmentBytes), segment);
  if (missing.length > 0) return false;
  let marks = noMarks;
  for (const { object } of pieces) {
    marks = joinMarks(marks, marksFromMetadata(await metadataOf(store, object.key)));
  }
  let length = 0;
  const raw = async function* () {
    for await (const bytes of readPieces(store, pieces)) {
      length += bytes.length;
      yield bytes;
    }
    if (length !== segmentBytes) throw new PgdrError('ObjectTruncated', `${segment} has ${length} bytes of its parts`);
  };
  const key = walSegmentKey(of, segment);
  const source = pipeline(Readable.from(raw()), compressor(), () => {}) as unknown as AsyncIterable<Buffer>;
  try {
    const stored = await putStream(store, key, source, { partBytes, metadata: marksToMetadata(marks) });
    log('segment made whole', { segment, parts: pieces.length, bytes: stored.bytes });
  } catch (error) {
    if (!(error instanceof PgdrError) || error.name !== 'ManifestConflict') throw error;
    if (!(await holdsSameWal(readWal(store, key), readPieces(store, pieces)))) {
      throw new PgdrError('WalConflict', `${key} is not what its parts are`, { cause: error });
    }
  }
  return true;
}

/** The bytes of a plan, in order. */
export async function* readPieces(store: ObjectStore, pieces: readonly Piece[]): AsyncGenerator<Buffer> {
  for (const { object, offset, length } of pieces) {
    let skip = offset;
    let left = length;
    for await (const bytes of readWal(store, object.key)) {
      const wanted = bytes.subarray(Math.min(skip, bytes.length), Math.min(bytes.length, skip + left));
      skip -= Math.min(skip, bytes.length);
      left -= wanted.length;
      if (wanted.length > 0) yield wanted;
    }
    if (left > 0) throw new PgdrError('ObjectTruncated', `${object.key} ends ${left} bytes early`);
  }
}

/** Segments whose parts may be complete and that are not whole yet: what an earlier receiver left. */
export function unfinished(archive: WalArchive): string[] {
  return [...archive.bySegment]
    .filter(([, objects]) => objects.every(({ kind }) => kind === 'part'))
    .map(([segment]) => segment)
    .filter((segment) => planSegment(archive, segment).missing.length === 0)
    .sort();
}
