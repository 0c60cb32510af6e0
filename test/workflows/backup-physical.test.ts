import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('backup-physical');
const physical = {
  secret: 'orders/replication',
  slot: 'pgdr_orders',
  tasks: { base: { cpu: '1024', memory: '2048', storageGiB: 30, timeoutSeconds: 3600, heartbeatSeconds: 90 } },
};
const backup = { id: 'b1', manifestKey: 'acme/orders/main/base/b1/manifest.json', bytes: 7 };
const succeeded = { workflow: 'backup-physical', database: 'orders', ok: true, backup };
const failure = { error: 'ReceiverNotStreaming', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };
const failedOutcome = { workflow: 'backup-physical', database: 'orders', ok: false, failure };

const answers: Answers = {
  'Read settings': { Parameter: { Name: '/theSystem/databases/orders', Value: JSON.stringify(settings) } },
  'Read physical settings': { Parameter: { Value: JSON.stringify(physical) } },
  'Take base backup': backup,
  'Plan verification': { Payload: { batches: [{ n: 1 }, { n: 2 }] } },
  'Verify batch': (call) => ({ Payload: { bytes: (call.arguments as Loose).Payload.batch.n, parts: 1 } }),
  'Confirm verification': { Payload: { verifiedAt: 'now', bytes: 3 } },
  'Record success': { Payload: succeeded },
  'Announce success': { MessageId: '1' },
  'Find running task': { TaskArns: ['arn:task/1'] },
  'Stop task': {},
  'Record failure': { Payload: failedOutcome },
  'Announce failure': { MessageId: '2' },
};

const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const start = (changes: Answers = {}, input: Loose = { database: 'orders' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

const outer = ({ path }: Run) => path.filter((state) => state in machine.States);

describe('a base backup that succeeds', () => {
  test('reads both settings, is taken, verified, recorded and announced', async () => {
    const result = await start();
    expect(outer(result)).toEqual([
      'Read settings',
      'Read physical settings',
      'Take base backup',
      'Plan verification',
      'Verify objects',
      'Confirm verification',
      'Record success',
      'Announce success',
      'Backup verified',
    ]);
    expect(firstCall(result, 'Read physical settings')).toEqual({ Name: '/theSystem/databases/orders/physical' });
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
  });

  test('is told when somebody asks for a full one', async () => {
    const inputOf = async (input: Loose) => {
      const { Overrides } = firstCall(await start({}, input), 'Take base backup') as Loose;
      return JSON.parse(Overrides.ContainerOverrides[0].Environment[1].Value);
    };
    expect(await inputOf({ database: 'orders' })).toMatchObject({ full: false });
    expect(await inputOf({ database: 'orders', full: true })).toMatchObject({ full: true });
  });

  test('runs the task in the size that physical settings give it', async () => {
    const task = firstCall(await start(), 'Take base backup');
    expect(task).toMatchObject({
      TaskDefinition: 'acme-pgdr-pg17',
      StartedBy: 'backup-physical/run-1',
      Overrides: {
        TaskRoleArn: settings.backupRoleArn,
        Cpu: '1024',
        Memory: '2048',
        EphemeralStorage: { SizeInGiB: 30 },
        ContainerOverrides: [{ Name: 'task', Command: ['backup-physical'] }],
      },
    });
    const { Environment } = task.Overrides.ContainerOverrides[0];
    expect(JSON.parse(Environment[1].Value)).toMatchObject({
      settings: { ...settings, restoreTest: { assertions: [] } },
      physical,
      execution: { arn: expect.any(String) },
    });
    expect(JSON.stringify(task.Overrides).length).toBeLessThan(8192);
  });

  test('stands although it could not be announced', async () => {
    const result = await start({ 'Announce success': fail('SNS.NotFoundException') });
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
  });
});

describe('a base backup that fails', () => {
  test.each(['Read physical settings', 'Plan verification', 'Verify batch', 'Confirm verification', 'Record success'])(
    'in "%s"',
    async (step) => {
      const result = await start({ [step]: fail('ObjectMissing', 'gone') });
      expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'ReceiverNotStreaming' });
      expect(firstCall(result, 'Record failure').Payload.failure).toEqual({
        step: step === 'Verify batch' ? 'Verify objects' : step,
        errorOutput: { Error: 'ObjectMissing', Cause: 'gone' },
      });
      expect(result.calls.has('Find running task')).toBe(false);
    },
  );

  test('without settings, and is announced by what little is known', async () => {
    const result = await start({
      'Read settings': fail('Ssm.ParameterNotFoundException'),
      'Record failure': fail('Lambda.ResourceNotFoundException'),
    });
    expect(JSON.parse(firstCall(result, 'Announce failure').Message)).toMatchObject({
      workflow: 'backup-physical',
      failure: { error: 'Unexpected', step: 'Read settings' },
    });
  });

  test('in its task, which is found and stopped', async () => {
    const result = await start({ 'Take base backup': fail('ReceiverNotStreaming') });
    expect(outer(result).slice(2)).toEqual([
      'Take base backup',
      'Find running task',
      'Stop running task',
      'Record failure',
      'Announce failure',
      'Backup failed',
    ]);
    expect(result.calls.get('Stop task')).toHaveLength(1);
  });

  test.each(['Find running task', 'Stop task'])('with its own error although "%s" fails', async (step) => {
    const result = await start({ 'Take base backup': fail('BaseBackupFailed'), [step]: fail('Ecs.X') });
    expect(firstCall(result, 'Record failure').Payload.failure.errorOutput.Error).toBe('BaseBackupFailed');
  });

  test('although it cannot be announced', async () => {
    const result = await start({ 'Take base backup': fail('X'), 'Announce failure': fail('SNS.NotFoundException') });
    expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'ReceiverNotStreaming' });
  });
});
