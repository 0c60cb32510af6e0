import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
// @ts-expect-error: the package comes without types
import validate from 'asl-validator';
import { describe, expect, test } from 'vitest';
import { stateFields } from '../../local/asl/fields.ts';
import { DefinitionError, parseStateMachine } from '../../local/asl/load.ts';
import type { Json, State } from '../../local/asl/types.ts';
import { samples } from './asl-validator-samples.ts';

/**
 * What our engine loads, asl-validator takes for valid too, but for these exceptions: tried is every field that the
 * engine's own tables have, of every type of state, with every sample of a value that the engine accepts there.
 */
interface Exception {
  /** Of `<type>.<field> = <value>`. */
  readonly where: RegExp;
  readonly why: string;
}

const exceptions: readonly Exception[] = [
  {
    where: /\.Output = ("text"|7|true|null|\[)/,
    why: 'Its schema has objects and expressions only. AWS takes any JSON value (Developer Guide, Transforming data; the CDK says so at JsonataStateOptions.outputs).',
  },
  {
    where: /^Choice\.Choices = .*"Condition":true/,
    why: 'Its schema has expressions only. A literal boolean is in the grammar that LocalStack recorded against AWS (condition_lit, in moto too).',
  },
];

type Fields = Record<string, Json>;
const pass: Fields = { Type: 'Pass', End: true };
const inner = { StartAt: 'Inner', States: { Inner: pass } };

/** The least that each type needs, in a machine whose other states are Last and Failed. */
const least: Record<State['Type'], Fields> = {
  Task: { Resource: 'arn:aws:states:::lambda:invoke', Arguments: { FunctionName: 'f' }, Next: 'Last' },
  Parallel: { Branches: [inner], Next: 'Last' },
  Map: { ItemProcessor: inner, Next: 'Last' },
  Choice: { Choices: [{ Condition: '{% true %}', Next: 'Last' }] },
  Wait: { Seconds: 1, Next: 'Last' },
  Pass: { Next: 'Last' },
  Succeed: {},
  Fail: {},
};

/** Fields that another must give way to, or needs beside it. */
const beside: Record<string, Fields> = {
  End: { Next: '' },
  Timestamp: { Seconds: '' },
  HeartbeatSeconds: {
    Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
    Arguments: { FunctionName: 'f', Payload: '{% $states.context.Task.Token %}' },
    TimeoutSeconds: 3600,
  },
};

function machineWith(type: State['Type'], field: string, value: Json): string {
  const fields = Object.entries({ ...least[type], ...beside[field], Type: type, [field]: value });
  const state = Object.fromEntries(fields.filter(([, item]) => item !== ''));
  const others: Record<string, Fields> = { Last: pass, Failed: { Type: 'Fail' } };
  // A state that nothing leads to would be refused.
  const text = JSON.stringify(state);
  const used = Object.entries(others).filter(([name]) => text.includes(`"Next":"${name}"`) || state.Default === name);
  return JSON.stringify({
    QueryLanguage: 'JSONata',
    StartAt: 'First',
    States: { First: state, ...Object.fromEntries(used) },
  });
}

const accepted = (definition: string): boolean => {
  try {
    parseStateMachine(definition);
    return true;
  } catch (error) {
    if (error instanceof DefinitionError) return false;
    throw error;
  }
};

/** What asl-validator has against a definition, unless it is an exception. */
function objections(definition: string, where: string): string[] {
  if (exceptions.some((exception) => exception.where.test(where))) return [];
  const { isValid, errorsText } = validate(JSON.parse(definition));
  return isValid ? [] : [`${where}: ${errorsText()}`];
}

interface Case {
  readonly where: string;
  readonly definition: string;
}

const cases: Case[] = Object.entries(stateFields).flatMap(([type, { fields }]) =>
  Object.keys(fields)
    .filter((field) => field !== 'Type')
    .flatMap((field) =>
      (samples[field] ?? []).map((value) => ({
        where: `${type}.${field} = ${JSON.stringify(value)}`,
        definition: machineWith(type as State['Type'], field, value),
      })),
    )
    .filter(({ definition }) => accepted(definition)),
);

describe('asl-validator', () => {
  test.each(cases)('$where', ({ where, definition }) => {
    expect(objections(definition, where)).toEqual([]);
  });

  test('every field that the engine knows was tried', () => {
    const untried = Object.entries(stateFields).flatMap(([type, { fields }]) =>
      Object.keys(fields)
        .filter((field) => field !== 'Type' && !cases.some(({ where }) => where.startsWith(`${type}.${field} = `)))
        .map((field) => `${type}.${field}`),
    );
    expect(untried).toEqual([]);
  });

  const folder = join(import.meta.dirname, '..', '..', 'state-machines');
  test.each(readdirSync(folder))('%s', (file) => {
    expect(objections(readFileSync(join(folder, file), 'utf8'), file)).toEqual([]);
  });

  test('every exception is still one', () => {
    const gone = exceptions.filter(({ where }) =>
      cases.every((item) => !where.test(item.where) || validate(JSON.parse(item.definition)).isValid),
    );
    expect(gone).toEqual([]);
  });

  test('it would have objected to a mistake', () => {
    expect(objections(machineWith('Pass', 'Next', 'Nowhere'), 'a dangling Next')).not.toEqual([]);
    expect(objections(machineWith('Task', 'TimeoutSeconds', -1), 'a negative timeout')).not.toEqual([]);
  });
});
