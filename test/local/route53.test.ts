import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudWatchClient, PutMetricAlarmCommand, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import {
  type Change,
  ChangeResourceRecordSetsCommand,
  CreateHealthCheckCommand,
  CreateHostedZoneCommand,
  DeleteHealthCheckCommand,
  DeleteHostedZoneCommand,
  GetChangeCommand,
  GetHealthCheckCommand,
  GetHealthCheckStatusCommand,
  GetHostedZoneCommand,
  type HealthCheckConfig,
  ListHealthChecksCommand,
  ListHostedZonesByNameCommand,
  ListHostedZonesCommand,
  ListResourceRecordSetsCommand,
  type ResourceRecordSet,
  Route53Client,
  UpdateHealthCheckCommand,
} from '@aws-sdk/client-route-53';
import { UDPClient } from 'dns2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CloudWatchFacade, createCloudWatch } from '../../local/facades/cloudwatch.ts';
import { createRoute53, type Route53Facade } from '../../local/facades/route53.ts';
import { type Host, startHost } from '../../local/host.ts';
import { ROUTE53_CONTROL_PLANE } from '../../local/outages.ts';

const region = 'eu-north-1';
const start = Date.parse('2026-03-01T10:00:00Z');
let root: string;
let host: Host;
let cloudwatch: CloudWatchFacade;
let route53: Route53Facade;
let client: Route53Client;
let metrics: CloudWatchClient;
let zoneId: string;
let count = 0;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'route53-test-'));
  host = await startHost({ directory: root, regions: [region], clock: { start } });
  cloudwatch = host.add(createCloudWatch(host.world));
  route53 = host.add(createRoute53(host.world, { cloudwatch }));
  client = new Route53Client({ ...host.client('us-east-1'), maxAttempts: 1 });
  metrics = new CloudWatchClient({ ...host.client(region), maxAttempts: 1 });
  zoneId = await createZone('db.internal');
});

