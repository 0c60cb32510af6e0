import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseWalKey, walHistoryKey, walPartKey, walSegmentKey } from '../../lib/core/keys.ts';
import { formatLsn, fromLsnDigits, lsnDigits, parseLsn } from '../../lib/core/lsn.ts';
import {
  parseHistory,
  parseSegmentName,
  segmentName,
  segmentStart,
  segmentsOf,
  stretchesOf,
  timelineAt,
} from '../../lib/core/wal.ts';

const lsns = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const segmentSizes = fc.integer({ min: 20, max: 30 }).map((power) => 2 ** power);
const orders = { system: 'acme', database: 'orders', lineage: 'main' };

describe('LSNs', () => {
  it('are read as PostgreSQL writes them', () => {
    expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
    expect(formatLsn(0x16_b374_d848n)).toBe('16/B374D848');
    expect(formatLsn(0x3000028n)).toBe('0/3000028');
  });

  it.each(['', '16', '16/', '/16', '16/B374D8480', 'g/0', '16/B374D848 '])('refuse "%s"', (text) =>
    expect(() => parseLsn(text)).toThrow(RangeError),
  );

  it('come back from text and from digits, and sort alike', () => {
    fc.assert(
      fc.property(lsns, lsns, (a, b) => {
        expect(parseLsn(formatLsn(a))).toBe(a);
        expect(fromLsnDigits(lsnDigits(a))).toBe(a);
        expect(lsnDigits(a) < lsnDigits(b)).toBe(a < b);
      }),
    );
  });
});

describe('segments', () => {
  // As pg_walfile_name gives them.
  it.each([
    [1, '0/0', 16, '000000010000000000000000'],
    [1, '0/3000028', 16, '000000010000000000000003'],
    [2, '16/B374D848', 16, '0000000200000016000000B3'],
    [255, '1/FFFFFFFF', 16, '000000FF00000001000000FF'],
    [1, '1/40000000', 1024, '000000010000000100000001'],
    [1, '0/200000', 1, '000000010000000000000002'],
  ])('of timeline %i at %s, %i MiB: %s', (timeline, lsn, mebibytes, name) => {
    expect(segmentName(timeline, parseLsn(lsn), mebibytes * 2 ** 20)).toBe(name);
  });

  it('hold the bytes that their names say, whatever their size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 - 1 }), lsns, segmentSizes, (timeline, lsn, bytes) => {
        const name = segmentName(timeline, lsn, bytes);
        expect(parseSegmentName(name, bytes)).toEqual({ timeline, start: segmentStart(lsn, bytes) });
        expect(lsn - segmentStart(lsn, bytes)).toBeLessThan(BigInt(bytes));
      }),
    );
  });

  it('are not what their size does not allow', () => {
    expect(parseSegmentName('0000000100000000000000FF', 16 * 2 ** 20)).toBeDefined();
    expect(parseSegmentName('000000010000000000000100', 16 * 2 ** 20)).toBeUndefined();
    expect(parseSegmentName('000000000000000000000001', 16 * 2 ** 20)).toBeUndefined();
    expect(parseSegmentName('00000001000000000000000g', 16 * 2 ** 20)).toBeUndefined();
  });

  it('cover a stretch of WAL without more', () => {
    const mib = 2 ** 20;
    expect(segmentsOf(1, 0n, BigInt(mib), mib)).toEqual(['000000010000000000000000']);
    expect(segmentsOf(1, BigInt(mib) - 1n, BigInt(mib) + 1n, mib)).toHaveLength(2);
    expect(segmentsOf(1, 5n, 5n, mib)).toEqual([]);
  });
});

describe('histories', () => {
  const text =
    '1\t0/5000060\tno recovery target specified\n\n# a comment\n2\t0/7000000\tbefore 2026-11-21 02:00:00+00\n';

  it('tell which timeline wrote what', () => {
    const ancestors = parseHistory(text);
    expect(ancestors).toEqual([
      { timeline: 1, end: parseLsn('0/5000060') },
      { timeline: 2, end: parseLsn('0/7000000') },
    ]);
    expect(timelineAt(3, ancestors, parseLsn('0/500005F'))).toBe(1);
    expect(timelineAt(3, ancestors, parseLsn('0/5000060'))).toBe(2);
    expect(timelineAt(3, ancestors, parseLsn('0/7000000'))).toBe(3);
    expect(stretchesOf(3, ancestors).at(-1)).toEqual({ timeline: 3, start: parseLsn('0/7000000'), end: undefined });
  });

  it('are refused where nothing could be planned with them', () => {
    expect(() => parseHistory('2\t0/1\n1\t0/2\n')).toThrow(/do not rise/);
    expect(() => parseHistory('1 here\n')).toThrow(RangeError);
  });

  it('put every byte on exactly one timeline', () => {
    fc.assert(
      fc.property(fc.uniqueArray(lsns, { maxLength: 5 }), lsns, (switches, lsn) => {
        const sorted = switches.sort((a, b) => (a < b ? -1 : 1));
        const ancestors = parseHistory(sorted.map((end, i) => `${i + 1}\t${formatLsn(end)}\tpromoted\n`).join(''));
        const stretches = stretchesOf(sorted.length + 1, ancestors);
        const holding = stretches.filter(({ start, end }) => start <= lsn && (end === undefined || lsn < end));
        expect(holding.map(({ timeline }) => timeline)).toEqual([timelineAt(sorted.length + 1, ancestors, lsn)]);
      }),
    );
  });
});

describe('keys of WAL', () => {
  it('say what they hold', () => {
    const part = walPartKey(orders, '000000010000000000000003', 0x3000028n, 0x3000100n);
    expect(part).toBe(
      'acme/orders/main/wal/00000001/parts/000000010000000000000003/0000000003000028-0000000003000100.zst',
    );
    expect(parseWalKey(part)).toEqual({
      kind: 'part',
      segment: '000000010000000000000003',
      start: 0x3000028n,
      end: 0x3000100n,
    });
    const segment = walSegmentKey(orders, '000000020000000000000003');
    expect(segment).toBe('acme/orders/main/wal/00000002/000000020000000000000003.zst');
    expect(parseWalKey(segment)).toEqual({ kind: 'segment', segment: '000000020000000000000003' });
    expect(parseWalKey(walHistoryKey(orders, 10))).toEqual({ kind: 'history', timeline: 10 });
  });

  it.each([
    'acme/orders/main/wal/00000001/000000020000000000000003.zst',
    'acme/orders/main/wal/00000001/000000010000000000000003',
    'acme/orders/main/wal/00000001/parts/000000010000000000000003/0000000003000100-0000000003000028.zst',
    'acme/orders/main/logical/x/manifest.json',
  ])('%s is none', (key) => expect(parseWalKey(key)).toBeUndefined());
});
