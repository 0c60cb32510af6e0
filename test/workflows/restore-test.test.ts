import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('restore-test');
const proof = { id: 'p1', reportKey: 'acme/orders/main/proofs/p1.json', level: 'L4' };
const succeeded = { workflow: 'restore-test', database: 'orders', ok: true, proof };
const failure = { error: 'ContentDiffers', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };

const answers: Answers = {
  'Read settings': { Parameter: { Value: JSON.stringify(settings) } },
  'Restore and prove': proof,
  'Record success': { Payload: succeeded },
  'Announce success': { MessageId: '1' },
  'Find running task': { TaskArns: ['arn:task/1'] },
  'Stop task': {},
  'Record failure': { Payload: { workflow: 'restore-test', database: 'orders', ok: false, failure } },
  'Announce failure': { MessageId: '2' },
};

const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const start = (changes: Answers = {}, input: Loose = { database: 'orders' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

const jobInput = (result: Run) =>
  JSON.parse(firstCall(result, 'Restore and prove').Overrides.ContainerOverrides[0].Environment[1].Value);

describe('a restore test that succeeds', () => {
  test('is proven, recorded and announced', async () => {
    const result = await start();
    expect(result.path).toEqual([
      'Read settings',
      'Restore and prove',
      'Record success',
      'Announce success',
      'Restore proven',
    ]);
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
    expect(firstCall(result, 'Record success').Payload).toMatchObject({
      workflow: 'restore-test',
      backup: null,
      proof,
      failure: null,
    });
  });

  test('runs the task as the restore role, with the restore task size', async () => {
    const result = await start();
    expect(firstCall(result, 'Restore and prove')).toMatchObject({
      StartedBy: 'restore-test/run-1',
      TaskDefinition: 'acme-pgdr-pg18',
      Overrides: {
        TaskRoleArn: settings.restoreRoleArn,
        Cpu: '4096',
        Memory: '8192',
        EphemeralStorage: { SizeInGiB: 100 },
        ContainerOverrides: [{ Name: 'task', Command: ['restore-test'] }],
      },
    });
  });

  test('of base backups and WAL runs on the major of the server itself', async () => {
    const task = firstCall(await start({}, { database: 'orders', kind: 'physical' }), 'Restore and prove');
    expect(task).toMatchObject({
      TaskDefinition: 'acme-pgdr-pg17',
      Overrides: { ContainerOverrides: [{ Name: 'task', Command: ['restore-test-physical'] }] },
    });
  });

  test('takes the newest backup, or the one that the input names', async () => {
    expect(jobInput(await start())).toMatchObject({ settings, backupId: null });
    expect(jobInput(await start({}, { database: 'orders', backupId: 'b7' }))).toMatchObject({ backupId: 'b7' });
  });

  test('stands although it could not be announced', async () => {
    const result = await start({ 'Announce success': fail('SNS.NotFoundException') });
    expect(result.outcome.status).toBe('SUCCEEDED');
  });
});

describe('a restore test that fails', () => {
  test('by its proof stops the task, records and announces', async () => {
    const cause = JSON.stringify({ error: 'ContentDiffers', proof: { level: 'L3' } });
    const result = await start({ 'Restore and prove': fail('ContentDiffers', cause) });
    expect(result.path.at(-1)).toBe('Restore test failed');
    expect(result.calls.get('Stop task')).toHaveLength(1);
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      workflow: 'restore-test',
      proof: null,
      failure: { step: 'Restore and prove', errorOutput: { Error: 'ContentDiffers', Cause: cause } },
    });
    expect(result.outcome).toEqual({ status: 'FAILED', error: 'ContentDiffers', cause: JSON.stringify(failure) });
  });

  test('by an unknown database says so', async () => {
    const result = await start({ 'Read settings': fail('Ssm.ParameterNotFoundException') });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({ settings: null, proof: null });
  });

  test.each(['Find running task', 'Stop task'])('keeps its own error although "%s" fails too', async (step) => {
    const result = await start({ 'Restore and prove': fail('RestoreFailed'), [step]: fail('Ecs.SomeException') });
    expect(firstCall(result, 'Record failure').Payload.failure.errorOutput.Error).toBe('RestoreFailed');
  });

  test('in recording a success is a failure that is announced', async () => {
    const result = await start({ 'Record success': fail('Lambda.Unknown') });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      proof,
      failure: { step: 'Record success' },
    });
  });

  test('is announced even when it cannot be recorded', async () => {
    const result = await start({ 'Restore and prove': fail('RestoreFailed'), 'Record failure': fail('Lambda.Gone') });
    expect(JSON.parse(firstCall(result, 'Announce failure').Message)).toMatchObject({
      workflow: 'restore-test',
      ok: false,
      failure: { error: 'Unexpected', runbook: 'docs/runbooks/restore-test-failed.md' },
    });
  });

  test('fails with its own error when it cannot be announced', async () => {
    const result = await start({ 'Restore and prove': fail('RestoreFailed'), 'Announce failure': fail('SNS.Gone') });
    expect(result.outcome.error).toBe('ContentDiffers');
  });
});
