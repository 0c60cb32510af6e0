import type { RestorePoint } from '../../lib/core/restore-points.ts';
import { segmentName } from '../../lib/core/wal.ts';
import type { WalMarks } from '../../lib/core/wal-marks.ts';
import { createWalScanner } from '../../lib/core/wal-records.ts';
import { createStaging } from './staging.ts';

/** A stretch of WAL inside one segment, as it becomes one object. */
export interface Chunk {
  readonly timeline: number;
  readonly segment: string;
  readonly start: bigint;
  readonly end: bigint;
  /** Not to be read after {@link release}. */
  readonly bytes: Buffer;
  readonly marks: WalMarks;
  /** Gives the memory of `bytes` back. */
  release(): void;
}

export interface Chunker {
  /** The bytes that follow those before; they are copied. */
  push(bytes: Buffer, start: bigint, sentAt: number): void;
  /** Ends the current chunk, if it holds anything. */
  cut(): void;
  /** Bytes of the current chunk. */
  readonly pendingBytes: number;
  /** `performance.now()` at which its first byte came. */
  readonly pendingSince: number | undefined;
  /** Where the next byte is expected. */
  readonly position: bigint;
}

export interface ChunkerOptions {
  readonly timeline: number;
  readonly start: bigint;
  readonly segmentBytes: number;
  /** A chunk is cut when it has grown to this. */
  readonly chunkBytes: number;
  readonly onChunk: (chunk: Chunk) => void;
  readonly onRestorePoint: (point: RestorePoint) => void;
}

/** Cuts a stream of WAL into chunks: at the end of every segment, at a size, and whenever it is told to. */
export function createChunker(options: ChunkerOptions): Chunker {
  const { timeline, segmentBytes, chunkBytes } = options;
  const staging = createStaging(Math.min(chunkBytes, segmentBytes));
  let position = options.start;
  let start = position;
  let buffer: Buffer | undefined;
  let pendingBytes = 0;
  let since: number | undefined;
  let marks: Writable<WalMarks> = { commits: 0 };
  const scanner = createWalScanner({
    onCommit(at, end) {
      marks.commits++;
      // Commit records are written in an order that is not quite that of their times.
      if (marks.firstCommitAt === undefined || at < marks.firstCommitAt) marks.firstCommitAt = at;
      if (marks.lastCommitAt === undefined || at > marks.lastCommitAt) marks.lastCommitAt = at;
      marks.lastCommitEnd = end;
    },
    onRestorePoint: (name, at, lsn) => options.onRestorePoint({ name, timeline, lsn, at }),
  });

  const cut = () => {
    if (!buffer) return;
    const own = buffer;
    const chunk: Chunk = {
      timeline,
      segment: segmentName(timeline, start, segmentBytes),
      start,
      end: position,
      bytes: own.subarray(0, pendingBytes),
      marks,
      release: () => staging.give(own),
    };
    buffer = undefined;
    pendingBytes = 0;
    since = undefined;
    start = position;
    marks = { commits: 0 };
    options.onChunk(chunk);
  };
  return {
    push(given, from, sentAt) {
      if (from !== position) throw new RangeError(`WAL came from ${from}, not from ${position}`);
      for (let at = 0; at < given.length; ) {
        const segmentRest = segmentBytes - Number(position % BigInt(segmentBytes));
        const room = Math.min(segmentRest, chunkBytes - pendingBytes, given.length - at);
        const piece = at === 0 && room === given.length ? given : given.subarray(at, at + room);
        since ??= performance.now();
        buffer ??= staging.take();
        scanner.push(piece, position);
        piece.copy(buffer, pendingBytes);
        pendingBytes += room;
        position += BigInt(room);
        marks.sentAt = sentAt;
        at += room;
        if (room === segmentRest || pendingBytes >= chunkBytes) cut();
      }
    },
    cut,
    get pendingBytes() {
      return pendingBytes;
    },
    get pendingSince() {
      return since;
    },
    get position() {
      return position;
    },
  };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