afterEach(async () => {
  client.destroy();
  metrics.destroy();
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

async function createZone(Name: string): Promise<string> {
  const { HostedZone, ChangeInfo, VPC, Location } = await client.send(
    new CreateHostedZoneCommand({
      Name,
      CallerReference: `reference ${count++}`,
      HostedZoneConfig: { PrivateZone: true, Comment: 'of a test' },
      VPC: { VPCId: 'vpc-1', VPCRegion: region },
    }),
  );
  expect([VPC?.VPCId, ChangeInfo?.Status, Location]).toEqual(['vpc-1', 'PENDING', expect.stringContaining('/Z')]);
  return String(HostedZone?.Id);
}

const simple = (Name: string, Type: string, value: string, TTL = 60): ResourceRecordSet => ({
  Name,
  Type: Type as ResourceRecordSet['Type'],
  TTL,
  ResourceRecords: [{ Value: value }],
});
const failover = (Failover: 'PRIMARY' | 'SECONDARY', value: string, HealthCheckId?: string): ResourceRecordSet => ({
  ...simple('orders.db.internal', 'CNAME', value, 5),
  SetIdentifier: Failover.toLowerCase(),
  Failover,
  HealthCheckId,
});
const change = (...Changes: [Change['Action'], ResourceRecordSet][]) =>
  client.send(
    new ChangeResourceRecordSetsCommand({
      HostedZoneId: zoneId,
      ChangeBatch: { Changes: Changes.map(([Action, ResourceRecordSet]) => ({ Action, ResourceRecordSet })) },
    }),
  );
const records = async () => {
  const { ResourceRecordSets } = await client.send(new ListResourceRecordSetsCommand({ HostedZoneId: zoneId }));
  return ResourceRecordSets ?? [];
};
const ask = async (name: string, type = 'A') => {
  const { address, port } = await route53.nameServer();
  const { answers } = await UDPClient({ dns: address, port })(name, type);
  return answers.map(({ address: found, domain }) => found ?? domain);
};
const propagated = () => host.world.clock.advance(1000);
const createCheck = async (config: HealthCheckConfig) => {
  const { HealthCheck } = await client.send(
    new CreateHealthCheckCommand({ CallerReference: `reference ${count++}`, HealthCheckConfig: config }),
  );
  return String(HealthCheck?.Id);
};
const alarm = (AlarmName: string, rest: object = {}) =>
  metrics.send(
    new PutMetricAlarmCommand({
      AlarmName,
      Namespace: 'Shop',
      MetricName: 'SecondaryIsWriter',
      Statistic: 'Maximum',
      Period: 60,
      EvaluationPeriods: 1,
      Threshold: 1,
      ComparisonOperator: 'GreaterThanOrEqualToThreshold',
      ...rest,
    }),
  );
const put = (Value: number) =>
  metrics.send(
    new PutMetricDataCommand({ Namespace: 'Shop', MetricData: [{ MetricName: 'SecondaryIsWriter', Value }] }),
  );
const onAlarm = (name: string, rest: object = {}): HealthCheckConfig => ({
  Type: 'CLOUDWATCH_METRIC',
  AlarmIdentifier: { Region: region, Name: name },
  InsufficientDataHealthStatus: 'LastKnownStatus',
  ...rest,
});

describe('a zone', () => {
  it('has records that are changed as a whole, listed in order and answered once they are in sync', async () => {
    const { ChangeInfo } = await change(
      ['CREATE', simple('b.db.internal', 'A', '10.0.0.2')],
      ['CREATE', simple('a.db.internal', 'A', '10.0.0.1')],
      ['UPSERT', simple('*.db.internal.', 'TXT', '"any"')],
    );
    const status = async () =>
      (await client.send(new GetChangeCommand({ Id: String(ChangeInfo?.Id) }))).ChangeInfo?.Status;
    expect([ChangeInfo?.Status, await status(), await ask('a.db.internal')]).toEqual(['PENDING', 'PENDING', []]);
    await propagated();
    expect([await status(), await ask('a.db.internal')]).toEqual(['INSYNC', ['10.0.0.1']]);
    expect((await records()).map(({ Name, Type }) => `${Name} ${Type}`)).toEqual([
      'db.internal. NS',
      'db.internal. SOA',
      '\\052.db.internal. TXT',
      'a.db.internal. A',
      'b.db.internal. A',
    ]);
    const page = await client.send(
      new ListResourceRecordSetsCommand({ HostedZoneId: zoneId, StartRecordName: 'a.db.internal', MaxItems: 1 }),
    );
    expect(page).toMatchObject({
      ResourceRecordSets: [{ Name: 'a.db.internal.', TTL: 60, ResourceRecords: [{ Value: '10.0.0.1' }] }],
      IsTruncated: true,
      NextRecordName: 'b.db.internal.',
    });
    await change(
      ['UPSERT', simple('a.db.internal', 'A', '10.0.0.9')],
      ['DELETE', simple('b.db.internal', 'A', '10.0.0.2')],
    );
    await propagated();
    expect([await ask('a.db.internal'), await ask('b.db.internal')]).toEqual([['10.0.0.9'], []]);
  });

  it('is listed, described, and deleted when it is empty', async () => {
    await createZone('a.example');
    const { HostedZones } = await client.send(new ListHostedZonesCommand({}));
    expect(HostedZones?.map(({ Name }) => Name)).toEqual(['db.internal.', 'a.example.']);
    const byName = await client.send(new ListHostedZonesByNameCommand({ DNSName: 'db.internal', MaxItems: 1 }));
    expect(byName.HostedZones?.[0]).toMatchObject({ Id: zoneId, ResourceRecordSetCount: 2 });
    const { HostedZone, VPCs } = await client.send(new GetHostedZoneCommand({ Id: zoneId }));
    expect(HostedZone?.Config).toEqual({ Comment: 'of a test', PrivateZone: true });
    expect(VPCs).toEqual([{ VPCId: 'vpc-1', VPCRegion: region }]);
    await change(['CREATE', simple('a.db.internal', 'A', '10.0.0.1')]);
    await expect(client.send(new DeleteHostedZoneCommand({ Id: zoneId }))).rejects.toMatchObject({
      name: 'HostedZoneNotEmpty',
    });
    await change(['DELETE', simple('a.db.internal', 'A', '10.0.0.1')]);
    await client.send(new DeleteHostedZoneCommand({ Id: zoneId }));
    await expect(client.send(new GetHostedZoneCommand({ Id: zoneId }))).rejects.toMatchObject({
      name: 'NoSuchHostedZone',
    });
    await expect(createZone('a.example')).rejects.toMatchObject({ name: 'ConflictingDomainExists' });
  });

  it('authorises calls on its own ARN', async () => {
    await records();
    expect(host.ledger.calls().at(-1)).toMatchObject({
      action: 'route53:ListResourceRecordSets',
      resource: `arn:aws:route53:::${zoneId.slice(1)}`,
    });
  });
});

describe('a change batch', () => {
  const cname = simple('x.db.internal', 'CNAME', 'a.db.internal');

  beforeEach(async () => {
    await change(['CREATE', simple('a.db.internal', 'A', '10.0.0.1')], ['CREATE', cname]);
  });

  const check = async () => {
    await alarm('flag');
    return createCheck(onAlarm('flag'));
  };

  it.each<
    [string, () => Promise<[Change['Action'], ResourceRecordSet][]> | [Change['Action'], ResourceRecordSet][], RegExp]
  >([
    ['makes what is there', () => [['CREATE', simple('a.db.internal', 'A', '10.0.0.7')]], /but it already exists/],
    ['deletes what is not there', () => [['DELETE', simple('n.db.internal', 'A', '10.0.0.7')]], /but it was not found/],
    [
      'deletes what is otherwise',
      () => [['DELETE', simple('a.db.internal', 'A', '10.0.0.7')]],
      /values provided do not match the current values/,
    ],
    [
      'is outside the zone',
      () => [['CREATE', simple('a.other', 'A', '10.0.0.7')]],
      /not permitted in zone db.internal\./,
    ],
    ['has a CNAME at the apex', () => [['CREATE', simple('db.internal', 'CNAME', 'x.y')]], /not permitted at apex/],
    [
      'has a CNAME beside another record',
      () => [['CREATE', simple('a.db.internal', 'CNAME', 'x.y')]],
      /conflicting RRSet of type CNAME/,
    ],
    ['has no TTL', () => [['CREATE', { ...cname, Name: 'y.db.internal', TTL: undefined }]], /TTL/],
    [
      'has a value of another type',
      () => [['CREATE', simple('y.db.internal', 'A', 'a.b')]],
      /not valid for the type A/,
    ],
    ['weighs', () => [['CREATE', { ...cname, SetIdentifier: 'x', Weight: 1 }]], /simple and failover records only/],
    [
      'has two primaries',
      async () => {
        const id = await check();
        return [
          ['CREATE', failover('PRIMARY', 'one.', id)],
          ['CREATE', { ...failover('PRIMARY', 'two.', id), SetIdentifier: 'other' }],
        ];
      },
      /one PRIMARY and one SECONDARY/,
    ],
    [
      'has two secondaries',
      () => [
        ['CREATE', failover('SECONDARY', 'one.')],
        ['CREATE', { ...failover('SECONDARY', 'two.'), SetIdentifier: 'other' }],
      ],
      /one PRIMARY and one SECONDARY/,
    ],
    [
      'mixes routing policies',
      () => [
        ['CREATE', failover('SECONDARY', 'one.')],
        ['CREATE', simple('orders.db.internal', 'CNAME', 'two.')],
      ],
      /another routing policy/,
    ],
    [
      'has a primary without health check',
      () => [['CREATE', failover('PRIMARY', 'one.')]],
      /must have a HealthCheckId/,
    ],
    [
      'has failover without identifier',
      () => [['CREATE', { ...failover('SECONDARY', 'one.'), SetIdentifier: undefined }]],
      /belong together/,
    ],
    [
      'names a health check that is not there',
      () => [['CREATE', failover('PRIMARY', 'one.', 'none')]],
      /health check with id none does not exist/,
    ],
    ['removes the SOA', async () => [['DELETE', (await records()).find(({ Type }) => Type === 'SOA') ?? cname]], /SOA/],
  ])('is refused as a whole when it %s', async (_, changes, message) => {
    const before = await records();
    const bad = await changes();
    await expect(change(['CREATE', simple('good.db.internal', 'A', '10.0.0.8')], ...bad)).rejects.toThrow(message);
    expect(await records()).toEqual(before);
  });
});

describe('a health check on an alarm', () => {
  it('follows the data of the alarm, and failover records follow it', async () => {
    await alarm('secondary-is-writer');
    const id = await createCheck(onAlarm('secondary-is-writer'));
    await change(
      ['CREATE', simple('one.db.internal', 'A', '10.0.0.1')],
      ['CREATE', simple('two.db.internal', 'A', '10.0.0.2')],
      ['CREATE', failover('PRIMARY', 'one.db.internal', id)],
      ['CREATE', failover('SECONDARY', 'two.db.internal')],
    );
    await propagated();
    const answer = async () => (await ask('orders.db.internal')).at(-1);
    expect(await answer()).toBe('10.0.0.1');
    await put(1);
    expect(await answer()).toBe('10.0.0.2');
    // Without data the last known status stays, however long.
    await host.world.clock.advance(3_600_000);
    expect(await answer()).toBe('10.0.0.2');
    await put(0);
    expect(await answer()).toBe('10.0.0.1');
    const { HealthCheckObservations } = await client.send(new GetHealthCheckStatusCommand({ HealthCheckId: id }));
    expect(HealthCheckObservations?.[0]?.StatusReport?.Status).toMatch(/^Success/);
    const published = cloudwatch.samples('AWS/Route53', 'HealthCheckStatus');
    expect(published.at(-1)).toMatchObject({ region: 'us-east-1', dimensions: { HealthCheckId: id }, values: [0] });
  });

  it('is not moved by a hand on the alarm, nor by its later changes', async () => {
    await alarm('flag');
    const id = await createCheck(onAlarm('flag'));
    await put(0);
    await alarm('flag', { Threshold: -1 });
    await host.world.clock.advance(60_000);
    const { StatusReport } =
      (await client.send(new GetHealthCheckStatusCommand({ HealthCheckId: id }))).HealthCheckObservations?.[0] ?? {};
    expect(StatusReport?.Status).toMatch(/^Success/);
    const { HealthCheck } = await client.send(new GetHealthCheckCommand({ HealthCheckId: id }));
    expect(HealthCheck?.CloudWatchAlarmConfiguration).toMatchObject({ Threshold: 1, MetricName: 'SecondaryIsWriter' });
  });

  it.each([
    ['Healthy', 'Success'],
    ['Unhealthy', 'Failure'],
    ['LastKnownStatus', 'Success'],
  ])('is, with no data at all and %s: %s', async (InsufficientDataHealthStatus, expected) => {
    await alarm('flag');
    const id = await createCheck(onAlarm('flag', { InsufficientDataHealthStatus }));
    const { HealthCheckObservations } = await client.send(new GetHealthCheckStatusCommand({ HealthCheckId: id }));
    expect(HealthCheckObservations?.[0]?.StatusReport?.Status).toContain(expected);
  });

  it('does not see data of a region that is down', async () => {
    await alarm('flag');
    const id = await createCheck(onAlarm('flag', { InsufficientDataHealthStatus: 'Unhealthy' }));
    await put(0);
    expect(route53.resolve('none.db.internal', 'A').code).toBe('NXDOMAIN');
    const status = async () =>
      (await client.send(new GetHealthCheckStatusCommand({ HealthCheckId: id }))).HealthCheckObservations?.[0]
        ?.StatusReport?.Status;
    expect(await status()).toMatch(/^Success/);
    host.world.outages.set(region, 'down');
    expect(await status()).toMatch(/^Failure/);
  });

  it.each([
    [{ Period: 10 }, /High-resolution/],
    [{ Statistic: undefined, ExtendedStatistic: 'p99' }, /Extended statistics/],
    [{ EvaluationPeriods: 3, DatapointsToAlarm: 2 }, /M out of N/],
  ])('is refused for an alarm with %j', async (rest, message) => {
    await alarm('flag', rest);
    await expect(createCheck(onAlarm('flag'))).rejects.toThrow(message);
    await expect(createCheck(onAlarm('none'))).rejects.toThrow(/no alarm none/);
    await expect(createCheck({ Type: 'TCP', Port: 5432 })).rejects.toMatchObject({ name: 'InvalidInput' });
  });
});

describe('a calculated health check', () => {
  it('counts its children, and may be turned over or off', async () => {
    await alarm('flag');
    const child = await createCheck(onAlarm('flag'));
    const other = await createCheck(onAlarm('flag', { Inverted: true }));
    const calculated = await createCheck({
      Type: 'CALCULATED',
      ChildHealthChecks: [child, other],
      HealthThreshold: 2,
    });
    await change(['CREATE', failover('PRIMARY', 'one.', calculated)], ['CREATE', failover('SECONDARY', 'two.')]);
    await propagated();
    const answer = async () => (await ask('orders.db.internal', 'CNAME'))[0];
    const update = (rest: object) => client.send(new UpdateHealthCheckCommand({ HealthCheckId: calculated, ...rest }));
    await put(0);
    expect(await answer()).toBe('two');
    await update({ HealthThreshold: 1 });
    expect(await answer()).toBe('one');
    await update({ Inverted: true });
    expect(await answer()).toBe('two');
    const { HealthCheck } = await update({ Inverted: false, HealthThreshold: 2, Disabled: true });
    expect([await answer(), HealthCheck?.HealthCheckVersion]).toEqual(['one', 4]);
    expect(HealthCheck?.HealthCheckConfig?.ChildHealthChecks).toEqual([child, other]);
    await expect(update({ HealthCheckVersion: 1 })).rejects.toMatchObject({ name: 'HealthCheckVersionMismatch' });
    await expect(client.send(new GetHealthCheckStatusCommand({ HealthCheckId: calculated }))).rejects.toMatchObject({
      name: 'InvalidInput',
    });
    await client.send(new DeleteHealthCheckCommand({ HealthCheckId: other }));
    const { HealthChecks } = await client.send(new ListHealthChecksCommand({}));
    expect(HealthChecks?.map(({ Id }) => Id)).toEqual([child, calculated]);
  });
});

describe('an outage of the control plane', () => {
  it('stops changes and leaves answers, which go on following health checks', async () => {
    await alarm('flag');
    const id = await createCheck(onAlarm('flag'));
    await change(['CREATE', failover('PRIMARY', 'one.', id)], ['CREATE', failover('SECONDARY', 'two.')]);
    await propagated();
    for (const place of [ROUTE53_CONTROL_PLANE, 'us-east-1']) {
      host.world.outages.set(place, 'down');
      await expect(change(['UPSERT', simple('a.db.internal', 'A', '10.0.0.1')])).rejects.toThrow(
        /socket hang up|ECONN/,
      );
      await put(1);
      expect(await ask('orders.db.internal', 'CNAME')).toEqual(['two']);
      await put(0);
      await host.world.clock.advance(300_000);
      await put(0);
      expect(await ask('orders.db.internal', 'CNAME')).toEqual(['one']);
      host.world.outages.set(place, 'up');
    }
    await change(['UPSERT', simple('a.db.internal', 'A', '10.0.0.1')]);
  });
});

describe('a template', () => {
  const make = (type: string, properties: object, logicalId = 'Made') =>
    route53.resources?.[`AWS::Route53::${type}`]?.(properties, {
      region,
      stack: 'Stack',
      logicalId,
      generatedName: `Stack-${logicalId}`,
      assembly: root,
    });

  it('makes zones, health checks and failover records', async () => {
    const zone = await make('HostedZone', { Name: 'made.internal', VPCs: [{ VPCId: 'vpc-1', VPCRegion: region }] });
    await alarm('flag');
    const check = await make('HealthCheck', { HealthCheckConfig: onAlarm('flag') });
    const record = { HostedZoneId: zone?.ref, Name: 'db.made.internal', Type: 'CNAME', TTL: '5' };
    await make('RecordSet', {
      ...record,
      ResourceRecords: ['one.example'],
      Failover: 'PRIMARY',
      SetIdentifier: 'p',
      HealthCheckId: check?.ref,
    });
    const second = { ...record, ResourceRecords: ['two.example'], Failover: 'SECONDARY', SetIdentifier: 's' };
    await make('RecordSet', second);
    expect(await ask('db.made.internal', 'CNAME')).toEqual(['one.example']);
    expect(zone?.attributes?.NameServers).toHaveLength(4);
    expect(() => make('RecordSet', { ...second, SetIdentifier: 't' })).toThrow(/one PRIMARY and one SECONDARY/);
    expect(() => make('RecordSet', { ...second, Weight: 1 })).toThrow(/simple or failover records/);
    await expect(make('HostedZone', { Name: 'x.internal', QueryLoggingConfig: {} })).rejects.toThrow(/not logged/);
  });
});
