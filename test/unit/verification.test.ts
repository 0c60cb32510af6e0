import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partRange, planBatches } from '../../lib/core/verification.ts';
import { sampleManifest, sampleObject } from './sample-manifest.ts';

const GiB = 1024 ** 3;

describe('planning a verification', () => {
  const objects = fc.array(fc.array(fc.integer({ min: 1, max: 5 * GiB }), { maxLength: 12 }), {
    minLength: 1,
    maxLength: 12,
  });

  it('covers every part of every object exactly once', () => {
    fc.assert(
      fc.property(objects, (sizes) => {
        const manifest = sampleManifest({ objects: sizes.map((parts, i) => sampleObject(`o${i}`, parts)) });
        const seen = planBatches(manifest, 'm').flatMap(({ ranges }) =>
          ranges.flatMap(({ key, fromPart, toPart }) =>
            Array.from({ length: toPart - fromPart + 1 }, (_, i) => `${key}/${fromPart + i}`),
          ),
        );
        const all = sizes.flatMap((parts, i) => parts.map((_, part) => `o${i}/${part}`));
        expect(seen.sort()).toEqual(all.sort());
      }),
    );
  });

  it('keeps a batch within what one function reads in time, but for a last part that passes it', () => {
    fc.assert(
      fc.property(objects, (sizes) => {
        const manifest = sampleManifest({ objects: sizes.map((parts, i) => sampleObject(`o${i}`, parts)) });
        for (const { ranges } of planBatches(manifest, 'm')) {
          const bytes = ranges.flatMap(
            ({ key, fromPart, toPart }) =>
              manifest.objects.find((o) => o.key === key)?.parts.slice(fromPart, toPart + 1) ?? [],
          );
          const total = bytes.reduce((sum, part) => sum + part.bytes, 0);
          expect(total - (bytes.at(-1)?.bytes ?? 0)).toBeLessThan(4 * GiB);
        }
      }),
    );
  });

  it('keeps the plan of a very large backup inside an execution payload', () => {
    const parts = Array.from({ length: 9000 }, () => GiB);
    const manifest = sampleManifest({
      objects: Array.from({ length: 20 }, (_, i) => sampleObject(`${'k'.repeat(80)}${i}`, parts)),
    });
    expect(JSON.stringify(planBatches(manifest, 'k'.repeat(100))).length).toBeLessThan(200 * 1024);
  });

  it('gives parts adjoining byte ranges', () => {
    const object = sampleObject('o', [5, 3, 7]);
    expect([0, 1, 2].map((part) => partRange(object, part))).toEqual([
      { from: 0, to: 4 },
      { from: 5, to: 7 },
      { from: 8, to: 14 },
    ]);
  });
});
