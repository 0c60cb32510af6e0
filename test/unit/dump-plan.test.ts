import { describe, expect, it } from 'vitest';
import type { Extent } from '../../lib/postgres/selection.ts';
import { globalsStream, pattern, planStreams } from '../../tasks/dump-plan.ts';

const MiB = 1024 * 1024;
const table = (relation: string, bytes: number) => ({ oid: 1, relation, bytes });
const extent: Extent = {
  selection: null,
  excludedOids: [],
  excludedRelations: [],
  excludedOutside: [],
  excludedSchemas: [],
  tables: null,
  vain: [],
};
const options = { ownStreams: 2, lockTimeoutSeconds: 60, allowSkipped: [] };

describe('the plan of a dump', () => {
  const tables = [
    table('public.a', 900 * MiB),
    table('public.b', 5 * MiB),
    table('public.c', 3 * MiB),
    table('public.d', 0),
  ];

  it('gives the largest tables a stream of their own, and leaves exactly their data out of main', () => {
    const { own, shared } = planStreams({ tables, extent }, options, 's-1', 'p/');
    expect(own.map(({ key, relation }) => [key, relation])).toEqual([
      ['p/tables/1.dump.zst', 'public.a'],
      ['p/tables/2.dump.zst', 'public.b'],
    ]);
    const main = shared.find(({ role }) => role === 'main');
    expect(main?.args.filter((arg) => arg.startsWith('--exclude-table-data'))).toEqual([
      '--exclude-table-data="public"."a"',
      '--exclude-table-data="public"."b"',
    ]);
  });

  it('keeps small tables together, however many streams there may be', () => {
    const { own } = planStreams({ tables, extent }, { ...options, ownStreams: 100 }, 's-1', 'p/');
    expect(own.map(({ relation }) => relation)).toEqual(['public.a', 'public.b', 'public.c']);
  });

  it('reads everything but the globals in the same snapshot, and never waits for a lock without end', () => {
    const { own, shared } = planStreams({ tables, extent }, options, 's-1', 'p/');
    for (const { args } of [...own, ...shared]) {
      expect(args).toEqual(expect.arrayContaining(['--snapshot=s-1', '--lock-wait-timeout=60s']));
    }
    expect(globalsStream('orders', 'p/').args).toContain('--no-role-passwords');
  });

  it.each([
    ['public.customers', '"public"."customers"'],
    ['public."Weird ""Name"" ü"', '"public"."Weird ""Name"" ü"'],
    ['"My.Schema"."a.b*?"', '"My.Schema"."a.b*?"'],
  ])('names %s so that it matches alone', (relation, expected) => expect(pattern(relation)).toBe(expected));
});
