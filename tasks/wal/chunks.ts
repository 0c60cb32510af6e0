import { segmentName, segmentStart } from '../../lib/core/wal.ts';
import { joinMarks, noMarks, type WalMarks } from '../../lib/core/wal-marks.ts';
import { createWalScanner } from '../../lib/core/wal-records.ts';

/** A stretch of WAL inside one segment, as it becomes one object. */
export interface Chunk {
  readonly timeline: number;
  readonly segment: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly bytes: readonly Buffer[];
  readonly marks: WalMarks;
}

export interface RestorePoint {
  readonly name: string;
  readonly timeline: number;
  /** LSN after its record. */
  readonly lsn: bigint;
  /** Microseconds since 1970, the server's clock. */
  readonly at: number;
}

export interface Chunker {
  /** The bytes that follow those before. */
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
  let position = options.start;
  let start = position;
  let bytes: Buffer[] = [];
  let pendingBytes = 0;
  let since: number | undefined;
  let marks: WalMarks = noMarks;
  const scanner = createWalScanner({
    onCommit: (at, end) => {
      marks = joinMarks(marks, { commits: 1, firstCommitAt: at, lastCommitAt: at, lastCommitEnd: end });
    },
    onRestorePoint: (name, at, lsn) => options.onRestorePoint({ name, timeline, lsn, at }),
  });

  const cut = () => {
    if (pendingBytes === 0) return;
    const chunk = { timeline, segment: segmentName(timeline, start, segmentBytes), start, end: position, bytes, marks };
    bytes = [];
    pendingBytes = 0;
    since = undefined;
    start = position;
    marks = noMarks;
    options.onChunk(chunk);
  };
  const take = (piece: Buffer, sentAt: number) => {
    since ??= performance.now();
    bytes.push(piece);
    pendingBytes += piece.length;
    position += BigInt(piece.length);
    marks = { ...marks, sentAt };
  };
  return {
    push(given, from, sentAt) {
      if (from !== position) throw new RangeError(`WAL came from ${from}, not from ${position}`);
      for (let at = 0; at < given.length; ) {
        const segmentEnd = segmentStart(position, segmentBytes) + BigInt(segmentBytes);
        const room = Math.min(Number(segmentEnd - position), chunkBytes - pendingBytes, given.length - at);
        const piece = given.subarray(at, at + room);
        scanner.push(piece, position);
        take(piece, sentAt);
        at += room;
        if (position === segmentEnd || pendingBytes >= chunkBytes) cut();
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
