import { describe, expect, it } from 'vitest';
import type { TocEntry } from '../../lib/core/archive-toc.ts';
import { copyIntoFresh, scheduleRestore } from '../../lib/core/restore-schedule.ts';
import { sampleObject } from './sample-manifest.ts';

let id = 0;
function entry(kind: string, tag: string, needs: TocEntry[] = [], schema = 'public'): TocEntry {
  const section = /^(TABLE|FUNCTION)$/.test(kind) ? 'pre-data' : 'post-data';
  const dependencies = needs.map((need) => need.id);
  return { id: ++id, kind, tag, schema, owner: 'o', section, definition: '', dependencies, copy: null };
}

const large = entry('TABLE', 'large');
const long = entry('TABLE', 'long');
const small = entry('TABLE', 'small');
const lower = entry('FUNCTION', 'lower(text)');
const key = entry('CONSTRAINT', 'large large_pkey', [large]);
const index = entry('INDEX', 'large_lower', [large, lower]);
const other = entry('INDEX', 'long_at', [long]);
const late = [
  entry('INDEX', 'small_at', [small]),
  entry('INDEX', 'of two tables', [large, long]),
  entry('INDEX', 'of a partitioned table', [large, key]),
  entry('FK CONSTRAINT', 'large to long', [large, key]),
  entry('TRIGGER', 'large t', [large]),
];
const toc = [large, long, small, lower, key, index, other, ...late];
const all = toc.map((each) => each.id);
const object = (relation: string | undefined, rawBytes: number) => ({
  ...sampleObject('a', [1]),
  volumes: [],
  role: relation ? ('table' as const) : ('main' as const),
  relation,
  rawBytes,
});
const data = [object('public.long', 100), object('public.large', 90), object(undefined, 50)];
const told = (step: ReturnType<ReturnType<typeof scheduleRestore>['steps']['next']>) =>
  step && `${step.kind} of ${step.object.relation ?? 'main'}`;

describe('the order of a restore', () => {
  it('begins with what takes longest to its end, and builds indexes while data still streams', () => {
    const { steps } = scheduleRestore(data, toc, all);
    const first = steps.next();
    const second = steps.next();
    expect([told(first), told(second)]).toEqual(['data of public.large', 'data of public.long']);
    if (first) steps.done(first);
    const third = steps.next();
    expect(told(third)).toBe('data of main');
    expect(third?.indexes).toEqual([]);
    const fourth = steps.next();
    expect(told(fourth)).toBe('indexes of public.large');
    expect(fourth?.indexes).toEqual([key.id, index.id]);
    for (const step of [third, fourth, second]) if (step) steps.done(step);
    expect(told(steps.next())).toBe('indexes of public.long');
    expect(steps.next()).toBeUndefined();
  });

  it('makes every entry once', () => {
    const { steps, remaining } = scheduleRestore(data, toc, all);
    const made: number[] = [];
    for (let step = steps.next(); step; step = steps.next()) {
      if (step.kind === 'indexes') made.push(...step.indexes);
      steps.done(step);
    }
    expect([...made, ...remaining].sort((a, b) => a - b)).toEqual(all);
    expect(remaining).toEqual(expect.arrayContaining(late.map((each) => each.id)));
  });

  it('leaves out what is not wanted', () => {
    const { steps, remaining } = scheduleRestore(data, toc, [large.id, index.id]);
    expect(steps.next()?.indexes).toEqual([index.id]);
    expect(remaining).toEqual([large.id]);
  });
});

describe('COPY into a table that was just made', () => {
  const copyAs = copyIntoFresh([entry('TABLE', 'od d"', [], 'Sch'), entry('TABLE', 'plain')]);
  const rows = (tag: string, schema?: string) => entry('TABLE DATA', tag, [], schema);

  it('is one transaction with a truncation, and freezes', () => {
    expect(copyAs(rows('plain'), 'COPY public.plain (a, "b c") FROM stdin;\n')).toBe(
      'TRUNCATE ONLY "public"."plain"; COPY public.plain (a, "b c") FROM stdin WITH (FREEZE);\n',
    );
    expect(copyAs(rows('plain'), 'COPY public.plain  FROM stdin;\n')).toContain('COPY public.plain  FROM stdin WITH');
    expect(copyAs(rows('od d"', 'Sch'), 'COPY "Sch"."od d""" (a) FROM stdin;\n')).toContain('ONLY "Sch"."od d"""; ');
  });

  it.each([
    ['a table of an extension', rows('config'), 'COPY public.config (a) FROM stdin;\n'],
    ['rows of a partition by way of its parent', rows('plain'), 'COPY public.parent (a) FROM stdin;\n'],
    ['a statement of another form', rows('plain'), 'COPY public.plain (a) FROM stdin WITH (FORMAT binary);\n'],
  ])('%s keeps its statement', (_, data, statement) => {
    expect(copyAs(data, statement)).toBe(statement);
  });
});
