import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, track } from './harness.ts';

const parameter = { Parameter: { Value: JSON.stringify({ database: 'orders', region: 'us-east-1' }) } };
const payload = (value: Loose) => ({ Payload: value });

describe('scheduled-run', () => {
  const machine = loadMachine('scheduled-run');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const answers: Answers = {
    'Read settings': parameter,
    'Find the writer': payload({ here: true, says: 'The writer is the primary.' }),
    'Start the run': { ExecutionArn: 'arn' },
  };
  const input = { database: 'orders', starts: 'restore-test', input: { database: 'orders', kind: 'physical' } };
  const start = (changes: Answers = {}): Promise<Run> => tracker.watch(run(machine, input, { ...answers, ...changes }));

  test('starts what the schedule asks for in the region that holds the writer', async () => {
    const result = await start();
    expect(firstCall(result, 'Start the run')).toEqual({
      StateMachineArn: 'theRestoreTest',
      Name: 'run.1',
      Input: { database: 'orders', kind: 'physical' },
    });
    expect(result.outcome).toMatchObject({ output: { started: 'restore-test' } });
  });
  test('starts nothing in the other, and says why', async () => {
    const elsewhere = payload({ here: false, says: 'The writer is the standby, in us-east-1.' });
    const result = await start({ 'Find the writer': elsewhere });
    expect(result.path.at(-1)).toBe('Left to the other region');
    expect(result.outcome).toMatchObject({
      status: 'SUCCEEDED',
      output: { started: null, says: 'The writer is the standby, in us-east-1.' },
    });
  });
  test('rather runs than not when nobody knows where the writer is', async () => {
    expect((await start({ 'Find the writer': fail('Lambda.Gone') })).path).toContain('Start the run');
  });
  test('takes a start that was made for made', async () => {
    const twice = await start({ 'Start the run': fail('StepFunctions.ExecutionAlreadyExistsException') });
    expect(twice.outcome.status).toBe('SUCCEEDED');
  });
  test.each(['Read settings', 'Start the run'])('fails when "%s" does', async (step) => {
    expect((await start({ [step]: fail('Lambda.Gone') })).outcome).toMatchObject({ status: 'FAILED' });
  });
});
