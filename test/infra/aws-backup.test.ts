import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../lib/config/schema.ts';
import { flat, type Loose, sample, statements, synthesize } from './assembly.ts';

/** AWS Backup cannot be run here: what is sent to it is looked at instead. */

const vault = { account: '222233334444', sourceAccount: '111122223333', region: 'eu-west-1' };
const rds = { name: 'ledger', engine: 'rds', version: 17, primary: { secret: 'ledger/primary' } } as const;
const assembly = synthesize({ awsBackup: {}, vault, databases: [rds] });
const [here, there] = ['acme-aws-backup-eu-north-1', 'acme-aws-backup-us-east-1'];
const only = (type: string, stack = here): Loose[] =>
  assembly.resources(stack, type).map(({ Properties }) => Properties);

describe('AWS Backup', () => {
  test('is there only where it was asked for', () => {
    expect(synthesize().stacks.filter(({ name }) => name.includes('aws-backup'))).toEqual([]);
    expect(assembly.stacks.find(({ name }) => name === here)?.dependencies).toContain(there);
  });

  test.each([here, there])('%s has a locked vault, under a key of its own, that lets nobody delete', (stack) => {
    const [made] = only('AWS::Backup::BackupVault', stack);
    expect(made.BackupVaultName).toBe('acme-pgdr-aws-backup');
    expect(made.LockConfiguration).toEqual({ MinRetentionDays: 7, MaxRetentionDays: 365 });
    expect(made.EncryptionKeyArn).toBeDefined();
    const [denied] = made.AccessPolicy.Statement;
    expect(denied).toMatchObject({ Effect: 'Deny', Principal: { AWS: '*' } });
    expect(denied.Action).toContain('backup:DeleteRecoveryPoint');
    const [{ DeletionPolicy }] = assembly.resources(stack, 'AWS::Backup::BackupVault');
    expect(DeletionPolicy).toBe('Retain');
  });

  test('takes what is tagged, hourly and daily, cold later, copied to the other region and the other account', () => {
    const [hourly, daily] = only('AWS::Backup::BackupPlan').map(({ BackupPlan }) => BackupPlan.BackupPlanRule[0]);
    expect(hourly).toMatchObject({ ScheduleExpression: 'cron(0 * * * ? *)', Lifecycle: { DeleteAfterDays: 7 } });
    expect(daily).toMatchObject({
      ScheduleExpression: 'cron(0 5 * * ? *)',
      Lifecycle: { MoveToColdStorageAfterDays: 30, DeleteAfterDays: 365, OptInToArchiveForSupportedResources: true },
    });
    expect(
      daily.CopyActions.map((copy: Loose) => flat(copy.DestinationBackupVaultArn).replace('<AWS::Partition>', 'aws')),
    ).toEqual([
      'arn:aws:backup:us-east-1:<AWS::AccountId>:backup-vault:acme-pgdr-aws-backup',
      'arn:aws:backup:eu-west-1:222233334444:backup-vault:acme-pgdr-aws-backup',
    ]);
    const tags = only('AWS::Backup::BackupSelection').map(({ BackupSelection }) =>
      BackupSelection.ListOfTags.map((tag: Loose) => `${tag.ConditionKey}=${tag.ConditionValue}`),
    );
    expect(tags).toEqual([['BackupPolicy=hourly'], ['BackupPolicy=hourly', 'BackupPolicy=daily']]);
  });

  test('restores every week what it has taken, and has RDS servers looked at', () => {
    const [plan] = only('AWS::Backup::RestoreTestingPlan');
    expect(plan).toMatchObject({
      ScheduleExpression: 'cron(0 4 ? * SUN *)',
      RecoveryPointSelection: { Algorithm: 'LATEST_WITHIN_WINDOW' },
    });
    expect(
      only('AWS::Backup::RestoreTestingSelection').map(({ ProtectedResourceType }) => ProtectedResourceType),
    ).toEqual(expect.arrayContaining(['RDS', 'EBS']));
    const [rule] = only('AWS::Events::Rule');
    expect(rule.EventPattern).toMatchObject({
      source: ['aws.backup'],
      'detail-type': ['Restore Job State Change'],
      detail: { status: ['COMPLETED'], resourceType: ['RDS'] },
    });
    expect(rule.Targets[0].InputTransformer.InputTemplate).toBe('{"restoreJobId": <job>}');
    const [check] = only('AWS::Lambda::Function');
    expect(JSON.parse(flat(check.Environment.Variables.DATABASES))).toEqual([
      { database: 'ledger', secret: 'ledger/primary', assertions: [] },
    ]);
  });

  test('reads the secrets of databases on RDS, and no others', () => {
    const read = statements(assembly.template(here)).filter(({ actions }) =>
      actions.includes('secretsmanager:GetSecretValue'),
    );
    expect(read.map(({ resources }) => resources.length)).toEqual([1]);
    expect(read[0]?.resources[0]).toMatch(/secret:ledger\/primary-\?{6}$/);
  });

  test('is never kept for less than AWS keeps what is cold', () => {
    const awsBackup = { daily: { coldAfter: '60 days', keep: '100 days' } } as const;
    expect(() => parseConfig({ ...sample, awsBackup })).toThrow(
      /awsBackup\.daily\.keep is 100 days.*at least 150 days/,
    );
  });
});
