import { describe, expect, test } from 'vitest';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { reachableAlong } from '../../lib/core/recovery-target.ts';
import {
  describePoint,
  noSuchPoint,
  parsePoint,
  pointNamed,
  type RestorePoint,
  reachablePoints,
  tell,
} from '../../lib/core/restore-points.ts';
import { searchTransaction } from '../../lib/core/transaction-search.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { readArchive } from '../../lib/core/wal-archive.ts';

const at = Date.parse('2026-11-21T02:00:00Z') * 1000;
const point = (name: string, lsn: bigint, timeline = 1): RestorePoint => ({ name, lsn, timeline, at });
const unreachable = (message: RegExp) =>
  expect.objectContaining({ name: 'RecoveryTargetUnreachable', message: expect.stringMatching(message) });

describe('restore points', () => {
  test('are read as they were written, and what is none is passed over', () => {
    const one = point('before the migration', 0x3000148n, 2);
    expect(parsePoint(JSON.stringify(describePoint(one)))).toEqual(one);
    expect(parsePoint('{"schemaVersion":1,"name":"x"}')).toBeUndefined();
    expect(parsePoint('no JSON')).toBeUndefined();
  });

  test('count where a recovery arrives, on the history that it follows', () => {
    const histories = new Map([[2, [{ timeline: 1, start: 0n, end: 500n }]]]);
    const reachable = { timeline: 2, histories, ranges: [{ start: 100n, end: 900n }] };
    const points = [
      point('b', 600n, 2),
      point('early', 99n),
      point('a', 300n),
      point('left', 600n),
      point('c', 901n, 2),
    ];
    expect(reachablePoints(points, reachable).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('are one of a name, or refused with all of them', () => {
    const points = [point('a', 1n), point('b', 2n), point('b', 3n)];
    expect(pointNamed('a', points)?.lsn).toBe(1n);
    expect(pointNamed('c', points)).toBeUndefined();
    expect(() => pointNamed('b', points)).toThrow(
      unreachable(/2 points have this name: b \(.*LSN 0\/2\), b \(.*LSN 0\/3\)/),
    );
  });

  test('are told with their times, the newest', () => {
    expect(tell([])).toBe('none');
    const points = Array.from({ length: 7 }, (_, i) => point(`p${i}`, BigInt(i)));
    expect(noSuchPoint('x', points, 'there').message).toMatch(
      /it is not there\. Nearest points: p2 \(2026-11-21T02:00:00.000000Z, LSN 0\/2\), .* and 2 earlier$/,
    );
  });
});

test('points are searched for from the oldest usable backup to the end, a gap between', () => {
  const of = 'acme/orders/main/wal/00000001';
  const size = 2 ** 24;
  const keys = [2, 3, 4, 6, 7].map((n) => `${of}/${segmentName(1, BigInt(n * size), size)}.zst`);
  const backup = (id: string, segment: number) =>
    ({
      id,
      parentId: null,
      timeline: 1,
      startLsn: `0/${segment}000028`,
      stopLsn: `0/${segment}000100`,
    }) as PhysicalManifest;
  const backups = [backup('a', 2), backup('b', 3), backup('c', 6)];
  expect(reachableAlong({ kind: 'name', name: 'x' }, backups, readArchive(keys, size)).ranges).toEqual([
    { start: 0x2000100n, end: 0x5000000n },
    { start: 0x6000100n, end: 0x8000000n },
  ]);
});

describe('a transaction', () => {
  const search = (xid: string, ...ends: (number | undefined)[]) => {
    const one = searchTransaction(xid);
    ends.forEach((end, i) => {
      one.see({ xid: end, at, end: BigInt(i + 1) });
    });
    return one;
  };

  test('is found by the lower half of its number', () => {
    expect(search('701', 700, 701).isOver).toBe(true);
    expect(search(String(2n ** 32n + 701n), 701).isOver).toBe(true);
    expect(search('702', 700, 701).isOver).toBe(false);
  });

  test('may be one that was prepared, whose number is not looked at', () => {
    expect(search('999', 700, undefined).isOver).toBe(true);
  });

  test('that is not there is refused with its neighbours', () => {
    const between = search('705', 0, 703, 707, 701, 710).refusal().message;
    expect(between).toMatch(
      /no such transaction ended there\. .*transaction 703 \(2026.*, LSN 0\/2\), transaction 707 \(/,
    );
    expect(between).not.toMatch(/transaction (0|701|710)\b/);
    expect(search('4000000', 703, 707).refusal()).toEqual(
      unreachable(/the stored WAL ends before it\. Nearest points: transaction 707 \(.*, LSN 0\/2\)$/),
    );
    expect(search('5', 4294967290).refusal().message).toContain('transaction 4294967290');
    expect(search('5', 0).refusal().message).toContain('no transaction ended after the base backup');
  });
});
