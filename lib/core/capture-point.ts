import { formatLsn } from './lsn.ts';

/**
 * At which point of the WAL a recovered server shows exactly what a snapshot of its source showed. Pure.
 *
 * A snapshot shows the transactions that had ended when it was taken, a recovery those whose commit records it has
 * replayed. A commit is written before it shows, so everything that the snapshot shows lies before the LSN that was read
 * after it; what lies before that LSN too and does not show yet was just being committed. So the point is right before
 * the first commit that the snapshot does not show, provided that none which it shows comes behind.
 */

/** What a logical backup noted of its snapshot. */
export interface Capture {
  /** `xmin:xmax:xip,…`, 64-bit numbers, as pg_current_snapshot writes it. */
  readonly transactions: string;
  /** Read after the snapshot was taken. */
  readonly lsn: bigint;
}

/** A commit record: the transaction as 32 bits, as WAL has it, and where the record begins. */
export interface Commit {
  readonly xid: number;
  readonly start: bigint;
}

/** Records that begin before `lsn` are to be replayed, and no other. */
export type CapturePoint = { readonly lsn: bigint } | { readonly why: string };

/** @param commits those of the stretch of WAL that ends with the capture's LSN, in any order */
export function capturePoint({ transactions, lsn }: Capture, commits: readonly Commit[]): CapturePoint {
  const shows = visibleIn(transactions);
  const before = commits.filter(({ start }) => start < lsn);
  const point = before
    .filter(({ xid }) => !shows(xid))
    .reduce((least, { start }) => (start < least ? start : least), lsn);
  const overtaking = before.find(({ xid, start }) => shows(xid) && start >= point);
  if (!overtaking) return { lsn: point };
  return {
    why: `in the instant of the snapshot the commit at ${formatLsn(overtaking.start)} showed before an earlier one did`,
  };
}

/** Transactions that were under way: committed in the recovered server, they would be in it and not in the snapshot. */
export const underWay = (transactions: string): string[] =>
  transactions.split(':')[2]?.split(',').filter(Boolean) ?? [];

function visibleIn(transactions: string): (xid: number) => boolean {
  const xmax = BigInt(transactions.split(':')[1] ?? '');
  const running = new Set(underWay(transactions).map(BigInt));
  return (xid) => {
    // The upper half is that of the numbers near it.
    const whole = xmax + BigInt.asIntN(32, BigInt(xid) - xmax);
    return whole < xmax && !running.has(whole);
  };
}
