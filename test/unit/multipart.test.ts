import fc from 'fast-check';
import { expect, it } from 'vitest';
import { cutIntoParts, partsHeld, sendParts } from '../../lib/aws/multipart.ts';
import { partBytesFor } from '../../lib/core/keys.ts';

const MiB = 1024 ** 2;

/** Bytes that tell their places, in chunks of the given lengths. */
async function* chunksOf(lengths: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const length of lengths) yield Buffer.from(Array.from({ length }, () => at++ % 251));
}

it('cuts any stream into equal parts, each intact until it was sent', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(40)), fc.integer({ min: 1, max: 30 }), async (lengths, size) => {
      const received: Buffer[] = [];
      const buffers = new Set<ArrayBufferLike>();
      await sendParts(
        cutIntoParts(chunksOf(lengths), size, () => {}),
        async (body, partNumber) => {
          buffers.add(body.buffer);
          // The later the part, the sooner it is done: as late as the promise allows, its bytes must still be there.
          for (let i = 0; i < 5 - (partNumber % 5); i++) await new Promise((resolve) => setImmediate(resolve));
          received[partNumber - 1] = Buffer.from(body);
          return { bytes: body.length, sha256: '', etag: undefined };
        },
      );
      const whole = Buffer.concat(await Array.fromAsync(chunksOf(lengths)));
      expect(Buffer.concat(received).equals(whole)).toBe(true);
      expect(received.slice(0, -1).every((part) => part.length === size)).toBe(true);
      expect(received.length).toBe(Math.ceil(whole.length / size));
      expect(buffers.size).toBeLessThanOrEqual(partsHeld);
    }),
    { numRuns: 200 },
  );
});

it('an object of a fifth more than its estimate fits in 9,000 parts that S3 takes', () => {
  const largest = 5 * 1024 ** 4;
  fc.assert(
    fc.property(
      fc.maxSafeNat().filter((bytes) => bytes <= largest / 1.2),
      (estimate) => {
        const part = partBytesFor(estimate);
        expect(Math.ceil((estimate * 1.2) / part)).toBeLessThanOrEqual(9_000);
        expect(part).toBeGreaterThanOrEqual(8 * MiB);
        expect(part).toBeLessThanOrEqual(5 * 1024 * MiB);
        if (estimate <= 62e9) expect(part).toBe(8 * MiB);
      },
    ),
  );
});
