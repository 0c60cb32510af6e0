import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { type Canonical, canonical } from './asl/canonical.ts';
import type { Case } from './asl/case.ts';
import { differences, eventRules } from './asl/differences.ts';
import { type Ran, runHere } from './asl/ours.ts';
import { productCases } from './asl/product.ts';
import { suite } from './asl/suite.ts';
import { describeWithPeers } from './peers.ts';

/** Whether parts of the machine may run at the same time, so that nobody can say in which order their events come. */
const atTheSameTime = ({ definition }: Case): boolean => {
  const text = JSON.stringify(definition);
  return text.includes('"Type":"Parallel"') || (text.includes('"Type":"Map"') && !/"MaxConcurrency":1\b/.test(text));
};

/** Our engine against moto's, which is LocalStack's, over the suite's machines and our own. */

const listed = new Set(differences.flatMap((difference) => difference.cases));
const cases = [...suite, ...productCases];

describeWithPeers('moto', ['moto_server'], (server) => {
  const judged = new Map<string, Ran | { readonly refused: string }>();
  const used = new Set<number>();

  beforeAll(() => {
    const python = join(dirname(server), 'python');
    const answer = execFileSync(python, [join(import.meta.dirname, 'moto_engine.py')], {
      input: JSON.stringify(cases),
      encoding: 'utf8',
      maxBuffer: 2 ** 27,
      // The engine logs every failure of a state: shown only where the engine itself fails.
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const results: (Ran | { readonly refused: string })[] = JSON.parse(answer);
    for (const [index, { name }] of cases.entries()) judged.set(name, results[index] as Ran);
  });

  async function both(one: Case): Promise<{ readonly ours: Canonical; readonly theirs: Canonical }> {
    const theirs = judged.get(one.name);
    if (!theirs || 'refused' in theirs) throw new Error(`moto refused the machine: ${theirs?.refused}`);
    const ours = await runHere(one, cases.indexOf(one));
    const unordered = atTheSameTime(one);
    return { ours: canonical(ours, unordered, used), theirs: canonical(theirs, unordered, used) };
  }

  test('the suite has at least 60 machines, each with a name of its own', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    expect(suite.length).toBeGreaterThanOrEqual(60);
    expect(productCases.length).toBeGreaterThan(10);
  });

  test('every difference names a case', () => {
    const names = new Set(cases.map(({ name }) => name));
    expect([...listed].filter((name) => !names.has(name))).toEqual([]);
  });

  test.each(cases.filter(({ name }) => !listed.has(name)))('$name', async (one) => {
    const { ours, theirs } = await both(one);
    expect(ours).toEqual(theirs);
  });

  test.each(cases.filter(({ name }) => listed.has(name)))('$name: differs, as the list says', async (one) => {
    const { ours, theirs } = await both(one);
    expect(ours).not.toEqual(theirs);
  });

  test('where all goes well, our machines succeed', async () => {
    const well = productCases.filter(({ name }) => name.endsWith(': all goes well'));
    const ran = await Promise.all(well.map((one) => runHere(one, cases.indexOf(one))));
    expect(ran.map(({ status }) => status)).toEqual(well.map(() => 'SUCCEEDED'));
  });

  test('every rule about events was needed', () => {
    expect(eventRules.filter((_, index) => !used.has(index))).toEqual([]);
  });
});
