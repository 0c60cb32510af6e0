import { describe, expect, it } from 'vitest';
import {
  describeSelection,
  everything,
  isEverything,
  matches,
  parseSelection,
  patternParts,
} from '../../lib/core/selection.ts';

describe('a pattern', () => {
  it.each([
    ['sales', ['sales'], true],
    ['SALES', ['sales'], true],
    ['sales', ['Sales'], false],
    ['"Sales"', ['Sales'], true],
    ['etl_*', ['etl_raw'], true],
    ['etl_*', ['etl'], false],
    ['?tl', ['etl'], true],
    ['"a*"', ['a*'], true],
    ['"a*"', ['ab'], false],
    ['public.orders', ['public', 'orders'], true],
    ['public.orders', ['public', 'orders_old'], false],
    ['*.orders', ['sales', 'orders'], true],
    ['public."Odd.""Name"""', ['public', 'Odd."Name"'], true],
    ['public.a[b]+$', ['public', 'a[b]+$'], true],
    ['public.a-b', ['public', 'a-b'], true],
    ['public.*', ['public', 'new\nline'], true],
  ])('%s of %j: %s', (pattern, name, match) => expect(matches([pattern], ...name)).toBe(match));

  it.each(['', '.orders', 'public.', 'public..x', '"open', 'a."'])('is none: %s', (text) =>
    expect(patternParts(text)).toBeUndefined(),
  );
});

describe('a selection', () => {
  it('of nothing is of everything', () => {
    expect(isEverything(everything)).toBe(true);
    expect(isEverything(parseSelection({ exclude: { rows: ['public.log'] } }))).toBe(false);
  });

  it.each([
    [{ include: { tables: ['orders'] } }, /include\.tables: orders is not of the form schema\.table/],
    [{ exclude: { schemas: ['a.b'] } }, /exclude\.schemas: a\.b is not of the form schema/],
    [{ include: {} }, /include names nothing/],
    [{ tables: ['public.orders'] }, /Unrecognized key/],
    [{ include: { tables: Array(200).fill('public.orders') } }, /names too much/],
    ['all', /expected object/],
  ])('%j is refused', (value, message) => {
    expect(() => parseSelection(value)).toThrow(expect.objectContaining({ name: 'RequestInvalid' }));
    expect(() => parseSelection(value)).toThrow(message);
  });

  it('is told in words', () => {
    const asked = parseSelection({ schemaOnly: true, include: { schemas: ['sales'] }, exclude: { tables: ['*.old'] } });
    expect(describeSelection({ asked })).toBe('definitions without rows; only schemas sales; without tables *.old');
    expect(describeSelection(null)).toBeNull();
  });
});
