import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { walPartKey, walSegmentKey } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import { segmentName, segmentStart } from '../../lib/core/wal.ts';
import {
  contiguousEnd,
  coverage,
  gapsOf,
  planRange,
  planSegment,
  reach,
  readArchive,
} from '../../lib/core/wal-archive.ts';

const mib = 2 ** 20;
const orders = { system: 'acme', database: 'orders', lineage: 'main' };
const part = (timeline: number, start: number, end: number) =>
  walPartKey(orders, segmentName(timeline, BigInt(start), mib), BigInt(start), BigInt(end));
const whole = (timeline: number, nth: number) => walSegmentKey(orders, segmentName(timeline, BigInt(nth * mib), mib));

/** A model of a store: any parts of the first four segments of timeline 1, and any of those segments as a whole. */
const stores = fc.record({
  parts: fc.array(
    fc
      .tuple(fc.nat(3), fc.integer({ min: 0, max: mib - 1 }), fc.integer({ min: 1, max: mib }))
      .map(([nth, a, b]): [number, number] => [nth * mib + Math.min(a, b - 1), nth * mib + Math.max(a + 1, b)]),
    { maxLength: 12 },
  ),
  wholes: fc.uniqueArray(fc.nat(3), { maxLength: 4 }),
});
const keysOf = ({ parts, wholes }: { parts: [number, number][]; wholes: number[] }) => [
  ...parts.map(([start, end]) => part(1, start, end)),
  ...wholes.map((nth) => whole(1, nth)),
];

describe('the archive of WAL', () => {
  it('joins what touches and overlaps, and sees what is missing', () => {
    const archive = readArchive([part(1, 10, 20), part(1, 15, 30), part(1, 30, 31), part(1, 40, 50)], mib);
    expect(coverage(archive, 1)).toEqual([
      { start: 10n, end: 31n },
      { start: 40n, end: 50n },
    ]);
    expect(gapsOf(archive, 1)).toEqual([{ start: 31n, end: 40n }]);
    expect(contiguousEnd(archive, 1, 12n)).toBe(31n);
    expect(contiguousEnd(archive, 1, 35n)).toBe(35n);
  });

  it('plans each byte once and tells the rest, whatever is stored', () => {
    fc.assert(
      fc.property(stores, fc.nat(4 * mib), fc.nat(4 * mib), (store, a, b) => {
        const archive = readArchive(keysOf(store), mib);
        const [from, to] = [BigInt(Math.min(a, b)), BigInt(Math.max(a, b))];
        const { pieces, missing } = planRange(archive, 1, from, to);
        // Pieces and holes together are the range, in order and without overlap.
        const all = [...pieces, ...missing].sort((x, y) => (x.start < y.start ? -1 : 1));
        let at = from;
        for (const { start, end } of all) {
          expect(start).toBe(at);
          expect(end).toBeGreaterThan(start);
          at = end;
        }
        expect(at).toBe(to);
        for (const { object, offset, length, start } of pieces) {
          expect(object.start + BigInt(offset)).toBe(start);
          expect(start + BigInt(length)).toBeLessThanOrEqual(object.end);
        }
        // What is called missing is in no object.
        for (const hole of missing) {
          const held = coverage(archive, 1).some(({ start, end }) => start < hole.end && end > hole.start);
          expect(held).toBe(false);
        }
      }),
    );
  });

  it('does not depend on the order of the keys', () => {
    fc.assert(
      fc.property(stores, fc.infiniteStream(fc.nat()), (store, order) => {
        const keys = keysOf(store);
        const shuffled = keys
          .map((key) => ({ key, rank: order.next().value as number }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ key }) => key);
        expect(coverage(readArchive(shuffled, mib), 1)).toEqual(coverage(readArchive(keys, mib), 1));
      }),
    );
  });

  it('reads a whole segment rather than its parts', () => {
    const archive = readArchive([part(1, 0, mib), whole(1, 0), part(1, mib, mib + 5)], mib);
    expect(planSegment(archive, segmentName(1, 0n, mib)).pieces.map(({ object }) => object.kind)).toEqual(['segment']);
    const last = planSegment(archive, segmentName(1, BigInt(mib), mib));
    expect(last.pieces).toHaveLength(1);
    expect(last.missing).toEqual([{ start: BigInt(mib) + 5n, end: BigInt(2 * mib) }]);
  });

  it('names what pgdr did not write', () => {
    const stranger = 'acme/orders/main/wal/00000001/parts/000000010000000000000000/nonsense';
    const outside = walPartKey(orders, segmentName(1, 0n, mib), BigInt(mib), BigInt(mib + 1));
    expect(readArchive([stranger, outside, whole(1, 0)], mib).strangers).toEqual([stranger, outside]);
  });
});

describe('how far a recovery gets', () => {
  const history = (end: number) => new Map([[2, `1\t${formatLsn(BigInt(end))}\tpromoted\n`]]);
  const fork = mib + 100;

  it('follows a switch of timeline', () => {
    const archive = readArchive([whole(1, 0), part(1, mib, fork + 50), part(2, mib, mib + 500)], mib, history(fork));
    expect(reach(archive, 2, 0n)).toEqual({ end: BigInt(mib + 500), timeline: 2, arrives: true });
    // The old timeline's diverged end stays reachable on its own.
    expect(reach(archive, 1, 0n)).toEqual({ end: BigInt(fork + 50), timeline: 1, arrives: true });
  });

  it('takes the last bytes before the switch from the copy in the new timeline', () => {
    const archive = readArchive([whole(1, 0), part(2, mib, mib + 500)], mib, history(fork));
    expect(reach(archive, 2, 0n)).toEqual({ end: BigInt(mib + 500), timeline: 2, arrives: true });
  });

  it('stops at a gap before the switch', () => {
    const archive = readArchive([part(1, 0, 900), part(2, mib, mib + 500)], mib, history(fork));
    expect(reach(archive, 2, 0n)).toEqual({ end: 900n, timeline: 1, arrives: false });
  });

  it('never passes a byte that is not stored on the way', () => {
    fc.assert(
      fc.property(stores, fc.nat(4 * mib), (store, from) => {
        const archive = readArchive(keysOf(store), mib);
        const { end } = reach(archive, 1, BigInt(from));
        expect(planRange(archive, 1, BigInt(from), end).missing).toEqual([]);
        if (end < BigInt(4 * mib)) {
          expect(planRange(archive, 1, end, end + 1n).missing).toHaveLength(1);
        }
        expect(segmentStart(end, mib)).toBeLessThanOrEqual(end);
      }),
    );
  });
});
