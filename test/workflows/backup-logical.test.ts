import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('backup-logical');
const backup = { id: 'b1', manifestKey: 'acme/orders/main/logical/b1/manifest.json', bytes: 7 };
const succeeded = { workflow: 'backup-logical', database: 'orders', ok: true, backup };
const failure = { error: 'ObjectAltered', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };
const failedOutcome = { workflow: 'backup-logical', database: 'orders', ok: false, failure };

const answers: Answers = {
  'Read settings': { Parameter: { Name: '/theSystem/databases/orders', Value: JSON.stringify(settings) } },
  'Take backup': backup,
  'Plan verification': { Payload: { batches: [{ n: 1 }, { n: 2 }, { n: 3 }] } },
  'Verify batch': (call) => ({ Payload: { bytes: (call.arguments as Loose).Payload.batch.n, parts: 1 } }),
  'Confirm verification': { Payload: { verifiedAt: 'now', bytes: 6 } },
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

describe('a backup that succeeds', () => {
  test('is taken, verified, recorded and announced', async () => {
    const result = await start();
    expect(outer(result)).toEqual([
      'Read settings',
      'Take backup',
      'Plan verification',
      'Verify objects',
      'Confirm verification',
      'Record success',
      'Announce success',
      'Backup verified',
    ]);
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
  });

  test('runs the task as the database has it', async () => {
    const { calls } = await start();
    expect(calls.get('Read settings')).toEqual([{ Name: '/theSystem/databases/orders' }]);
    const task = firstCall({ calls }, 'Take backup');
    expect(task).toMatchObject({
      Cluster: 'theCluster',
      TaskDefinition: 'acme-pgdr-pg17',
      LaunchType: 'FARGATE',
      // ECS takes letters, digits, dashes, underscores and slashes; the execution is called run.1.
      StartedBy: 'backup-logical/run-1',
      NetworkConfiguration: {
        AwsvpcConfiguration: {
          Subnets: ['subnet-a', 'subnet-b'],
          SecurityGroups: ['theSecurityGroup'],
          AssignPublicIp: 'theAssignPublicIp',
        },
      },
      Overrides: {
        TaskRoleArn: settings.backupRoleArn,
        Cpu: '2048',
        Memory: '4096',
        EphemeralStorage: { SizeInGiB: 21 },
        ContainerOverrides: [{ Name: 'task', Command: ['backup-logical'] }],
      },
    });
    const { Environment } = task.Overrides.ContainerOverrides[0];
    expect(Environment.map((variable: Loose) => variable.Name)).toEqual(['PGDR_TASK_TOKEN', 'PGDR_JOB_INPUT']);
    expect(Environment[0].Value).toBeTruthy();
    expect(JSON.parse(Environment[1].Value)).toEqual({
      settings,
      execution: {
        arn: 'arn:aws:states:eu-north-1:111122223333:execution:acme-x:run.1',
        startedAt: expect.stringMatching(/^\d{4}-/),
      },
      select: null,
    });
    // ECS counts all overrides of a task together.
    expect(JSON.stringify(task.Overrides).length).toBeLessThan(8192);
  });

  test('verifies every batch and hands all results on', async () => {
    const { calls } = await start();
    expect(calls.get('Verify batch')).toHaveLength(3);
    expect(calls.get('Confirm verification')).toEqual([
      {
        FunctionName: 'theConfirmVerification',
        Payload: {
          settings,
          execution: { arn: expect.stringContaining(':execution:') },
          manifestKey: backup.manifestKey,
          results: [
            { bytes: 1, parts: 1 },
            { bytes: 2, parts: 1 },
            { bytes: 3, parts: 1 },
          ],
        },
      },
    ]);
  });

  test('keeps a single batch a list', async () => {
    const { calls, outcome } = await start({ 'Plan verification': { Payload: { batches: [{ n: 5 }] } } });
    expect(outcome.status).toBe('SUCCEEDED');
    expect(firstCall({ calls }, 'Confirm verification').Payload.results).toEqual([{ bytes: 5, parts: 1 }]);
  });

  test('announces the outcome with what subscribers filter by', async () => {
    const { calls } = await start();
    const message = firstCall({ calls }, 'Announce success');
    expect(message.TopicArn).toBe('theTopic');
    expect(JSON.parse(message.Message)).toEqual(succeeded);
    const text = (StringValue: string) => ({ DataType: 'String', StringValue });
    expect(message.MessageAttributes).toEqual({
      workflow: text('backup-logical'),
      ok: text('true'),
      database: text('orders'),
    });
  });

  test('tells the recorder everything', async () => {
    const { calls } = await start();
    expect(firstCall({ calls }, 'Record success').Payload).toMatchObject({
      workflow: 'backup-logical',
      settings,
      database: 'orders',
      execution: { arn: expect.any(String), startedAt: expect.any(String) },
      backup,
      proof: null,
      failure: null,
    });
  });

  test('stands although it could not be announced', async () => {
    const result = await start({ 'Announce success': fail('SNS.NotFoundException') });
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
  });
});

describe('a backup that fails', () => {
  test.each(['Plan verification', 'Confirm verification', 'Record success'])('in "%s"', async (step) => {
    const result = await start({ [step]: fail('ObjectMissing', 'gone') });
    expect(result.outcome).toEqual({ status: 'FAILED', error: 'ObjectAltered', cause: JSON.stringify(failure) });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      settings,
      backup,
      failure: { step, errorOutput: { Error: 'ObjectMissing', Cause: 'gone' } },
    });
    expect(result.calls.has('Find running task')).toBe(false);
  });

  test('in one of many batches, under the name of the Map', async () => {
    const result = await start({
      'Verify batch': (call) =>
        (call.arguments as Loose).Payload.batch.n === 2 ? fail('ObjectAltered')() : { Payload: { bytes: 1, parts: 1 } },
    });
    expect(firstCall(result, 'Record failure').Payload.failure).toEqual({
      step: 'Verify objects',
      errorOutput: { Error: 'ObjectAltered', Cause: 'why' },
    });
    expect(result.outcome.status).toBe('FAILED');
  });

  test('in its task, which is found and stopped', async () => {
    const result = await start({ 'Take backup': fail('DumpFailed') });
    expect(outer(result)).toEqual([
      'Read settings',
      'Take backup',
      'Find running task',
      'Stop running task',
      'Record failure',
      'Announce failure',
      'Backup failed',
    ]);
    expect(result.calls.get('Find running task')).toEqual([
      { Cluster: 'theCluster', StartedBy: 'backup-logical/run-1' },
    ]);
    expect(result.calls.get('Stop task')).toEqual([
      { Cluster: 'theCluster', Task: 'arn:task/1', Reason: 'the execution failed: DumpFailed' },
    ]);
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      backup: null,
      failure: { step: 'Take backup', errorOutput: { Error: 'DumpFailed' } },
    });
  });

  test('when the task falls silent', async () => {
    const result = await start({ 'Take backup': () => new Promise(() => {}) });
    expect(firstCall(result, 'Record failure').Payload.failure.errorOutput.Error).toBe('States.Timeout');
  });

  test('with nothing to stop when no task runs', async () => {
    const result = await start({ 'Take backup': fail('TaskFailed'), 'Find running task': { TaskArns: [] } });
    expect(result.calls.has('Stop task')).toBe(false);
    expect(result.outcome.error).toBe('ObjectAltered');
  });

  test.each(['Find running task', 'Stop task'])('with its own error although "%s" fails too', async (step) => {
    const result = await start({ 'Take backup': fail('DumpFailed'), [step]: fail('Ecs.ClusterNotFoundException') });
    expect(firstCall(result, 'Record failure').Payload.failure.errorOutput.Error).toBe('DumpFailed');
    expect(result.outcome.error).toBe('ObjectAltered');
  });

  test('because the database is unknown', async () => {
    const result = await start({ 'Read settings': fail('Ssm.ParameterNotFoundException') }, { database: 'nosuch' });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      settings: null,
      database: 'nosuch',
      backup: null,
      failure: { step: 'Read settings', errorOutput: { Error: 'Ssm.ParameterNotFoundException' } },
    });
  });

  test('because the input names no database', async () => {
    const result = await start({}, {});
    expect(result.calls.has('Read settings')).toBe(false);
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      database: 'unnamed',
      failure: {
        errorOutput: {
          Error: 'States.QueryEvaluationError',
          Cause: expect.stringContaining('The input names no database'),
        },
      },
    });
  });

  test('because the settings are not JSON', async () => {
    const result = await start({ 'Read settings': { Parameter: { Value: '{' } } });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({ settings: null });
    expect(result.outcome.status).toBe('FAILED');
  });

  test('is announced even when it cannot be recorded', async () => {
    const result = await start({
      'Take backup': fail('DumpFailed', 'pg_dump: error'),
      'Record failure': fail('Lambda.ResourceNotFoundException'),
    });
    const outcome = JSON.parse(firstCall(result, 'Announce failure').Message);
    expect(outcome).toMatchObject({
      schemaVersion: 1,
      workflow: 'backup-logical',
      database: 'orders',
      ok: false,
      region: 'eu-north-1',
      objectives: settings.objectives,
      failure: { error: 'Unexpected', step: 'Take backup' },
    });
    expect(outcome.failure.message).toBe(
      'DumpFailed: pg_dump: error (recording this failure failed too: Lambda.ResourceNotFoundException)',
    );
    expect(outcome.durationSeconds).toBeGreaterThanOrEqual(0);
    expect(result.outcome.error).toBe('Unexpected');
  });

  test('is announced when neither settings nor record are to be had', async () => {
    const result = await start({
      'Read settings': fail('Ssm.ParameterNotFoundException'),
      'Record failure': fail('Lambda.ResourceNotFoundException'),
    });
    expect(JSON.parse(firstCall(result, 'Announce failure').Message)).toMatchObject({
      objectives: { rpoSeconds: 0, rtoSeconds: 0 },
    });
  });

  test('fails with its own error when it cannot be announced', async () => {
    const result = await start({
      'Take backup': fail('DumpFailed'),
      'Announce failure': fail('SNS.NotFoundException'),
    });
    expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'ObjectAltered' });
  });
});

