import { describe, expect, it } from 'vitest';
import { formatTable, parseSize } from '../../lib/cli/output.ts';

describe('sizes', () => {
  it.each([
    ['200MB', 200_000_000],
    ['1.5 GB', 1_500_000_000],
    ['64MiB', 67_108_864],
    ['3kb', 3000],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', '200', 'MB', '-1MB', '1TB', '1e3MB', '200 M'])('refuses %j', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});

describe('tables', () => {
  it('aligns text to the left and numbers to the right, whatever the colours', () => {
    const table = formatTable(
      ['Id', 'Size'],
      [
        ['\u001b[32mlong name\u001b[39m', '1'],
        ['x', '1000'],
      ],
      [1],
    );
    expect(table.split('\n')).toEqual([
      'Id         Size',
      '─────────  ────',
      '\u001b[32mlong name\u001b[39m     1',
      'x          1000',
    ]);
  });
});
