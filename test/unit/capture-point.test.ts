import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { capturePoint, underWay } from '../../lib/core/capture-point.ts';

const at = (xid: number, start: number) => ({ xid, start: BigInt(start) });

describe('the point of the WAL that shows what a snapshot showed', () => {
  test('is the LSN that was read after it, when nothing was being committed', () => {
    const commits = [at(700, 100), at(701, 200), at(703, 900)];
    expect(capturePoint({ transactions: '702:702:', lsn: 500n }, commits)).toEqual({ lsn: 500n });
  });

  test('is before the commits that did not show yet', () => {
    const capture = { transactions: '702:705:702,704', lsn: 500n };
    expect(capturePoint(capture, [at(703, 100), at(702, 300), at(706, 400)])).toEqual({ lsn: 300n });
  });

  test('does not exist when one showed before an earlier one did', () => {
    const capture = { transactions: '702:705:702,704', lsn: 0x500n };
    expect(capturePoint(capture, [at(702, 0x100), at(703, 0x200)])).toEqual({
      why: 'in the instant of the snapshot the commit at 0/200 showed before an earlier one did',
    });
  });

  test('holds beyond 32 bits', () => {
    const epoch = 2n ** 32n;
    const transactions = `${epoch - 2n}:${epoch + 5n}:${epoch - 2n}`;
    expect(underWay(transactions)).toEqual([String(epoch - 2n)]);
    const last = 2 ** 32 - 1;
    expect(capturePoint({ transactions, lsn: 900n }, [at(last, 100), at(3, 200)])).toEqual({ lsn: 900n });
    expect(capturePoint({ transactions, lsn: 900n }, [at(last - 1, 100)])).toEqual({ lsn: 100n });
    expect(capturePoint({ transactions, lsn: 900n }, [at(last, 100), at(5, 300)])).toEqual({ lsn: 300n });
  });

  test('has, whatever the order, just the commits that the snapshot shows before it', () => {
    const history = fc.uniqueArray(fc.integer({ min: 700, max: 720 }), { minLength: 1 }).chain((xids) =>
      fc.record({
        commits: fc.constant(xids.map((xid, i) => at(xid, (i + 1) * 10))),
        // Those that show: the first ones, but for some of the last.
        shown: fc.subarray(xids),
        read: fc.integer({ min: 1, max: 25 }),
      }),
    );
    fc.assert(
      fc.property(history, ({ commits, shown, read }) => {
        const lsn = BigInt(read * 10 + 5);
        const written = shown.filter((xid) => commits.some((c) => c.xid === xid && c.start < lsn));
        const xmax = 721;
        const running = Array.from({ length: 21 }, (_, i) => 700 + i).filter((xid) => !written.includes(xid));
        const point = capturePoint({ transactions: `700:${xmax}:${running.join(',')}`, lsn }, commits);
        if ('why' in point) return;
        const replayed = commits.filter(({ start }) => start < point.lsn).map(({ xid }) => xid);
        expect(replayed.sort()).toEqual([...written].sort());
      }),
    );
  });
});
