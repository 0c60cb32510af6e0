import { describe, expect, it } from 'vitest';
import { answerOf, mergedStretches, type RegionFacts } from '../../lib/core/recoverability.ts';

const now = new Date('2026-11-21T12:00:00Z');
const limits = { now, restoreTestIntervalSeconds: 7 * 86_400 };
const backup = { id: 'b1', takenAt: '2026-11-21T02:00:00Z', verifiedAt: '2026-11-21T02:05:00Z', bytes: 1 };
const proof = {
  ...{ id: 'p1', backupId: 'b1', at: '2026-11-20T03:00:00Z', holds: true },
  ...{ level: 'L5' as const, rtoSeconds: 60, rpoSeconds: 3600 },
};
const region = (name: string, facts: Partial<RegionFacts> = {}): RegionFacts => ({ region: name, ...facts });

describe('could we recover now', () => {
  it('says in words that there is no backup yet', () => {
    expect(answerOf([region('a'), region('b')], limits)).toMatchObject({
      recoverable: 'no',
      to: null,
      says: 'there is no verified backup yet',
    });
  });

  it('goes as far as the stored WAL, and no further than the backup where none is received', () => {
    const window = [{ from: '2026-11-20T02:00:00Z', to: '2026-11-21T11:59:58.500000Z' }];
    expect(answerOf([region('a', { backup, proof, lastTest: proof, window })], limits)).toMatchObject({
      recoverable: 'yes',
      to: '2026-11-21T11:59:58.500000Z',
      lossSeconds: 1.5,
    });
    expect(answerOf([region('a', { backup, proof, lastTest: proof, window: [] })], limits)).toMatchObject({
      to: backup.takenAt,
      lossSeconds: 36_000,
    });
  });

  it('needs no logical backup where there is a window', () => {
    const window = [{ from: '2026-11-20T02:00:00Z', to: '2026-11-21T11:00:00Z' }];
    expect(answerOf([region('a', { window })], limits)).toMatchObject({ recoverable: 'unproven', lossSeconds: 3600 });
  });

  it('prefers the region that is proven, then the newer data', () => {
    const lost = region('a', { problem: 'a does not answer' });
    expect(answerOf([lost, region('b', { backup, proof, lastTest: proof })], limits)).toMatchObject({
      recoverable: 'yes',
      region: 'b',
    });
    const failed = { ...proof, id: 'p2', at: '2026-11-21T03:00:00Z', holds: false };
    expect(answerOf([region('a', { backup, proof, lastTest: failed })], limits)).toMatchObject({
      recoverable: 'unproven',
      says: 'the restore test of 2026-11-21T03:00:00Z failed',
    });
  });
});

it('counts a moment once, however many timelines reach it', () => {
  const at = (hour: number) => `2026-11-21T${String(hour).padStart(2, '0')}:00:00Z`;
  const merged = mergedStretches([
    { from: at(4), to: at(6) },
    { from: at(1), to: at(2) },
    { from: at(5), to: at(8) },
  ]);
  expect(merged.map(({ from, to }) => (to - from) / 3_600_000)).toEqual([1, 4]);
});
