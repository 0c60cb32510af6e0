import { describe, expect, test } from 'vitest';
import { parsePhysicalSettings } from '../../lib/core/physical-settings.ts';
import { parseSettings } from '../../lib/core/settings.ts';
import { flat, type Loose, statements, synthesize } from './assembly.ts';

const secret = (name: string) => ({ secret: `${name}/primary` });
const assembly = synthesize({
  databases: [
    { name: 'orders', version: 17, primary: secret('orders') },
    {
      name: 'ledger',
      version: 15,
      engine: 'rds',
      primary: secret('ledger'),
      lineage: 'after-split',
      objectives: { rpo: '2 hours', rto: '90 minutes' },
      logical: {
        schedule: 'cron(0 * * * ? *)',
        ownStreams: 2,
        concurrency: 4,
        zstdLevel: 5,
        lockTimeout: '10 seconds',
        allowSkipped: ['row-security'],
        task: { vcpu: 8, memoryGiB: 32, storageGiB: 30, timeout: '1 day', heartbeatTimeout: '45 seconds' },
      },
      restoreTest: { schedule: 'rate(2 days)', version: 18, task: { storageGiB: 200 } },
    },
  ],
});

const settingsOf = (stack: string): Loose => {
  const [parameter] = assembly.resources(stack, 'AWS::SSM::Parameter');
  return JSON.parse(flat(parameter.Properties.Value));
};

describe('settings', () => {
  test('lie where workflows look for them and are what tasks accept', () => {
    const stack = 'acme-orders-us-east-1';
    expect(assembly.resources(stack, 'AWS::SSM::Parameter')[0].Properties.Name).toBe('/acme/databases/orders');
    expect(parseSettings(settingsOf(stack))).toMatchObject({
      system: 'acme',
      database: 'orders',
      lineage: 'main',
      version: 17,
      secret: 'orders/primary',
      bucket: 'acme-pgdr-backups-<AWS::AccountId>-us-east-1',
      taskDefinition: 'acme-pgdr-pg17',
      restoreTaskDefinition: 'acme-pgdr-pg17',
      objectives: { rpoSeconds: 86_400, rtoSeconds: 14_400 },
    });
  });

  test('carry all that the configuration says', () => {
    expect(settingsOf('acme-ledger-eu-north-1')).toMatchObject({
      lineage: 'after-split',
      taskDefinition: 'acme-pgdr-pg15',
      restoreTaskDefinition: 'acme-pgdr-pg18',
      logical: { ownStreams: 2, concurrency: 4, zstdLevel: 5, lockTimeoutSeconds: 10, allowSkipped: ['row-security'] },
      objectives: { rpoSeconds: 7200, rtoSeconds: 5400 },
      tasks: {
        backup: { cpu: '8192', memory: '32768', storageGiB: 30, timeoutSeconds: 86_400, heartbeatSeconds: 45 },
        restore: { cpu: '4096', memory: '8192', storageGiB: 200, timeoutSeconds: 21_600, heartbeatSeconds: 300 },
      },
    });
  });
});

describe('physical settings', () => {
  const stack = 'acme-metrics-db-us-east-1';
  const databases = [{ name: 'metrics-db', version: 17 as const, primary: secret('metrics'), physical: {} }];
  const found = (name: string) =>
    synthesize({ databases })
      .resources(stack, 'AWS::SSM::Parameter')
      .find(({ Properties }) => Properties.Name === name)?.Properties.Value;

  test('are a parameter of their own, where the configuration has them', () => {
    const parameters = assembly.resources('acme-orders-us-east-1', 'AWS::SSM::Parameter');
    expect(parameters.map(({ Properties }) => Properties.Name).sort()).toEqual([
      '/acme/databases/orders',
      '/acme/databases/orders/retention',
    ]);
    expect(parsePhysicalSettings(JSON.parse(flat(found('/acme/databases/metrics-db/physical'))))).toMatchObject({
      secret: 'metrics/primary',
      slot: 'pgdr_metrics_db',
      stateTable: 'acme-pgdr-state',
      walChunkSeconds: 5,
      walChunkBytes: 8 * 2 ** 20,
    });
  });
});

