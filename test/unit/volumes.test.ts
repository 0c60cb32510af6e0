import fc from 'fast-check';
import { expect, it } from 'vitest';
import { smallestPartBytes, tableKey, volumeKey } from '../../lib/core/keys.ts';
import { cutIntoVolumes, volumeBytes } from '../../tasks/volumes.ts';

async function* chunksOf(lengths: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const length of lengths) yield Buffer.from(Array.from({ length }, () => at++ % 251));
}

it('cuts any stream into full volumes and a rest, in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(40)), fc.integer({ min: 1, max: 60 }), async (lengths, size) => {
      const volumes: Buffer[] = [];
      for await (const volume of cutIntoVolumes(chunksOf(lengths), size)) {
        volumes.push(Buffer.concat(await Array.fromAsync(volume)));
      }
      const whole = Buffer.concat(await Array.fromAsync(chunksOf(lengths)));
      expect(Buffer.concat(volumes).equals(whole)).toBe(true);
      expect(volumes.length).toBe(Math.max(1, Math.ceil(whole.length / size)));
      expect(volumes.slice(0, -1).every((volume) => volume.length === size)).toBe(true);
    }),
    { numRuns: 60, examples: [[[3, 0], 3]] },
  );
});

it('ends with the error of its source, in the volume that it struck', async () => {
  async function* failing() {
    yield Buffer.from('12345');
    throw new Error('pg_dump was killed');
  }
  const volumes: string[] = [];
  const read = async () => {
    for await (const volume of cutIntoVolumes(failing(), 3)) {
      volumes.push(Buffer.concat(await Array.fromAsync(volume)).toString());
    }
  };
  await expect(read()).rejects.toThrow('pg_dump was killed');
  expect(volumes).toEqual(['123']);
});

it('a volume fits in 10,000 parts of the smallest size, though nothing in it can be compressed', () => {
  // zstd adds 3 bytes to a block of 128 KiB that it leaves as it is; the frames of client-side encryption, 1 % at most.
  const stored = volumeBytes * (1 + 3 / 131_072 + 0.01);
  expect(Math.ceil(stored / smallestPartBytes)).toBeLessThanOrEqual(10_000);
});

it('volumes have keys of their own beside the first', () => {
  const key = tableKey('p/', 3);
  expect([1, 2, 12].map((n) => volumeKey(key, n))).toEqual([
    'p/tables/3.dump.zst',
    'p/tables/3.2.dump.zst',
    'p/tables/3.12.dump.zst',
  ]);
});
