import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { walPartKey, walSegmentKey } from '../../lib/core/keys.ts';
import { segmentName } from '../../lib/core/wal.ts';
import { readArchive } from '../../lib/core/wal-archive.ts';
import { type Circumstances, chooseForReading, findMissing } from '../../lib/core/wal-audit.ts';

const mib = 2 ** 20;
const of = { system: 'acme', database: 'orders', lineage: 'main' };
const part = (start: number, end: number) =>
  walPartKey(of, segmentName(1, BigInt(start), mib), BigInt(start), BigInt(end));
const whole = (nth: number) => walSegmentKey(of, segmentName(1, BigInt(nth * mib), mib));

describe('what is missing', () => {
  const archive = readArchive([whole(0), whole(2), part(3 * mib, 3 * mib + 10)], mib);
  const given: Circumstances = { from: 0n, ever: archive, recorded: [], backups: [], isYoung: () => false };
  const found = (changes: Partial<Circumstances> = {}) => findMissing(archive, { ...given, ...changes }).length;

  it('counts, and waits while what is behind it is young', () => {
    expect(found()).toBe(1);
    expect(found({ isYoung: ({ key }) => key === whole(2) })).toBe(0);
  });

  it('is told at once when it was there and was deleted', () => {
    const ever = readArchive([whole(0), whole(1), whole(2)], mib);
    expect(found({ ever, isYoung: () => true })).toBe(1);
  });

  it('counts as a recorded gap until a base backup begins behind it', () => {
    const recorded = [{ timeline: 1, start: BigInt(mib), end: BigInt(2 * mib) }];
    const isYoung = () => true;
    expect(found({ recorded, isYoung })).toBe(1);
    expect(found({ recorded, isYoung, backups: [{ timeline: 1, start: BigInt(mib + 5) }] })).toBe(1);
    expect(found({ recorded, isYoung, backups: [{ timeline: 1, start: BigInt(2 * mib) }] })).toBe(0);
    // Only what was recorded: somebody may have removed more.
    expect(found({ recorded: [{ timeline: 1, start: BigInt(mib), end: BigInt(mib + 5) }] })).toBe(1);
  });
});

describe('what is read', () => {
  it('is everything new, and run by run everything old, each once a sweep', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 80 }),
        (old, young, sweep) => {
          const since = new Date(1000);
          const keys = Array.from({ length: old + young }, (_, i) => whole(i));
          const modifiedAt = new Map(keys.map((key, i) => [key, new Date(i < old ? 0 : 2000)]));
          const archive = readArchive(keys, mib);
          const seen: string[] = [];
          let after: string | undefined;
          let runs = 0;
          do {
            const { objects, next } = chooseForReading(archive, modifiedAt, { since, after, sweep });
            expect(objects.filter(({ key }) => keys.indexOf(key) >= old)).toHaveLength(young);
            expect(objects.length).toBeLessThanOrEqual(young + Math.ceil(old / sweep));
            seen.push(...objects.map(({ key }) => key).filter((key) => keys.indexOf(key) < old));
            after = next;
            runs++;
          } while (after !== undefined);
          expect(seen).toEqual(keys.slice(0, old));
          expect(runs).toBeLessThanOrEqual(Math.max(1, sweep));
        },
      ),
    );
  });
});
