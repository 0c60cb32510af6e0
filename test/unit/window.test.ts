import { describe, expect, it } from 'vitest';
import { walPartKey, walSegmentKey } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { readArchive } from '../../lib/core/wal-archive.ts';
import { lastObjects, recoverableStretches } from '../../lib/core/window.ts';

const mib = 2 ** 20;
const orders = { system: 'acme', database: 'orders', lineage: 'main' };
const part = (timeline: number, start: number, end: number) =>
  walPartKey(orders, segmentName(timeline, BigInt(start), mib), BigInt(start), BigInt(end));
const whole = (timeline: number, nth: number) => walSegmentKey(orders, segmentName(timeline, BigInt(nth * mib), mib));
const backup = (id: string, timeline: number, start: number, stop: number) =>
  ({
    id,
    parentId: null,
    timeline,
    startLsn: formatLsn(BigInt(start)),
    stopLsn: formatLsn(BigInt(stop)),
  }) as PhysicalManifest;
const history = (end: number) => new Map([[2, `1\t${formatLsn(BigInt(end))}\tpromoted\n`]]);
const shown = (backups: PhysicalManifest[], archive: ReturnType<typeof readArchive>) =>
  recoverableStretches(backups, archive).map(({ timeline, from, to, backups: own }) => ({
    timeline,
    from: Number(from.lsn),
    to: Number(to.lsn),
    because: to.because.kind,
    backups: own.map(({ id }) => id),
  }));

describe('the recoverable window', () => {
  it('goes from the end of the oldest backup to the end of what is stored', () => {
    const archive = readArchive([whole(1, 0), whole(1, 1), part(1, 2 * mib, 2 * mib + 500)], mib);
    expect(shown([backup('b', 1, mib, mib + 9), backup('a', 1, 100, 200)], archive)).toEqual([
      { timeline: 1, from: 200, to: 2 * mib + 500, because: 'stored', backups: ['a', 'b'] },
    ]);
  });

  it('is split at a gap, and begins again with the next backup', () => {
    const archive = readArchive([whole(1, 0), whole(1, 2), whole(1, 3)], mib);
    const backups = [
      backup('a', 1, 100, 200),
      backup('lost', 1, mib + 1, mib + 2),
      backup('b', 1, 3 * mib, 3 * mib + 7),
    ];
    expect(shown(backups, archive)).toEqual([
      { timeline: 1, from: 200, to: mib, because: 'gap', backups: ['a'] },
      { timeline: 1, from: 3 * mib + 7, to: 4 * mib, because: 'stored', backups: ['b'] },
    ]);
  });

  it('follows a switch of timeline, and shows apart what only the old timeline has', () => {
    const fork = mib + 100;
    const keys = [whole(1, 0), part(1, mib, fork + 50), part(2, mib, mib + 500)];
    expect(shown([backup('a', 1, 100, 200)], readArchive(keys, mib, history(fork)))).toEqual([
      { timeline: 1, from: 200, to: fork + 50, because: 'left', backups: ['a'] },
      { timeline: 2, from: 200, to: mib + 500, because: 'stored', backups: ['a'] },
    ]);
    // Nothing was written on the old one after the switch: it is not worth a line.
    const clean = [whole(1, 0), part(1, mib, fork), part(2, mib, mib + 500)];
    expect(shown([backup('a', 1, 100, 200)], readArchive(clean, mib, history(fork)))).toHaveLength(1);
  });

  it('is empty without a backup that has its WAL', () => {
    expect(shown([], readArchive([whole(1, 0)], mib))).toEqual([]);
    expect(shown([backup('a', 1, 100, 2 * mib)], readArchive([whole(1, 0)], mib))).toEqual([]);
  });

  it('looks for its newest commit in the objects before its end, never behind it', () => {
    const fork = mib + 100;
    const keys = [whole(1, 0), part(1, mib, fork), part(1, fork, fork + 50), part(2, mib, mib + 500)];
    const archive = readArchive(keys, mib, history(fork));
    const along = recoverableStretches([backup('a', 1, 100, 200)], archive).find(({ timeline }) => timeline === 2);
    expect([...lastObjects(along as NonNullable<typeof along>, archive)].map(({ key }) => key)).toEqual([
      part(2, mib, mib + 500),
      part(1, mib, fork),
      whole(1, 0),
    ]);
  });
});
