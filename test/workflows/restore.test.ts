import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('restore');
const restore = { backupId: 'b1', toDatabase: 'orders_restored_20261121_020000', tables: 3, rows: '12' };
const recovery = { id: 'r1', lsn: '0/3000000', target: 'the latest point' };
const succeeded = { workflow: 'restore', database: 'orders', ok: true, restore };
const failure = { error: 'RestoreIncomplete', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };

const answers: Answers = {
  'Read settings': { Parameter: { Value: JSON.stringify(settings) } },
  Restore: restore,
  'Recover server': recovery,
  'Record success': { Payload: succeeded },
  'Announce success': { MessageId: '1' },
  'Find running task': { TaskArns: ['arn:task/1'] },
  'Stop task': {},
  'Record failure': { Payload: { workflow: 'restore', database: 'orders', ok: false, failure } },
  'Announce failure': { MessageId: '2' },
};

const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const start = (changes: Answers = {}, input: Loose = { database: 'orders' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

const jobInput = (result: Run) =>
  JSON.parse(firstCall(result, 'Restore').Overrides.ContainerOverrides[0].Environment[1].Value);

describe('a restore to a point in time', () => {
  const at = { kind: 'time', time: '2026-11-21T02:00:00.5Z' };
  const input = { database: 'orders', at, tables: ['public.orders'], toSchema: 'rescued' };

  test('recovers a server first, and restores from the backup that was taken of it', async () => {
    const result = await start({}, input);
    expect(result.path.slice(1, 4)).toEqual(['Is a point in time asked for?', 'Recover server', 'Restore']);
    expect(jobInput(result).request).toEqual({ tables: ['public.orders'], toSchema: 'rescued', backupId: 'r1' });
    expect(firstCall(result, 'Record success').Payload.restore).toEqual({ ...restore, recovery });
  });

  test('recovers as the role that reads no secret, with the disk of a whole server', async () => {
    const task = firstCall(await start({}, input), 'Recover server');
    expect(task).toMatchObject({
      TaskDefinition: 'acme-pgdr-pg17',
      Overrides: {
        TaskRoleArn: settings.restoreRoleArn,
        Cpu: '4096',
        EphemeralStorage: { SizeInGiB: 100 },
        ContainerOverrides: [{ Command: ['recover'] }],
      },
    });
    const { request } = JSON.parse(task.Overrides.ContainerOverrides[0].Environment[1].Value);
    expect(request).toEqual({ at, tables: ['public.orders'], toSchema: 'rescued' });
    expect(JSON.stringify(task.Overrides).length).toBeLessThan(8192);
  });

  test('that cannot be reached starts no restore', async () => {
    const result = await start({ 'Recover server': fail('RecoveryTargetUnreachable') }, input);
    expect(result.calls.has('Restore')).toBe(false);
    expect(firstCall(result, 'Record failure').Payload.failure).toEqual({
      step: 'Recover server',
      errorOutput: { Error: 'RecoveryTargetUnreachable', Cause: 'why' },
    });
  });
});

describe('a restore that succeeds', () => {
  test('is recorded and announced', async () => {
    const result = await start();
    expect(result.path).toEqual([
      'Read settings',
      'Is a point in time asked for?',
      'Restore',
      'Record success',
      'Announce success',
      'Restored',
    ]);
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
    expect(firstCall(result, 'Record success').Payload).toMatchObject({
      workflow: 'restore',
      backup: null,
      proof: null,
      restore,
      failure: null,
    });
  });

  test('runs the task as the role that may write to servers, with its own size', async () => {
    expect(firstCall(await start(), 'Restore')).toMatchObject({
      TaskDefinition: 'acme-pgdr-pg17',
      StartedBy: 'restore/run-1',
      Overrides: {
        TaskRoleArn: settings.recoverRoleArn,
        Cpu: '1024',
        Memory: '2048',
        EphemeralStorage: { SizeInGiB: 21 },
        ContainerOverrides: [{ Name: 'task', Command: ['restore'] }],
      },
    });
  });

  test('runs the tools of the major of its target', async () => {
    const definition = async (targetSecret: string) =>
      firstCall(await start({}, { database: 'orders', targetSecret }), 'Restore').TaskDefinition;
    expect(await definition('orders/next')).toBe('acme-pgdr-pg18');
    expect(await definition('orders/restore')).toBe('acme-pgdr-pg17');
    // Unknown: the task refuses it by name.
    expect(await definition('other')).toBe('acme-pgdr-pg17');
  });

  test('needs no targets in the configuration', async () => {
    const none = JSON.stringify({ ...settings, restore: { targets: [] } });
    const result = await start(
      { 'Read settings': { Parameter: { Value: none } } },
      { database: 'o', targetSecret: 's' },
    );
    expect(firstCall(result, 'Restore').TaskDefinition).toBe('acme-pgdr-pg17');
  });

  test('hands on what was asked for, and no assertions, which would take its room', async () => {
    const asked = { tables: ['public.orders'], toDatabase: 'x', schemaOnly: true };
    expect(jobInput(await start({}, { database: 'orders', ...asked }))).toMatchObject({
      settings: { ...settings, restoreTest: { assertions: [] } },
      request: asked,
    });
    expect(jobInput(await start()).request).toEqual({});
  });

  test('stands although it could not be announced', async () => {
    const result = await start({ 'Announce success': fail('SNS.NotFoundException') });
    expect(result.outcome.status).toBe('SUCCEEDED');
  });
});

describe('a restore that fails', () => {
  test('stops the task, records and announces', async () => {
    const cause = JSON.stringify({ error: 'RestoreIncomplete', message: 'pg_restore was killed' });
    const result = await start({ Restore: fail('RestoreIncomplete', cause) });
    expect(result.path.at(-1)).toBe('Restore failed');
    expect(result.calls.get('Stop task')).toHaveLength(1);
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      workflow: 'restore',
      restore: null,
      failure: { step: 'Restore', errorOutput: { Error: 'RestoreIncomplete', Cause: cause } },
    });
    expect(result.outcome).toEqual({ status: 'FAILED', error: 'RestoreIncomplete', cause: JSON.stringify(failure) });
  });

  test('by an unknown database says so', async () => {
    const result = await start({ 'Read settings': fail('Ssm.ParameterNotFoundException') });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({ settings: null, restore: null });
  });

  test.each(['Find running task', 'Stop task'])('keeps its own error although "%s" fails too', async (step) => {
    const result = await start({ Restore: fail('RestoreFailed'), [step]: fail('Ecs.SomeException') });
    expect(firstCall(result, 'Record failure').Payload.failure.errorOutput.Error).toBe('RestoreFailed');
  });

  test('in recording a success is a failure that is announced', async () => {
    const result = await start({ 'Record success': fail('Lambda.Unknown') });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({ restore, failure: { step: 'Record success' } });
  });

  test('is announced even when it cannot be recorded', async () => {
    const result = await start({ Restore: fail('RestoreFailed'), 'Record failure': fail('Lambda.Gone') });
    expect(JSON.parse(firstCall(result, 'Announce failure').Message)).toMatchObject({
      workflow: 'restore',
      ok: false,
      failure: { error: 'Unexpected', runbook: 'docs/runbooks/restore.md' },
    });
  });

  test('fails with its own error when it cannot be announced', async () => {
    const result = await start({ Restore: fail('RestoreFailed'), 'Announce failure': fail('SNS.Gone') });
    expect(result.outcome.error).toBe('RestoreIncomplete');
  });
});
