import { afterAll, describe, expect, test } from 'vitest';
import {
  type Answers,
  settings as base,
  fail,
  firstCall,
  type Loose,
  loadMachine,
  type Run,
  run,
  track,
} from './harness.ts';

const settings = { database: 'orders', region: 'us-east-1', objectives: base.objectives };
const payload = (value: Loose) => ({ Payload: value });

describe('failback-backup', () => {
  const machine = loadMachine('failback-backup');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const answers: Answers = {
    'Find the writer': payload({ here: true, says: 'The writer is the standby.' }),
    'Back up the writer': { Output: { backup: { id: 'b1' } } },
  };
  const start = (changes: Answers = {}, request: Loose = {}): Promise<Run> =>
    tracker.watch(run(machine, { settings, request }, { ...answers, ...changes }));

  test('backs up the writer that is here', async () => {
    const result = await start();
    expect(firstCall(result, 'Back up the writer')).toMatchObject({
      StateMachineArn: 'theBackupLogical',
      Input: { database: 'orders' },
    });
    expect(result.outcome).toMatchObject({ output: { id: 'b1', says: 'Backup b1 was taken and verified first.' } });
  });
  test.each([
    [{ skipBackup: 'taken an hour ago' }, true, 'No backup was taken first: taken an hour ago'],
    [{ dryRun: true }, true, 'A dry run takes no backup.'],
    [{}, false, 'No backup was taken first: The writer is the primary.'],
  ])('leaves it out with a reason: %j', async (request, here, says) => {
    const found = payload({ here, says: here ? 'x' : 'The writer is the primary.' });
    const result = await start({ 'Find the writer': found }, request);
    expect(result.path).not.toContain('Back up the writer');
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: { id: null, says } });
  });
  test('fails by the name of what went wrong in the backup', async () => {
    const cause = JSON.stringify({ ExecutionArn: 'arn', Error: 'DumpFailed', Cause: 'why' });
    const result = await start({ 'Back up the writer': fail('States.TaskFailed', cause) });
    expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'DumpFailed', cause: 'why' });
    expect((await start({ 'Find the writer': fail('Lambda.Gone') })).outcome).toMatchObject({ error: 'Lambda.Gone' });
  });
});

describe('failback-prepare', () => {
  const machine = loadMachine('failback-prepare');
  const tracker = track(machine);
  afterAll(() => tracker.expectAllReached());
  const diverged = { transactions: 2, xids: ['7', '8'] };
  const answers: Answers = {
    'Start the old primary': payload({ started: true }),
    'Rejoin the old primary': payload({ detail: 'rewound in 1.0 s' }),
    'Keep what only it had': payload(diverged),
  };
  const start = (changes: Answers = {}): Promise<Run> =>
    tracker.watch(run(machine, { settings, run: 'fb', target: 'primary' }, { ...answers, ...changes }));

  test('starts, rejoins, and keeps what only the old primary had', async () => {
    const result = await start();
    expect(firstCall(result, 'Keep what only it had').Payload).toMatchObject({ run: 'fb', target: 'primary' });
    expect(result.outcome).toMatchObject({ output: { rejoin: { detail: 'rewound in 1.0 s' }, diverged } });
  });
  test('waits on for a long rejoin', async () => {
    const rejoin = (_: Loose, attempt: number) =>
      attempt < 4 ? fail('StandbyUnusable')() : payload({ detail: 'copied' });
    expect((await start({ 'Rejoin the old primary': rejoin })).outcome.status).toBe('SUCCEEDED');
  });
  test.each(Object.keys(answers))('fails when "%s" does', async (step) => {
    expect((await start({ [step]: fail('RejoinFailed') })).outcome).toMatchObject({ error: 'RejoinFailed' });
  });
});
