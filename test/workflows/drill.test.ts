import { afterAll, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('drill');
const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const failover = { database: 'orders', region: 'us-east-1', objectives: settings.objectives };
const payload = (value: Loose) => ({ Payload: value });
const plan = { workflow: 'failover', dryRun: true, decision: { verdict: 'approve', reasons: ['it works'] } };
const failure = { error: 'ContentDiffers', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };
const answers: Answers = {
  'Read settings': { Parameter: { Value: JSON.stringify(failover) } },
  'Read task settings': { Parameter: { Value: JSON.stringify(settings) } },
  'Rehearse the decision': { Output: plan },
  'Promote a replica in isolation': { id: 'd1', rtoSeconds: 12 },
  'Record success': payload({ workflow: 'drill', database: 'orders', ok: true }),
  'Announce success': {},
  'Find running task': { TaskArns: ['arn:task'] },
  'Stop task': {},
  'Record failure': payload({ workflow: 'drill', database: 'orders', ok: false, failure }),
  'Announce failure': {},
};
const start = (changes: Answers = {}, input: Loose = { database: 'orders' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

test('rehearses the decision, promotes a replica as the role of this database, and tells', async () => {
  const result = await start();
  expect(firstCall(result, 'Rehearse the decision').Input).toMatchObject({ database: 'orders', dryRun: true });
  const { Overrides } = firstCall(result, 'Promote a replica in isolation');
  expect(Overrides.TaskRoleArn).toBe('theDrillRole');
  expect(Overrides.Memory).toBe(settings.tasks.restore.memory);
  const input = JSON.parse(Overrides.ContainerOverrides[0].Environment[1].Value);
  expect(input).toMatchObject({ stateTable: 'theStateTable', decision: { verdict: 'approve' } });
  expect(input.decision.seconds).toBeGreaterThanOrEqual(0);
  expect(firstCall(result, 'Record success').Payload).toMatchObject({ workflow: 'drill', drill: { id: 'd1' } });
  expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: { ok: true } });
});

test('ends with the plan in a dry run', async () => {
  const result = await start({}, { database: 'orders', dryRun: true });
  expect(result.path).not.toContain('Promote a replica in isolation');
  expect(result.outcome).toMatchObject({ output: { workflow: 'drill', dryRun: true, decision: plan.decision } });
});

test('needs no name of a database where there is one alone', async () => {
  expect(firstCall(await start({}, {}), 'Read settings').Name).toBe('/theSystem/databases/theOnlyDatabase/failover');
});

test.each(['Read settings', 'Read task settings', 'Rehearse the decision', 'Record success'])(
  'tells when "%s" fails',
  async (step) => {
    const result = await start({ [step]: fail('Lambda.Gone') });
    expect(result.path.slice(-3)).toEqual(['Record failure', 'Announce failure', 'Drill failed']);
    expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'ContentDiffers' });
  },
);

test('stops a task that goes on after it failed, and tells although that, too, fails', async () => {
  const broken = { 'Promote a replica in isolation': fail('States.HeartbeatTimeout') };
  expect((await start(broken)).path).toContain('Stop running task');
  for (const step of ['Find running task', 'Stop task', 'Record failure', 'Announce failure'])
    expect((await start({ ...broken, [step]: fail('ECS.Gone') })).outcome.status).toBe('FAILED');
});

test('has succeeded although it could not be told', async () => {
  expect((await start({ 'Announce success': fail('SNS.Gone') })).outcome.status).toBe('SUCCEEDED');
});