describe('retries', () => {
  const once = (error: string, answer: Loose) => (_: unknown, attempt: number) =>
    attempt === 1 ? fail(error)() : answer;

  test.each([
    ['Read settings', 'Ssm.ThrottlingException'],
    ['Take backup', 'AmazonECS.Unknown'],
    ['Plan verification', 'Lambda.TooManyRequestsException'],
    ['Plan verification', 'StorageRefused'],
    ['Confirm verification', 'StorageRefused'],
    ['Record success', 'Lambda.ServiceException'],
    ['Announce success', 'SNS.InternalErrorException'],
  ])('"%s" tries again after %s', async (step, error) => {
    const result = await start({ [step]: once(error, answers[step]) });
    expect(result.calls.get(step)).toHaveLength(2);
    expect(result.outcome.status).toBe('SUCCEEDED');
  });

  test('a task that began is never repeated', async () => {
    const result = await start({ 'Take backup': fail('DatabaseUnreachable') });
    expect(result.calls.get('Take backup')).toHaveLength(1);
  });

  test('each attempt has a token of its own', async () => {
    const result = await start({ 'Take backup': once('ECS.ServerException', backup) });
    const tokens = (result.calls.get('Take backup') as Loose[]).map(
      (call) => call.Overrides.ContainerOverrides[0].Environment[0].Value,
    );
    expect(new Set(tokens).size).toBe(2);
  });
});
