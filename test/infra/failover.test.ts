import { describe, expect, test } from 'vitest';
import { parseFailoverSettings } from '../../lib/core/failover-settings.ts';
import { parseProtectionSettings } from '../../lib/core/protection-settings.ts';
import { flat, type Loose, sample, statements, synthesize } from './assembly.ts';

const [orders] = sample.databases;
const assembly = synthesize({
  databases: [
    {
      ...(orders as object),
      standby: { secret: 'orders/standby' },
      endpoint: {
        zone: 'db.internal',
        vpcs: [{ id: 'vpc-0a1b2c3d4e5f60718', region: 'eu-north-1' }],
        name: 'orders',
        primary: 'orders-1.db.internal',
        standby: 'orders-2.db.internal',
      },
      failover: {
        secret: 'orders/control',
        primary: { kind: 'ecs', cluster: 'databases', service: 'orders-1' },
        standby: { kind: 'ec2', instanceId: 'i-0a1b2c3d4e5f60718' },
        applications: [{ cluster: 'apps', service: 'shop' }],
      },
    } as Loose,
  ],
});
const [here, there] = ['acme-orders-us-east-1', 'acme-orders-eu-north-1'];
const platform = { recovery: 'acme-platform-us-east-1', primary: 'acme-platform-eu-north-1' };

test('the settings are what the functions accept, and fit into their parameter', () => {
  for (const stack of [here, there]) {
    const parameter = assembly
      .resources(stack, 'AWS::SSM::Parameter')
      .find(({ Properties }) => Properties.Name === '/acme/databases/orders/failover');
    const text = flat(parameter.Properties.Value);
    expect(Buffer.byteLength(text)).toBeLessThan(4096);
    expect(parseFailoverSettings(JSON.parse(text))).toMatchObject({
      region: 'us-east-1',
      servers: { primary: { region: 'eu-north-1', secret: 'orders/control' }, standby: { region: 'us-east-1' } },
      endpoint: { name: 'orders.db.internal' },
      applications: [{ region: 'us-east-1', cluster: 'apps', service: 'shop' }],
    });
  }
});

describe('the name', () => {
  test('follows a metric of the recovery region, and keeps to what was said last', () => {
    const [check] = assembly.resources(here, 'AWS::Route53::HealthCheck');
    expect(check.Properties.HealthCheckConfig).toMatchObject({
      Type: 'CLOUDWATCH_METRIC',
      AlarmIdentifier: { Region: 'us-east-1', Name: 'acme-orders-secondary-is-writer' },
      InsufficientDataHealthStatus: 'LastKnownStatus',
    });
    const records = assembly.resources(here, 'AWS::Route53::RecordSet').map(({ Properties }) => Properties);
    expect(records.map(({ Failover, ResourceRecords }) => [Failover, ResourceRecords[0]])).toEqual([
      ['PRIMARY', 'orders-1.db.internal'],
      ['SECONDARY', 'orders-2.db.internal'],
    ]);
    expect(records.map(({ HealthCheckId }) => HealthCheckId !== undefined)).toEqual([true, false]);
  });
  test('is kept from the recovery region alone', () => {
    expect(assembly.resources(there, 'AWS::Route53::RecordSet')).toEqual([]);
  });
});

describe('permissions', () => {
  test('the functions may touch the machines and secrets of this database, and no others', () => {
    const granted = statements(assembly.template(here)).filter(({ policy }) => policy.startsWith('FailoverGrants'));
    const of = (action: string) =>
      granted.filter(({ actions }) => actions.includes(action)).flatMap(({ resources }) => resources);
    expect(of('ecs:UpdateService').map((arn) => arn.split(':').slice(3).join(':'))).toEqual([
      'eu-north-1:<AWS::AccountId>:service/databases/orders-1',
      'us-east-1:<AWS::AccountId>:service/apps/shop',
    ]);
    expect(of('ec2:StopInstances')[0]).toMatch(/instance\/i-0a1b2c3d4e5f60718$/);
    expect(of('secretsmanager:GetSecretValue').every((arn) => /secret:orders\/(control|standby)-/.test(arn))).toBe(
      true,
    );
    expect(of('route53:ChangeResourceRecordSets')).toEqual([]);
  });

  test('who starts cannot approve, and who approves cannot start', () => {
    const of = (person: string) =>
      statements(assembly.template(platform.recovery))
        .filter(({ policy }) => policy.startsWith(`FailoverPeople${person}`))
        .flatMap(({ actions }) => actions);
    expect(of('operator')).toContain('states:StartExecution');
    expect(of('operator')).not.toContain('states:SendTaskSuccess');
    expect(of('approver')).toContain('states:SendTaskSuccess');
    expect(of('approver')).not.toContain('states:StartExecution');
    expect(of('approver')).not.toContain('dynamodb:PutItem');
  });
});

test('the primary region only observes', () => {
  const machines = assembly
    .resources(platform.primary, 'AWS::StepFunctions::StateMachine')
    .map(({ Properties }) => Properties.StateMachineName);
  expect(machines).toContain('acme-probe-replication');
  expect(machines.filter((name: string) => /failover|failback/.test(name))).toEqual([]);
});

describe('where the writer is', () => {
  const schedules = (stack: string) =>
    Object.fromEntries(
      assembly
        .resources(stack, 'AWS::Scheduler::Schedule')
        .map(({ Properties: { Name, State, Target } }) => [
          Name,
          { State, arn: flat(Target.Arn), ...JSON.parse(Target.Input) },
        ]),
    );

  test('backups and restore tests are scheduled in both regions, and ask for the writer first', () => {
    for (const stack of [here, there]) {
      const found = schedules(stack);
      for (const starts of ['backup-logical', 'restore-test']) {
        expect(found[`acme-orders-${starts}`]).toMatchObject({
          State: 'ENABLED',
          starts,
          input: { database: 'orders' },
        });
        expect(found[`acme-orders-${starts}`].arn).toMatch(/:stateMachine:acme-scheduled-run$/);
      }
    }
  });

  test('a region backs up the server that is there', () => {
    const secretOf = (stack: string) => {
      const parameter = assembly
        .resources(stack, 'AWS::SSM::Parameter')
        .find(({ Properties }) => Properties.Name === '/acme/databases/orders');
      return JSON.parse(flat(parameter.Properties.Value)).secret;
    };
    expect([secretOf(there), secretOf(here)]).toEqual(['orders/primary', 'orders/standby']);
  });

  test('alarms rest in the recovery region until the writer is there, and each of them is known to what arms them', () => {
    for (const [stack, watching] of [
      [there, true],
      [here, false],
    ] as const) {
      const parameter = assembly
        .resources(stack, 'AWS::SSM::Parameter')
        .find(({ Properties }) => Properties.Name === '/acme/databases/orders/protection');
      const { alarms, receiver } = parseProtectionSettings(JSON.parse(flat(parameter.Properties.Value)));
      const made = ['AWS::CloudWatch::Alarm', 'AWS::CloudWatch::CompositeAlarm']
        .flatMap((type) => assembly.resources(stack, type).map(({ Properties }) => Properties))
        .filter(({ AlarmName }) => !/-(secondary-is-writer|r[tp]o-regression|drill-failed)$/.test(AlarmName));
      expect(made.map(({ AlarmName }) => AlarmName).sort()).toEqual([...alarms].sort());
      expect(new Set(made.map(({ ActionsEnabled }) => ActionsEnabled))).toEqual(new Set([watching]));
      expect(receiver).toBeNull();
    }
  });
});
