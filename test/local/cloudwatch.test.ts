import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CloudWatchClient,
  DescribeAlarmsCommand,
  GetMetricDataCommand,
  GetMetricStatisticsCommand,
  ListMetricsCommand,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ResourceContext } from '../../local/facade.ts';
import { type CloudWatchFacade, createCloudWatch } from '../../local/facades/cloudwatch.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-central-1';
const root = mkdtempSync(join(tmpdir(), 'cloudwatch-test-'));
const about: ResourceContext = { region, stack: 'Stack', logicalId: 'Alarm', generatedName: 'made-up', assembly: root };
const minute = new Date('2026-03-01T10:00:00Z');
const range = { StartTime: minute, EndTime: new Date(minute.getTime() + 3_600_000) };
const Dimensions = [{ Name: 'Database', Value: 'orders' }];
let host: Host;
let cloudwatch: CloudWatchFacade;
let client: CloudWatchClient;

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region] });
  cloudwatch = host.add(createCloudWatch(host.world));
  client = new CloudWatchClient({ ...host.client(region), maxAttempts: 1 });
});

afterAll(async () => {
  client.destroy();
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

it('gives back the statistics of what was put', async () => {
  const at = (seconds: number) => new Date(minute.getTime() + seconds * 1000);
  await client.send(
    new PutMetricDataCommand({
      Namespace: 'Shop',
      MetricData: [
        { MetricName: 'Latency', Dimensions, Timestamp: at(1), Value: 10, Unit: 'Milliseconds' },
        { MetricName: 'Latency', Dimensions, Timestamp: at(2), Values: [20, 90], Counts: [8, 1], Unit: 'Milliseconds' },
        {
          MetricName: 'Latency',
          Dimensions,
          Timestamp: at(61),
          StatisticValues: { SampleCount: 4, Sum: 40, Minimum: 5, Maximum: 15 },
        },
        { MetricName: 'Latency', Timestamp: at(1), Value: 1 },
      ],
    }),
  );
  const metric = { Namespace: 'Shop', MetricName: 'Latency', Dimensions };
  const { Datapoints } = await client.send(
    new GetMetricStatisticsCommand({
      ...metric,
      ...range,
      Period: 60,
      Statistics: ['Sum', 'Average', 'Maximum', 'SampleCount'],
    }),
  );
  expect(Datapoints).toEqual([
    { Timestamp: minute, Unit: 'Milliseconds', Sum: 260, Average: 26, Maximum: 90, SampleCount: 10 },
    { Timestamp: at(60), Unit: 'None', Sum: 40, Average: 10, Maximum: 15, SampleCount: 4 },
  ]);
  const percentiles = await client.send(
    new GetMetricStatisticsCommand({ ...metric, ...range, Period: 60, ExtendedStatistics: ['p50', 'p99'] }),
  );
  expect(percentiles.Datapoints?.[0]?.ExtendedStatistics).toEqual({ p50: 20, p99: 90 });
  const data = await client.send(
    new GetMetricDataCommand({
      ...range,
      MetricDataQueries: [{ Id: 'a', MetricStat: { Metric: metric, Period: 60, Stat: 'Minimum' } }],
    }),
  );
  expect(data.MetricDataResults?.[0]).toMatchObject({ Id: 'a', Timestamps: [at(60), minute], Values: [5, 10] });
  const listed = await client.send(new ListMetricsCommand({ Namespace: 'Shop', Dimensions: [{ Name: 'Database' }] }));
  expect(listed.Metrics).toEqual([metric]);
  expect(cloudwatch.samples('Shop', 'Latency')).toHaveLength(4);
  const authorised = host.ledger.calls().find(({ operation }) => operation === 'PutMetricData');
  expect(authorised).toMatchObject({ action: 'cloudwatch:PutMetricData', resource: '*' });
});

it('takes a request that the SDK compressed', async () => {
  const MetricData = Array.from({ length: 300 }, (_, i) => ({
    MetricName: 'Many',
    Dimensions: [{ Name: 'Index', Value: `value-${i}` }],
    Value: i,
  }));
  await client.send(new PutMetricDataCommand({ Namespace: 'Large', MetricData }));
  expect(cloudwatch.samples('Large')).toHaveLength(300);
});

it('refuses what CloudWatch refuses, and expressions', async () => {
  const datum = { MetricName: 'X', Value: 1 };
  await expect(client.send(new PutMetricDataCommand({ Namespace: 'AWS/EC2', MetricData: [datum] }))).rejects.toThrow(
    /Namespace/,
  );
  await expect(
    client.send(
      new PutMetricDataCommand({ Namespace: 'Shop', MetricData: [{ MetricName: 'X', Values: [1], Counts: [1, 2] }] }),
    ),
  ).rejects.toThrow(/same length/);
  await expect(
    client.send(new GetMetricDataCommand({ ...range, MetricDataQueries: [{ Id: 'a', Expression: 'b+1' }] })),
  ).rejects.toThrow(/MetricStat only/);
});

it('keeps alarms and dashboards', async () => {
  const alarm = {
    AlarmName: 'stale',
    ComparisonOperator: 'LessThanThreshold',
    EvaluationPeriods: '2',
    MetricName: 'Succeeded',
    Namespace: 'Shop',
    Period: 60,
    Statistic: 'Sum',
    Threshold: 1,
    TreatMissingData: 'breaching',
  };
  const make = (type: string, properties: object) => cloudwatch.resources?.[type]?.(properties, about);
  expect(make('AWS::CloudWatch::Alarm', alarm)).toMatchObject({
    ref: 'stale',
    attributes: { Arn: `arn:aws:cloudwatch:${region}:111122223333:alarm:stale` },
  });
  make('AWS::CloudWatch::CompositeAlarm', { AlarmName: 'any', AlarmRule: 'ALARM(stale)' });
  expect(make('AWS::CloudWatch::Dashboard', { DashboardBody: '{"widgets":[]}' })).toEqual({ ref: 'made-up' });
  expect(() => make('AWS::CloudWatch::Alarm', { ...alarm, EvaluationInterval: 10 })).toThrow(
    /property EvaluationInterval/,
  );
  expect(() => make('AWS::CloudWatch::Alarm', { ...alarm, AlarmName: 'b', Period: undefined })).toThrow(
    /Period is required/,
  );
  const described = await client.send(new DescribeAlarmsCommand({ AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }));
  expect(described.MetricAlarms?.[0]).toMatchObject({
    AlarmName: 'stale',
    EvaluationPeriods: 2,
    StateValue: 'INSUFFICIENT_DATA',
  });
  expect(described.CompositeAlarms?.[0]).toMatchObject({ AlarmName: 'any', AlarmRule: 'ALARM(stale)' });
});
