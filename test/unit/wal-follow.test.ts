import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { walPartKey, walSegmentKey } from '../../lib/core/keys.ts';
import { segmentName, segmentStart } from '../../lib/core/wal.ts';
import { coverage, readArchive } from '../../lib/core/wal-archive.ts';
import { nextPosition } from '../../lib/core/wal-follow.ts';
import { joinMarks, marksFromMetadata, marksToMetadata, noMarks } from '../../lib/core/wal-marks.ts';
import { createChunker } from '../../tasks/wal/chunks.ts';
import { resumeLsn } from '../../tasks/wal/resume.ts';

const mib = 2 ** 20;
const orders = { system: 'acme', database: 'orders', lineage: 'main' };

describe('where a receiver goes on', () => {
  const server = {
    timeline: 3,
    ancestors: [
      { timeline: 1, end: 5_000_000n },
      { timeline: 2, end: 9_000_000n },
    ],
  };
  const next = (timeline: number, start: bigint) => nextPosition({ timeline, start }, server, mib);

  it('is where the store ends, as long as the server has that history', () => {
    expect(next(3, 9_500_000n)).toEqual({ timeline: 3, start: 9_500_000n });
    expect(next(2, 8_000_000n)).toEqual({ timeline: 2, start: 8_000_000n });
    expect(next(1, 4_999_999n)).toEqual({ timeline: 1, start: 4_999_999n });
  });

  it('is the beginning of the next timeline’s first segment, once the old one is complete or has diverged', () => {
    expect(next(1, 5_000_000n)).toEqual({ timeline: 2, start: segmentStart(5_000_000n, mib) });
    expect(next(1, 7_000_000n)).toEqual({ timeline: 2, start: segmentStart(5_000_000n, mib) });
    expect(next(2, 9_000_001n)).toEqual({ timeline: 3, start: segmentStart(9_000_000n, mib) });
  });

  it('is on the server’s own line when it never was on the stored timeline', () => {
    const other = { timeline: 4, ancestors: [{ timeline: 1, end: 5_000_000n }] };
    expect(nextPosition({ timeline: 3, start: 6_000_000n }, other, mib)).toEqual({
      timeline: 4,
      start: segmentStart(5_000_000n, mib),
    });
  });

  it('is nowhere on a server that is on an older timeline: it is not the one that went on', () => {
    expect(next(4, 1n)).toBeUndefined();
  });
});

describe('the end of what is stored', () => {
  const part = (start: number, end: number) =>
    walPartKey(orders, segmentName(1, BigInt(start), mib), BigInt(start), BigInt(end));

  it('is the first hole, not the last byte: several uploads were on their way when a receiver died', () => {
    const archive = readArchive([part(0, 100), part(100, 200), part(300, 400)], mib);
    expect(resumeLsn(archive, 1, [])).toBe(200n);
  });

  it('is behind a gap that was recorded', () => {
    const archive = readArchive([part(0, 100), part(300, 400)], mib);
    expect(resumeLsn(archive, 1, [{ start: 100n, end: 300n }])).toBe(400n);
    expect(resumeLsn(readArchive([], mib), 1, [{ start: 0n, end: 300n }])).toBe(300n);
    expect(resumeLsn(readArchive([], mib), 1, [])).toBeUndefined();
  });

  it('is behind a gap of which only whole segments that follow it can be seen', () => {
    const archive = readArchive([walSegmentKey(orders, segmentName(1, BigInt(5 * mib), mib))], mib);
    expect(resumeLsn(archive, 1, [{ start: 10n, end: BigInt(mib) }])).toBe(BigInt(6 * mib));
  });

  it('is never past a byte that is neither stored nor recorded as lost', () => {
    const ranges = fc.array(
      fc.tuple(fc.nat(999), fc.nat(999)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) + 1 })),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(ranges, fc.oneof(fc.constant([]), ranges), (stored, lost) => {
        const archive = readArchive(
          stored.map(({ start, end }) => part(start, end)),
          mib,
        );
        const gaps = lost.map(({ start, end }) => ({ start: BigInt(start), end: BigInt(end) }));
        const end = resumeLsn(archive, 1, gaps) as bigint;
        const known = (at: bigint) => [...coverage(archive, 1), ...gaps].some((r) => r.start <= at && at < r.end);
        expect(known(end)).toBe(false);
        expect(known(end - 1n)).toBe(true);
      }),
    );
  });
});

describe('chunks', () => {
  it('put together are the stream, each inside one segment and no larger than asked', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 700_000 }), { maxLength: 12 }),
        fc.integer({ min: 1000, max: 300_000 }),
        fc.nat(mib - 1),
        fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        (sizes, chunkBytes, offset, cuts) => {
          const start = BigInt(7 * mib + offset);
          const chunks: { start: bigint; end: bigint; segment: string; length: number }[] = [];
          const chunker = createChunker({
            timeline: 1,
            start,
            segmentBytes: mib,
            chunkBytes,
            onChunk: ({ start, end, segment, bytes }) => chunks.push({ start, end, segment, length: bytes.length }),
            onRestorePoint: () => {},
          });
          let at = start;
          for (const [i, size] of sizes.entries()) {
            chunker.push(Buffer.alloc(size), at, 1);
            at += BigInt(size);
            if (cuts[i]) chunker.cut();
          }
          chunker.cut();
          let expected = start;
          for (const chunk of chunks) {
            expect(chunk.start).toBe(expected);
            expect(Number(chunk.end - chunk.start)).toBe(chunk.length);
            expect(chunk.length).toBeLessThanOrEqual(chunkBytes);
            expect(segmentName(1, chunk.end - 1n, mib)).toBe(chunk.segment);
            expected = chunk.end;
          }
          expect(expected).toBe(at);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuse WAL that does not follow', () => {
    const options = { timeline: 1, start: 0n, segmentBytes: mib, chunkBytes: mib };
    const chunker = createChunker({ ...options, onChunk: () => {}, onRestorePoint: () => {} });
    expect(() => chunker.push(Buffer.alloc(8), 8n, 1)).toThrow(RangeError);
  });
});

describe('marks', () => {
  const times = fc.integer({ min: 0, max: 4_000_000_000_000_000 });
  const marks = fc.record(
    {
      commits: fc.nat(),
      firstCommitAt: times,
      lastCommitAt: times,
      lastCommitEnd: fc.bigInt(0n, 2n ** 60n),
      sentAt: times,
    },
    { requiredKeys: ['commits'] },
  );

  it('come back from the metadata of an object', () => {
    fc.assert(
      fc.property(marks, (given) => {
        expect(marksFromMetadata(marksToMetadata(given))).toEqual(given);
      }),
    );
  });

  it('join in any grouping', () => {
    fc.assert(
      fc.property(marks, marks, marks, (a, b, c) => {
        expect(joinMarks(joinMarks(a, b), c)).toEqual(joinMarks(a, joinMarks(b, c)));
        expect(joinMarks(noMarks, a)).toEqual({ ...joinMarks(a, noMarks) });
      }),
    );
  });

  it('are none where the metadata cannot be read', () => {
    expect(marksFromMetadata({ commits: '3', 'last-commit-at': 'yesterday' })).toEqual(noMarks);
  });
});
