import { describe, expect, test } from 'vitest';
import { parseReceiverInput } from '../../lib/core/physical-settings.ts';
import { flat, type Loose, statements, synthesize } from './assembly.ts';

const assembly = synthesize({
  databases: [
    { name: 'orders', version: 17, primary: { secret: 'orders/primary' }, physical: { secret: 'orders/replication' } },
    { name: 'plain', version: 17, primary: { secret: 'plain/primary' } },
  ],
});
const service = (stack: string): Loose => assembly.resources(stack, 'AWS::ECS::Service')[0]?.Properties;
const container = (stack: string): Loose =>
  assembly.resources(stack, 'AWS::ECS::TaskDefinition')[0].Properties.ContainerDefinitions[0];

describe('the receiver of WAL', () => {
  test('is a service of one task where the writer is, and ready without one elsewhere', () => {
    expect(service('acme-orders-eu-north-1')).toMatchObject({
      ServiceName: 'acme-orders-wal-receiver',
      Cluster: 'acme-pgdr',
      DesiredCount: 1,
      DeploymentConfiguration: { MaximumPercent: 100, MinimumHealthyPercent: 0 },
    });
    expect(service('acme-orders-us-east-1').DesiredCount).toBe(0);
    expect(service('acme-plain-eu-north-1')).toBeUndefined();
  });

  test('runs in the subnets of its region’s platform, found by name', () => {
    const { Parameters } = assembly.template('acme-orders-eu-north-1');
    const paths = Object.values<Loose>(Parameters).map(({ Type, Default }) => `${Type} ${Default}`);
    expect(paths).toContain('AWS::SSM::Parameter::Value<List<String>> /acme/platform/subnets');
    expect(paths).toContain('AWS::SSM::Parameter::Value<String> /acme/platform/security-group');
    const names = assembly
      .resources('acme-platform-eu-north-1', 'AWS::SSM::Parameter')
      .map(({ Properties }: Loose) => Properties.Name);
    expect(names).toEqual(expect.arrayContaining(['/acme/platform/subnets', '/acme/platform/security-group']));
  });

  test('is told what it accepts, and no secret', () => {
    const { Environment, ReadonlyRootFilesystem, MountPoints } = container('acme-orders-eu-north-1');
    const [{ Name, Value }] = Environment;
    expect(Name).toBe('PGDR_RECEIVER');
    expect(parseReceiverInput(JSON.parse(flat(Value)))).toMatchObject({
      database: 'orders',
      bucket: 'acme-pgdr-backups-<AWS::AccountId>-eu-north-1',
      physical: { secret: 'orders/replication', slot: 'pgdr_orders' },
    });
    expect(ReadonlyRootFilesystem).toBe(true);
    expect(MountPoints ?? []).toEqual([]);
  });

  test('may write WAL of its database and nothing else, and hold its own lease alone', () => {
    const own = statements(assembly.template('acme-orders-eu-north-1')).filter(({ policy }) =>
      policy.startsWith('WalReceiver'),
    );
    const of = (action: string) => own.filter(({ actions }) => actions.includes(action));
    expect(of('s3:PutObject').flatMap(({ resources }) => resources)).toEqual([
      'arn:aws:s3:::acme-pgdr-backups-<AWS::AccountId>-eu-north-1/acme/orders/main/wal/*',
    ]);
    expect(of('dynamodb:UpdateItem').map(({ condition }) => condition)).toEqual([
      { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['orders/wal-receiver'] } },
    ]);
    const actions = own.flatMap((statement) => statement.actions);
    expect(actions.filter((action) => /Delete|Bypass|PassRole/.test(action))).toEqual([]);
  });
});
