import { describe, expect, test } from 'vitest';
import * as keys from '../../lib/core/keys.ts';
import { parseLsn } from '../../lib/core/lsn.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import {
  chooseRecovery,
  describeTarget,
  formatMicroseconds,
  microseconds,
  parseTarget,
  type RecoveryTarget,
  targetParameters,
} from '../../lib/core/recovery-target.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { readArchive } from '../../lib/core/wal-archive.ts';
import { contentStart, recordEnd } from '../../lib/core/wal-record.ts';

const MiB16 = 2 ** 24;
const of = { system: 'acme', database: 'orders', lineage: 'main' };
const segment = (timeline: number, n: number) =>
  keys.walSegmentKey(of, segmentName(timeline, BigInt(n * MiB16), MiB16));
const segments = (timeline: number, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => segment(timeline, from + i));

const backup = (id: string, startSegment: number, stoppedAt: string, more: Partial<PhysicalManifest> = {}) =>
  ({
    id,
    parentId: null,
    timeline: 1,
    startLsn: `0/${startSegment}000028`,
    stopLsn: `0/${startSegment}000100`,
    stoppedAt,
    oldestRunningXid: '700',
    ...more,
  }) as PhysicalManifest;

const early = backup('early', 2, '2026-11-21T01:00:00.000000Z');
const late = backup('late', 5, '2026-11-21T02:00:00.000000Z', { oldestRunningXid: '900' });
const whole = readArchive(segments(1, 2, 8), MiB16);
const choose = (target: RecoveryTarget, archive = whole, backups = [early, late]) =>
  chooseRecovery(target, backups, archive);
const chosen = (...args: Parameters<typeof choose>) => choose(...args).backup.id;

describe('times', () => {
  test('keep their microseconds and lose their zone', () => {
    expect(formatMicroseconds(microseconds('2026-11-21T02:00:00.123456Z'))).toBe('2026-11-21T02:00:00.123456Z');
    expect(formatMicroseconds(microseconds('2026-11-21 03:00:00.5+01'))).toBe('2026-11-21T02:00:00.500000Z');
    expect(formatMicroseconds(microseconds('2026-11-21T07:30:00+05:30'))).toBe('2026-11-21T02:00:00.000000Z');
  });

  test('are given to PostgreSQL without the T and the Z that it refuses', () => {
    expect(targetParameters({ kind: 'time', time: '2026-11-21T02:00:00.123456Z' }, 3)).toMatchObject({
      recovery_target_time: '2026-11-21 02:00:00.123456+00',
      recovery_target_timeline: '3',
      recovery_target_action: 'promote',
    });
  });

  test.each(['2026-11-21', '2026-11-21T02:00:00', '2026-02-31T00:00:00Z', '2026-11-21T25:00:00Z', 'yesterday'])(
    'that are none are refused: %s',
    (time) => {
      expect(() => parseTarget({ kind: 'time', time })).toThrow(expect.objectContaining({ name: 'RequestInvalid' }));
    },
  );
});

describe('the backup is', () => {
  test('the newest that had ended before the target', () => {
    expect(chosen({ kind: 'latest' })).toBe('late');
    expect(chosen({ kind: 'time', time: '2026-11-21T02:00:00.000000Z' })).toBe('late');
    expect(chosen({ kind: 'time', time: '2026-11-21T01:59:59.999999Z' })).toBe('early');
    expect(chosen({ kind: 'lsn', lsn: '0/5000100' })).toBe('late');
    expect(chosen({ kind: 'lsn', lsn: '0/50000FF' })).toBe('early');
    expect(chosen({ kind: 'xid', xid: '901' })).toBe('late');
    expect(chosen({ kind: 'xid', xid: '899' })).toBe('early');
  });

  test('none whose own WAL is not there', () => {
    expect(chosen({ kind: 'latest' }, readArchive(segments(1, 2, 4), MiB16))).toBe('early');
    expect(() => choose({ kind: 'latest' }, readArchive(segments(1, 6, 8), MiB16))).toThrow(/has the WAL/);
  });
});

describe('refused with the nearest there is', () => {
  test.each([
    [{ kind: 'time', time: '2026-11-21T00:59:59Z' }, /earliest point is 2026-11-21T01:00:00.000000Z/],
    [{ kind: 'lsn', lsn: '0/2000080' }, /earliest point is LSN 0\/2000100/],
    [{ kind: 'lsn', lsn: '0/9000001' }, /latest point is LSN 0\/9000000/],
    [{ kind: 'xid', xid: '699' }, /earliest point is/],
  ] as const)('%j', (target, words) => {
    expect(() => choose(target)).toThrow(words);
  });

  test('behind a gap', () => {
    const archive = readArchive([...segments(1, 2, 5), ...segments(1, 7, 8)], MiB16);
    expect(() => choose({ kind: 'latest' }, archive)).toThrow(/missing from LSN 0\/6000000 on.*behind the gap/);
    expect(() => choose({ kind: 'lsn', lsn: '0/7000000' }, archive)).toThrow(/latest point is LSN 0\/6000000/);
    expect(chosen({ kind: 'lsn', lsn: '0/5800000' }, archive)).toBe('late');
  });
});

describe('after a failover', () => {
  // Timeline 2 left timeline 1 in segment 6; the old primary wrote on to segment 8.
  const history = new Map([[2, '1\t0/6000080\tno recovery target specified\n']]);
  const archive = readArchive([...segments(1, 2, 8), ...segments(2, 6, 9), keys.walHistoryKey(of, 2)], MiB16, history);
  const abandoned = backup('abandoned', 7, '2026-11-21T03:00:00.000000Z');
  const backups = [early, late, abandoned];

  test('the newest history is followed, and no backup of the abandoned branch', () => {
    expect(choose({ kind: 'latest' }, archive, backups)).toMatchObject({
      backup: late,
      timeline: 2,
      end: parseLsn('0/A000000'),
    });
  });

  test('the abandoned branch is reached by its name', () => {
    expect(choose({ kind: 'latest', timeline: 1 }, archive, backups)).toMatchObject({
      backup: abandoned,
      timeline: 1,
      end: parseLsn('0/9000000'),
    });
  });
});

test('targets are told in words', () => {
  expect(describeTarget(parseTarget({ kind: 'name', name: 'before' }))).toBe('restore point before');
  expect(describeTarget(parseTarget({ kind: 'lsn', lsn: '0/abc' }))).toBe('LSN 0/ABC');
});

test('a record ends behind the headers of the pages that it crosses', () => {
  const size = BigInt(MiB16);
  expect(contentStart(size, size)).toBe(size + 40n);
  expect(contentStart(size + 8192n, size)).toBe(size + 8216n);
  expect(recordEnd(size + 48n, 100, size)).toBe(size + 148n);
  expect(recordEnd(size + 8000n, 192, size)).toBe(size + 8192n);
  expect(recordEnd(size + 8000n, 193, size)).toBe(size + 8217n);
  expect(recordEnd(2n * size - 8n, 10, size)).toBe(2n * size + 42n);
});
