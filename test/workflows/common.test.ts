import { readdirSync } from 'node:fs';
// @ts-expect-error: the package comes without types
import validate from 'asl-validator';
import { describe, expect, test } from 'vitest';
import { errorCatalogue } from '../../lib/core/errors.ts';
import { definitionText, type Loose, loadMachine, statesOf } from './harness.ts';

const names = readdirSync(new URL('../../state-machines', import.meta.url)).map((file) =>
  file.replace('.asl.json', ''),
);

/** Rules that hold for every state machine. */
describe.each(names)('%s', (name) => {
  const machine = loadMachine(name);
  const states = [...statesOf(machine)];
  const tasks = states.filter(([, state]) => state.Type === 'Task');

  test('stays small enough to be read at a glance', () => {
    expect(JSON.parse(definitionText(name)).QueryLanguage).toBe('JSONata');
    expect(Object.keys(machine.States).length).toBeLessThanOrEqual(14);
    expect(tasks.length).toBeGreaterThan(0);
  });

  test.each(tasks)('"%s" has a limit, retries with a reason, and a Catch', (stateName, state) => {
    expect(state.TimeoutSeconds).toBeDefined();
    expect(state.Retry.length).toBeGreaterThan(0);
    for (const retrier of state.Retry) {
      expect(retrier.Comment).toMatch(/\d/);
      expect(retrier.ErrorEquals).not.toContain('States.ALL');
    }
    // A task inside a Map or Parallel is caught by what is around it.
    const around = Object.values(machine.States).find((outer: Loose) =>
      [outer.ItemProcessor, ...(outer.Branches ?? [])].some((branch) => branch?.States[stateName]),
    ) as Loose;
    const catchers = (around ?? state).Catch;
    expect(catchers.at(-1).ErrorEquals).toEqual(['States.ALL']);
  });

  test('is what asl-validator, too, takes for valid', () => {
    const { isValid, errorsText } = validate(JSON.parse(definitionText(name)));
    expect({ isValid, errors: errorsText() }).toEqual({ isValid: true, errors: '' });
  });

  test('catches and retries only errors that exist', () => {
    const own = states.flatMap(([, state]) =>
      [...(state.Retry ?? []), ...(state.Catch ?? [])].flatMap((entry) => entry.ErrorEquals as string[]),
    );
    for (const error of own.filter(
      (error) => !/^(States|Lambda|AmazonECS|Backup|ECS|Ecs|Rds|Ssm|SNS|StepFunctions)\./.test(error),
    )) {
      expect(Object.keys(errorCatalogue)).toContain(error);
    }
  });

  test('names no account, region or resource of its own', () => {
    expect(definitionText(name)).not.toMatch(/\b\d{12}\b|\b(eu|us|ap)-[a-z]+-\d\b|arn:aws:(?!states:::)/);
  });
});

test('the machines that exist are these', () => {
  expect(names.sort()).toEqual([
    'backup-logical',
    'backup-physical',
    'drill',
    'drill-full',
    'failback',
    'failback-backup',
    'failback-prepare',
    'failover',
    'failover-switch',
    'failover-verify',
    'probe-replication',
    'restore',
    'restore-test',
    'retention',
    'scheduled-run',
    'validate-restore',
    'verify',
  ]);
});
