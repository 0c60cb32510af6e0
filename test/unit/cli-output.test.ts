import { describe, expect, it } from 'vitest';
import { formatBytes, formatSeconds, formatTable, parseSize } from '../../lib/cli/output.ts';

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

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [209_790_108, '209.8 MB'],
  ])('shows %d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('durations', () => {
  it.each([
    [0.04, '0.0 s'],
    [59.9, '59.9 s'],
    [185, '3 min 05 s'],
    [7800, '2 h 10 min'],
    [273_600, '3 d 4 h'],
  ])('%d', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));
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