test('WAL has alarms and panels where it is received, and nowhere else', () => {
  const databases = [{ name: 'shop', version: 17 as const, primary: secret('shop'), physical: {} }];
  const walAlarms = (made: ReturnType<typeof synthesize>, stack: string) =>
    made
      .resources(stack, 'AWS::CloudWatch::Alarm')
      .map(({ Properties }) => Properties.AlarmName)
      .filter((name) => name.includes('-wal-'));
  const dashboard = (made: ReturnType<typeof synthesize>, stack: string) =>
    flat(made.resources(stack, 'AWS::CloudWatch::Dashboard')[0].Properties.DashboardBody);
  const physical = synthesize({ databases });
  expect(walAlarms(physical, 'acme-shop-eu-north-1').sort()).toEqual(
    ['gap', 'lag', 'retained', 'slot', 'window'].map((id) => `acme-shop-wal-${id}`),
  );
  for (const metric of ['WalLagSeconds', 'WalGaps', 'WalRetainedBytes', 'WalSlotHealthy', 'RecoverableWindowSeconds'])
    expect(dashboard(physical, 'acme-shop-eu-north-1')).toContain(metric);
  expect(walAlarms(assembly, 'acme-orders-eu-north-1')).toEqual([]);
  expect(dashboard(assembly, 'acme-orders-eu-north-1')).not.toContain('Wal');
});

describe('schedules', () => {
  const schedules = (stack: string): Loose[] =>
    assembly.resources(stack, 'AWS::Scheduler::Schedule').map(({ Properties }) => Properties);

  test('start the workflows of the database, at their times, and keep what could not be started', () => {
    const [backup, restore] = schedules('acme-ledger-eu-north-1');
    expect(backup).toMatchObject({
      Name: 'acme-ledger-backup-logical',
      GroupName: 'acme-pgdr',
      ScheduleExpression: 'cron(0 * * * ? *)',
      ScheduleExpressionTimezone: 'UTC',
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: {
        Input: '{"database":"ledger"}',
        RetryPolicy: { MaximumEventAgeInSeconds: 21_600, MaximumRetryAttempts: 30 },
      },
    });
    expect(restore).toMatchObject({ Name: 'acme-ledger-restore-test', ScheduleExpression: 'rate(2 days)' });
    const { Arn, RoleArn, DeadLetterConfig } = backup.Target;
    expect([Arn, RoleArn, DeadLetterConfig.Arn].map(flat)).toEqual([
      'arn:aws:states:eu-north-1:<AWS::AccountId>:stateMachine:acme-backup-logical',
      'arn:aws:iam::<AWS::AccountId>:role/acme-pgdr-schedules-eu-north-1',
      'arn:aws:sqs:eu-north-1:<AWS::AccountId>:acme-schedule-dead-letters',
    ]);
  });

  test('are on in the primary region alone, but for those that look at what the region holds', () => {
    for (const database of ['orders', 'ledger']) {
      expect(schedules(`acme-${database}-eu-north-1`).map(({ State }) => State)).toEqual([
        'ENABLED',
        'ENABLED',
        'ENABLED',
        'ENABLED',
      ]);
      expect(schedules(`acme-${database}-us-east-1`).map(({ State }) => State)).toEqual([
        'DISABLED',
        'DISABLED',
        'ENABLED',
        'ENABLED',
      ]);
    }
  });
});

