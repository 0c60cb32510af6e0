import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, fail, firstCall, type Loose, loadMachine, type Run, run, track } from './harness.ts';

const machine = loadMachine('validate-restore');
const restored = 'arn:aws:rds:eu-north-1:111122223333:db:awsbackup-restore-test-1';
const recoveryPoint = 'arn:aws:rds:eu-north-1:111122223333:snapshot:awsbackup:job-1';

const answers: Answers = {
  'Describe restore': { CreatedResourceArn: restored, RecoveryPointArn: recoveryPoint },
  'Describe recovery point': { ResourceArn: 'arn:aws:rds:eu-north-1:111122223333:db:orders-1' },
  'Find restored server': { DbInstances: [{ Endpoint: { Address: 'restored.example', Port: 5432 } }] },
  'Check restored server': { Payload: { message: 'orders: 12 tables' } },
  'Report valid': {},
  'Report failed': {},
};

const tracker = track(machine);
afterAll(() => tracker.expectAllReached());

const start = (changes: Answers = {}, input: Loose = { restoreJobId: 'job-1' }): Promise<Run> =>
  tracker.watch(run(machine, input, { ...answers, ...changes }));

describe('validate-restore', () => {
  test('opens what was restored with the secret of its source, and reports it valid', async () => {
    const result = await start();
    expect(result.outcome.status).toBe('SUCCEEDED');
    expect(firstCall(result, 'Describe recovery point')).toEqual({
      BackupVaultName: 'theBackupVault',
      RecoveryPointArn: recoveryPoint,
    });
    expect(firstCall(result, 'Find restored server')).toEqual({ DbInstanceIdentifier: 'awsbackup-restore-test-1' });
    expect(firstCall(result, 'Check restored server').Payload).toEqual({
      source: 'orders-1',
      host: 'restored.example',
      port: 5432,
    });
    expect(firstCall(result, 'Report valid')).toEqual({
      RestoreJobId: 'job-1',
      ValidationStatus: 'SUCCESSFUL',
      ValidationStatusMessage: 'orders: 12 tables',
    });
  });

  test.each([
    ['Describe restore', 'Backup.ResourceNotFoundException'],
    ['Describe recovery point', 'Backup.ResourceNotFoundException'],
    ['Find restored server', 'Rds.DbInstanceNotFoundException'],
    ['Check restored server', 'AssertionFailed'],
  ])('what cannot be seen to be sound, since "%s" fails, is reported as failed', async (state, error) => {
    const result = await start({ [state]: fail(error) });
    expect(result.outcome).toMatchObject({ status: 'FAILED', error: 'RestoreNotProven' });
    expect(firstCall(result, 'Report failed')).toEqual({
      RestoreJobId: 'job-1',
      ValidationStatus: 'FAILED',
      ValidationStatusMessage: `${state}: ${error}`,
    });
    expect(result.path).not.toContain('Report valid');
  });

  test('a server that has no address yet is no valid one', async () => {
    const result = await start({ 'Find restored server': { DbInstances: [] } });
    expect(result.path).toContain('Report failed');
  });

  test.each(['Report valid', 'Report failed'])('fails where "%s" does', async (state) => {
    const broken: Answers = state === 'Report failed' ? { 'Check restored server': fail('AssertionFailed') } : {};
    const result = await start({ ...broken, [state]: fail('Backup.ResourceNotFoundException') });
    expect(result.outcome.status).toBe('FAILED');
  });
});
