import { afterAll, describe, expect, test } from 'vitest';
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
  'Switch there and back': { Output: { failover: { to: 'standby' } } },
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

test('changes the writer there and back where that is asked for, and records the way there', async () => {
  const result = await start({}, { database: 'orders', full: true });
  expect(result.path).not.toContain('Promote a replica in isolation');
  expect(firstCall(result, 'Switch there and back').Input).toMatchObject({ database: 'orders', run: 'run.1' });
  expect(firstCall(result, 'Record success').Payload).toMatchObject({ drill: null, failover: { to: 'standby' } });
  const refused = await start(
    { 'Switch there and back': fail('States.TaskFailed') },
    { database: 'orders', full: true },
  );
  expect(refused.path.at(-1)).toBe('Drill failed');
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

describe('drill-full', () => {
  const full = loadMachine('drill-full');
  const fullTracker = track(full);
  afterAll(() => fullTracker.expectAllReached());
  const there = { failover: { to: 'standby' } };
  const steps: Answers = {
    'Switch to the standby': { Output: there },
    'Switch back': { Output: { failover: { to: 'primary' } } },
    'Keep the evidence': payload({ key: 'k' }),
  };
  const input = { database: 'orders', settings: failover, decision: { seconds: 1 }, run: 'dr-1' };
  const switchOver = (changes: Answers = {}): Promise<Run> =>
    fullTracker.watch(run(full, input, { ...steps, ...changes }));

  test('asks a person before the first change, and keeps both', async () => {
    const result = await switchOver();
    expect(firstCall(result, 'Switch to the standby').Input).toMatchObject({ target: 'standby', approval: 'always' });
    expect(firstCall(result, 'Switch back').Input).toEqual({
      database: 'orders',
      target: 'primary',
      reason: 'full drill',
      skipBackup: 'a full drill',
    });
    expect(firstCall(result, 'Keep the evidence').Payload).toMatchObject({ verb: 'keepDrill', run: 'dr-1', there });
    expect(result.outcome).toMatchObject({ output: { failover: { to: 'standby' }, kept: { key: 'k' } } });
  });
  test.each(Object.keys(steps))('fails by its name when "%s" does', async (step) => {
    const cause = JSON.stringify({ ExecutionArn: 'arn', Error: 'ApprovalDenied', Cause: 'why' });
    expect((await switchOver({ [step]: fail('States.TaskFailed', cause) })).outcome).toMatchObject({
      error: 'ApprovalDenied',
      cause: 'why',
    });
    expect((await switchOver({ [step]: fail('Lambda.Gone') })).outcome).toMatchObject({ error: 'Lambda.Gone' });
  });
});