describe('roles of tasks', () => {
  const allowed = statements(assembly.template('acme-orders-eu-north-1'));
  const of = (policy: string) =>
    Object.fromEntries(
      allowed
        .filter((statement) => statement.policy.startsWith(policy))
        .flatMap(({ actions, resources, condition }) =>
          actions.map((action) => [action, [...resources, ...(condition ? [condition] : [])]]),
        ),
    );
  const bucket = 'arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-eu-north-1';
  const key = [
    'arn:aws:kms:eu-north-1:<AWS::AccountId>:key/*',
    {
      'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/acme-pgdr' },
      StringEquals: { 'kms:ViaService': expect.anything() },
    },
  ];
  const machine = (name: string) => [`arn:aws:states:eu-north-1:<AWS::AccountId>:stateMachine:acme-${name}`];

  const objects = [`${bucket}/acme/orders/*`];
  const listing = [bucket, { StringLike: { 's3:prefix': 'acme/orders/*' } }];

  test('let a backup read its secret and write its objects, and nothing of others', () => {
    expect(of('RolesBackup')).toEqual({
      'secretsmanager:GetSecretValue': [
        'arn:aws:secretsmanager:eu-north-1:<AWS::AccountId>:secret:orders/primary-??????',
      ],
      's3:PutObject': objects,
      's3:PutObjectRetention': objects,
      's3:GetObjectRetention': objects,
      's3:AbortMultipartUpload': objects,
      's3:GetObject': objects,
      's3:GetObjectVersion': objects,
      's3:ListBucket': listing,
      'kms:GenerateDataKey': key,
      'kms:Decrypt': key,
      'states:SendTaskHeartbeat': machine('backup-logical'),
      'states:SendTaskSuccess': machine('backup-logical'),
      'states:SendTaskFailure': machine('backup-logical'),
    });
  });

  test('let a restore read objects and write proofs, and never read the secret', () => {
    expect(of('RolesRestore')).toEqual({
      's3:GetObject': objects,
      's3:GetObjectVersion': objects,
      's3:ListBucket': listing,
      's3:PutObject': [`${bucket}/acme/orders/main/proofs/*`],
      'kms:GenerateDataKey': key,
      'kms:Decrypt': key,
      'states:SendTaskHeartbeat': machine('restore-test'),
      'states:SendTaskSuccess': machine('restore-test'),
      'states:SendTaskFailure': machine('restore-test'),
    });
  });

  test('let a recovery read objects and the secret, and write nothing', () => {
    expect(of('RolesRecover')).toEqual({
      'secretsmanager:GetSecretValue': [
        'arn:aws:secretsmanager:eu-north-1:<AWS::AccountId>:secret:orders/primary-??????',
      ],
      's3:GetObject': objects,
      's3:GetObjectVersion': objects,
      's3:ListBucket': listing,
      'kms:Decrypt': key,
      'states:SendTaskHeartbeat': machine('restore'),
      'states:SendTaskSuccess': machine('restore'),
      'states:SendTaskFailure': machine('restore'),
    });
  });

  test('have the names by which state machines may pass them', () => {
    const names = assembly
      .resources('acme-orders-eu-north-1', 'AWS::IAM::Role')
      .map(({ Properties }) => Properties.RoleName);
    expect(names).toEqual(['backup', 'restore', 'recover'].map((job) => `acme-orders-${job}-eu-north-1`));
  });
});

test('other servers of restores bring the tools of their major, and their secrets to the role of restores alone', () => {
  const other = synthesize({
    databases: [
      {
        name: 'orders',
        version: 15,
        primary: secret('orders'),
        restore: { targets: [{ secret: 'orders/next', version: 18 }, { secret: 'orders/spare' }] },
      },
    ],
  });
  const [parameter] = other.resources('acme-orders-eu-north-1', 'AWS::SSM::Parameter');
  expect(JSON.parse(flat(parameter.Properties.Value)).restore.targets).toEqual([
    { secret: 'orders/next', taskDefinition: 'acme-pgdr-pg18' },
    { secret: 'orders/spare', taskDefinition: 'acme-pgdr-pg15' },
  ]);
  const families = other.resources('acme-platform-eu-north-1', 'AWS::ECS::TaskDefinition');
  expect(families.map(({ Properties }) => Properties.Family).sort()).toEqual(['acme-pgdr-pg15', 'acme-pgdr-pg18']);
  const readers = statements(other.template('acme-orders-eu-north-1'))
    .filter(({ actions }) => actions.includes('secretsmanager:GetSecretValue'))
    .map(({ policy, resources }) => [policy.slice(0, 12), resources.map((arn) => arn.split(':').at(-1)).sort()]);
  expect(readers).toEqual([
    ['RolesBackupD', ['orders/primary-??????']],
    ['RolesRecover', ['orders/next-??????', 'orders/primary-??????', 'orders/spare-??????']],
  ]);
});
