import { describe, expect, test } from 'vitest';
import { brokenChains, chainOf, chooseBasis, mostIncrements, requireChain } from '../../lib/core/backup-chain.ts';
import * as keys from '../../lib/core/keys.ts';
import type { PhysicalManifest } from '../../lib/core/physical-manifest.ts';
import { chooseRecovery } from '../../lib/core/recovery-target.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { readArchive } from '../../lib/core/wal-archive.ts';
import { recoverableStretches } from '../../lib/core/window.ts';

const hour = 3_600_000;
const epoch = Date.UTC(2026, 10, 1);

/** The n-th backup, an hour and a segment after the one before. */
const backup = (n: number, parent: number | null, more: Partial<PhysicalManifest> = {}) =>
  ({
    id: `2026110${n}`,
    parentId: parent === null ? null : `2026110${parent}`,
    systemIdentifier: '7',
    serverVersionNum: 170_004,
    timeline: 1,
    startLsn: `0/${n}000028`,
    stopLsn: `0/${n}000100`,
    startedAt: new Date(epoch + n * hour).toISOString(),
    stoppedAt: new Date(epoch + n * hour).toISOString(),
    oldestRunningXid: '700',
    ...more,
  }) as PhysicalManifest;

const [full, first, second] = [backup(1, null), backup(2, 1), backup(3, 2)];
const ids = (backups: readonly PhysicalManifest[] | null | undefined) => backups?.map(({ id }) => id.at(-1));

describe('a chain', () => {
  test('has the full backup first', () => {
    expect(ids(chainOf(second, [second, full, first]))).toEqual(['1', '2', '3']);
    expect(ids(chainOf(full, [full]))).toEqual(['1']);
  });

  test('that lacks an ancestor is none, and says which', () => {
    expect(chainOf(second, [second, full])).toBeUndefined();
    expect(brokenChains([full, second], [second, full])).toEqual([
      'base backup 20261103 is an increment and builds on 20261102, which is missing or not verified',
    ]);
    expect(() => requireChain(second, [second, first])).toThrow(/^AncestorMissing|builds on 20261101/);
  });

  test('that bites its own tail ends', () => {
    const loop = [backup(1, 2), backup(2, 1)];
    expect(chainOf(loop[1] as PhysicalManifest, loop)).toBeUndefined();
    expect(brokenChains(loop, loop)).toHaveLength(2);
  });
});

describe('the next backup', () => {
  const next = {
    major: 17,
    systemIdentifier: '7',
    summarizesWal: true,
    fullEverySeconds: 86_400,
    now: epoch + 4 * hour,
  };
  const choose = (backups: readonly PhysicalManifest[], changes: Partial<typeof next> = {}) =>
    chooseBasis(backups, { ...next, ...changes });

  test('builds on the newest', () => {
    expect(ids(choose([first, full, second]).chain)).toEqual(['1', '2', '3']);
  });

  test('is full when the last full one is old enough, as configured', () => {
    expect(choose([full, first], { now: epoch + 25 * hour })).toEqual({ chain: null, because: null });
    expect(choose([])).toEqual({ chain: null, because: null });
  });

  test.each([
    [[full, second], {}, 'missing or not verified'],
    [[full], { summarizesWal: false }, 'summarize_wal is off'],
    [[full], { systemIdentifier: '8' }, 'another server'],
    [[full], { major: 18 }, 'another major'],
    [[full], { major: 16 }, 'has no incremental backups'],
  ])('is full where there is no other way, and says why (%#)', (backups, changes, why) => {
    expect(choose(backups, changes)).toEqual({ chain: null, because: expect.stringContaining(why) });
  });

  test('ends a chain that has become too long', () => {
    const ofId = (n: number) => `2026110${String(n).padStart(2, '0')}`;
    const long = Array.from({ length: mostIncrements + 1 }, (_, n) =>
      backup(1, null, { id: ofId(n), parentId: n === 0 ? null : ofId(n - 1) }),
    );
    expect(choose(long.slice(0, -1)).chain).toHaveLength(mostIncrements);
    expect(choose(long)).toMatchObject({ chain: null, because: expect.stringContaining('32 increments') });
  });
});

describe('a recovery', () => {
  const MiB16 = 2 ** 24;
  const of = { system: 'acme', database: 'orders', lineage: 'main' };
  const segment = (n: number) => keys.walSegmentKey(of, segmentName(1, BigInt(n * MiB16), MiB16));
  const archive = readArchive([1, 2, 3, 4].map(segment), MiB16);

  test('begins with the newest backup that has all that it builds on', () => {
    expect(chooseRecovery({ kind: 'latest' }, [full, first, second], archive).backup.id).toBe(second.id);
    expect(chooseRecovery({ kind: 'latest' }, [full, second], archive).backup.id).toBe(full.id);
    expect(recoverableStretches([full, second], archive)[0]?.backups).toEqual([full]);
  });

  test('that has no other is refused with the ancestor that is missing', () => {
    expect(() => chooseRecovery({ kind: 'latest' }, [second], archive)).toThrow(/builds on 20261102, which is missing/);
  });
});
