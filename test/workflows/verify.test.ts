import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, settings, track } from './harness.ts';

const machine = loadMachine('verify');
const manifestKey = 'acme/orders/main/logical/b1/manifest.json';
const verification = { manifestKey, backupId: 'b1', bytes: 6, parts: 3, recorded: false };
const succeeded = { workflow: 'verify', database: 'orders', ok: true, verification };
const failure = { error: 'ObjectAltered', step: 'x', message: 'm', intact: 'i', tryNext: 't', runbook: 'r' };

const answers: Answers = {
  'Read settings': { Parameter: { Value: JSON.stringify(settings) } },
  'Plan verification': { Payload: { manifestKey, batches: [{ n: 1 }, { n: 2 }, { n: 3 }] } },
  'Verify batch': (call) => ({ Payload: { bytes: (call.arguments as Loose).Payload.batch.n, parts: 1 } }),
  'Confirm verification': { Payload: verification },
  'Record success': { Payload: succeeded },
  'Announce success': { MessageId: '1' },
  'Record failure': { Payload: { workflow: 'verify', database: 'orders', ok: false, failure } },
  'Announce failure': { MessageId: '2' },
};

const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const start = (changes: Answers = {}, input: Loose = { database: 'orders' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

describe('a backup that is read again', () => {
  test('is found, read, confirmed, recorded and announced', async () => {
    const result = await start();
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
    const execution = { arn: expect.stringContaining(':execution:') };
    expect(firstCall(result, 'Plan verification').Payload).toEqual({ settings, execution, backupId: null });
    const batches = result.calls.get('Verify batch')?.map(({ Payload }) => [Payload.manifestKey, Payload.batch.n]);
    expect(batches?.sort()).toEqual([1, 2, 3].map((n) => [manifestKey, n]));
    expect(firstCall(result, 'Confirm verification').Payload).toEqual({
      settings,
      execution,
      manifestKey,
      results: [1, 2, 3].map((bytes) => ({ bytes, parts: 1 })),
    });
    expect(firstCall(result, 'Record success').Payload).toMatchObject({ verification, backup: null, failure: null });
    expect(JSON.parse(firstCall(result, 'Announce success').Message)).toEqual(succeeded);
  });

  test('is the one that the input names', async () => {
    const result = await start({}, { database: 'orders', backupId: 'b0' });
    expect(firstCall(result, 'Plan verification').Payload.backupId).toBe('b0');
  });

  test('is sound although nobody could be told', async () => {
    const result = await start({ 'Announce success': fail('SNS.NotFoundException') });
    expect(result.outcome).toMatchObject({ status: 'SUCCEEDED', output: succeeded });
  });

  test('is read once more where S3 refused', async () => {
    const once = (_: unknown, attempt: number) =>
      attempt === 1 ? fail('StorageRefused')() : { Payload: { bytes: 6, parts: 3 } };
    const batches = { Payload: { manifestKey, batches: [{ n: 1 }] } };
    const result = await start({ 'Plan verification': batches, 'Verify batch': once });
    expect(result.calls.get('Verify batch')).toHaveLength(2);
    expect(result.outcome.status).toBe('SUCCEEDED');
  });
});

describe('a verification that fails', () => {
  test.each([
    ['Read settings', 'Read settings', 'Ssm.ParameterNotFoundException'],
    ['Plan verification', 'Plan verification', 'BackupNotFound'],
    ['Verify batch', 'Verify objects', 'ObjectAltered'],
    ['Confirm verification', 'Confirm verification', 'ObjectTruncated'],
    ['Record success', 'Record success', 'Lambda.Unknown'],
  ])('in "%s" is recorded, announced and fails by name', async (state, step, error) => {
    const result = await start({ [state]: fail(error) });
    expect(result.outcome).toEqual({ status: 'FAILED', error: 'ObjectAltered', cause: JSON.stringify(failure) });
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({
      workflow: 'verify',
      database: 'orders',
      failure: { step, errorOutput: { Error: error } },
    });
    expect(result.path).toContain('Announce failure');
  });

  test('because the input names no database', async () => {
    const result = await start({}, {});
    expect(firstCall(result, 'Record failure').Payload).toMatchObject({ database: 'unnamed', verification: null });
  });

  test('is announced although it could not be recorded, and fails although it could not be announced', async () => {
    const altered = { 'Verify batch': fail('ObjectAltered') };
    const unrecorded = await start({ ...altered, 'Record failure': fail('Lambda.Unknown') });
    expect(JSON.parse(firstCall(unrecorded, 'Announce failure').Message)).toMatchObject({
      workflow: 'verify',
      failure: { step: 'Verify objects', message: expect.stringContaining('ObjectAltered: why') },
    });
    const unannounced = await start({ ...altered, 'Announce failure': fail('SNS.Unknown') });
    expect(unannounced.outcome.status).toBe('FAILED');
  });
});
