import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { inTurns } from '../../lib/core/in-turns.ts';

test('eight at a time, and results in the order of the items', async () => {
  let working = 0;
  let most = 0;
  const results = await inTurns(
    Array.from({ length: 30 }, (_, n) => n),
    async (n) => {
      most = Math.max(most, ++working);
      for (let turns = n % 5; turns >= 0; turns--) await turn();
      working -= 1;
      return n * 2;
    },
  );
  expect(most).toBe(8);
  expect(results).toEqual(Array.from({ length: 30 }, (_, n) => n * 2));
});

test('the first error is thrown', async () => {
  await expect(
    inTurns([1, 2, 3], async (n) => {
      if (n === 2) throw new Error('the second');
    }),
  ).rejects.toThrow('the second');
});
