import { PgdrError } from './errors.ts';
import { formatLsn } from './lsn.ts';
import { microsecondsToText, type TransactionEnd } from './wal-records.ts';

/** Looks for the end of one transaction among all that pass by, and remembers its neighbours. */
export interface TransactionSearch {
  /** Whether it is found, or cannot be told from what passed: then there is nothing more to look for. */
  readonly isOver: boolean;
  see(end: TransactionEnd): void;
  /** What is said of a transaction that did not end in what passed. */
  refusal(): PgdrError;
}

/** @param xid decimal, with an epoch or without: a recovery looks at its lower 32 bits alone */
export function searchTransaction(xid: string): TransactionSearch {
  const wanted = Number(BigInt.asUintN(32, BigInt(xid)));
  let isOver = false;
  let before: TransactionEnd | undefined;
  let after: TransactionEnd | undefined;
  return {
    get isOver() {
      return isOver;
    },
    see(end) {
      // Of one that was prepared the number stands elsewhere: it may be the one.
      if (end.xid === undefined || end.xid === wanted) isOver = true;
      else if (end.xid === 0) return;
      else if (distance(end.xid, wanted) < 0) {
        if (before?.xid === undefined || distance(end.xid, before.xid) > 0) before = end;
      } else if (after?.xid === undefined || distance(end.xid, after.xid) < 0) after = end;
    },
    refusal() {
      const nearest = [before, after].filter((end) => end !== undefined).map(tell);
      const why = after ? 'no such transaction ended there' : 'the stored WAL ends before it';
      return new PgdrError(
        'RecoveryTargetUnreachable',
        `transaction ${xid} cannot be recovered: ${why}. ` +
          `Nearest points: ${nearest.length > 0 ? nearest.join(', ') : 'no transaction ended after the base backup'}`,
      );
    },
  };
}

/** From `b` to `a` on the circle of 32-bit numbers; negative when `a` is the earlier. */
const distance = (a: number, b: number): number => (a - b) | 0;

const tell = ({ xid, at, end }: TransactionEnd): string =>
  `transaction ${xid} (${at === undefined ? '' : `${microsecondsToText(at)}, `}LSN ${formatLsn(end)})`;
