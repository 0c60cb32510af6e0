import { formatLsn, parseLsn } from './lsn.ts';
import { microsecondsToText, textToMicroseconds } from './wal-records.ts';

/**
 * What is known of the time inside a stretch of WAL; stored as metadata of its object, so that a HEAD tells it. Times
 * are the server's, microseconds since 1970.
 */
export interface WalMarks {
  /** Transactions whose commit record ends in it. */
  readonly commits: number;
  readonly firstCommitAt?: number;
  readonly lastCommitAt?: number;
  /** LSN after the last of those records. */
  readonly lastCommitEnd?: bigint;
  /** The server's clock when it sent the last byte: no commit in here is later. */
  readonly sentAt?: number;
}

export const noMarks: WalMarks = { commits: 0 };

/** Marks of two stretches, in their order. */
export function joinMarks(a: WalMarks, b: WalMarks): WalMarks {
  const earlier = (x?: number, y?: number) => (x === undefined ? y : y === undefined ? x : Math.min(x, y));
  const later = (x?: number, y?: number) => (x === undefined ? y : y === undefined ? x : Math.max(x, y));
  return {
    commits: a.commits + b.commits,
    firstCommitAt: earlier(a.firstCommitAt, b.firstCommitAt),
    // Commit records are written in an order that is not quite that of their times.
    lastCommitAt: later(a.lastCommitAt, b.lastCommitAt),
    lastCommitEnd: b.lastCommitEnd ?? a.lastCommitEnd,
    sentAt: later(a.sentAt, b.sentAt),
  };
}

export function marksToMetadata(marks: WalMarks): Record<string, string> {
  const time = (name: string, at: number | undefined) => (at === undefined ? {} : { [name]: microsecondsToText(at) });
  return {
    commits: String(marks.commits),
    ...time('first-commit-at', marks.firstCommitAt),
    ...time('last-commit-at', marks.lastCommitAt),
    ...(marks.lastCommitEnd !== undefined && { 'last-commit-lsn': formatLsn(marks.lastCommitEnd) }),
    ...time('sent-at', marks.sentAt),
  };
}

/** Marks of an object that carries none, or broken ones, are {@link noMarks}: they are hints, never proofs. */
export function marksFromMetadata(metadata: Readonly<Record<string, string>>): WalMarks {
  const time = (name: string) => {
    const text = metadata[name];
    return text === undefined ? undefined : textToMicroseconds(text);
  };
  try {
    const end = metadata['last-commit-lsn'];
    return {
      commits: Number(metadata.commits ?? 0),
      firstCommitAt: time('first-commit-at'),
      lastCommitAt: time('last-commit-at'),
      lastCommitEnd: end === undefined ? undefined : parseLsn(end),
      sentAt: time('sent-at'),
    };
  } catch {
    return noMarks;
  }
}
