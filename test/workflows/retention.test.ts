import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('retention');
const summary = { planKey: 'acme/orders/main/retention/r.json', expired: 2, objects: 1500 };
const batches = [
  { planKey: summary.planKey, from: 0, to: 1000 },
  { planKey: summary.planKey, from: 1000, to: 1500 },
];
const succeeded = { workflow: 'retention', database: 'orders', ok: true, retention: summary };
const failure = { error: 'ObjectMissing', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };

const answers: Answers = {
  'Read settings': { Parameter: { Value: JSON.stringify(settings) } },
  'Plan removal': { Payload: { summary, batches } },
  'Remove batch': { Payload: { objects: 1000 } },
  'Record success': { Payload: succeeded },
  'Record failure': { Payload: { workflow: 'retention', database: 'orders', ok: false, failure } },
  'Announce failure': { MessageId: '2' },
};

const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const start = (changes: Answers = {}, input: Loose = { database: 'orders' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

describe('retention', () => {
  test('plans, removes batch after batch, and is recorded without being announced', async () => {
    const result = await start();
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
    expect(firstCall(result, 'Plan removal').Payload).toEqual({
      settings,
      dryRun: false,
      execution: { arn: expect.stringContaining(':execution:') },
    });
    expect(result.calls.get('Remove batch')?.map(({ Payload }) => Payload.batch)).toEqual(batches);
    expect(firstCall(result, 'Record success').Payload).toMatchObject({ retention: summary, failure: null });
    expect(result.path).not.toContain('Announce failure');
  });

  test('shows a plan without removing anything', async () => {
    const plan = { Payload: { summary: { ...summary, dryRun: true }, batches: [] } };
    const result = await start({ 'Plan removal': plan }, { database: 'orders', dryRun: true });
    expect(firstCall(result, 'Plan removal').Payload.dryRun).toBe(true);
    expect(result.calls.has('Remove batch')).toBe(false);
    expect(result.outcome.status).toBe('SUCCEEDED');
  });

  test.each([
    ['Read settings', 'Ssm.ParameterNotFoundException'],
    ['Plan removal', 'ObjectMissing'],
    ['Remove batch', 'StorageRefused'],
    ['Record success', 'Lambda.Unknown'],
  ])('that fails in "%s" is recorded, announced and fails', async (state, error) => {
    const result = await start({ [state]: fail(error) });
    expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'ObjectMissing' });
    expect(firstCall(result, 'Record failure').Payload.failure.errorOutput.Error).toBe(error);
    expect(result.path).toContain('Announce failure');
  });

  test('is announced although it could not be recorded, and fails although it could not be announced', async () => {
    const unrecorded = await start({ 'Plan removal': fail('ObjectMissing'), 'Record failure': fail('Lambda.Unknown') });
    expect(JSON.parse(firstCall(unrecorded, 'Announce failure').Message)).toMatchObject({
      workflow: 'retention',
      failure: { step: 'Plan removal', runbook: 'docs/runbooks/retention-failed.md' },
    });
    const unannounced = await start({ 'Plan removal': fail('ObjectMissing'), 'Announce failure': fail('SNS.Unknown') });
    expect(unannounced.outcome.status).toBe('FAILED');
  });
});
