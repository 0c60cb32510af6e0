import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CloudWatchClient,
  DescribeAlarmsCommand,
  GetDashboardCommand,
  GetMetricDataCommand,
  GetMetricStatisticsCommand,
  ListDashboardsCommand,
  ListMetricsCommand,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

it('refuses what CloudWatch refuses', async () => {
  const datum = { MetricName: 'X', Value: 1 };
  await expect(client.send(new PutMetricDataCommand({ Namespace: 'AWS/EC2', MetricData: [datum] }))).rejects.toThrow(
    /Namespace/,
  );
  await expect(
    client.send(
      new PutMetricDataCommand({ Namespace: 'Shop', MetricData: [{ MetricName: 'X', Values: [1], Counts: [1, 2] }] }),
    ),
  ).rejects.toThrow(/same length/);
});

it('keeps alarms', async () => {
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

describe('metric math', () => {
  const at = (minutes: number) => new Date(minute.getTime() + minutes * 60_000);
  const query = (Id: string, MetricName: string, ReturnData = false) => ({
    Id,
    ReturnData,
    MetricStat: { Metric: { Namespace: 'Math', MetricName }, Period: 60, Stat: 'Sum' },
  });
  const compute = async (Expression: string) => {
    const { MetricDataResults } = await client.send(
      new GetMetricDataCommand({
        StartTime: minute,
        EndTime: at(4),
        ScanBy: 'TimestampAscending',
        MetricDataQueries: [query('good', 'Good'), query('bad', 'Bad'), query('none', 'None'), { Id: 'e', Expression }],
      }),
    );
    return MetricDataResults?.map(({ Timestamps, Values }) =>
      Object.fromEntries(
        Timestamps?.map((time, index) => [(Number(time) - Number(minute)) / 60_000, Values?.[index]]) ?? [],
      ),
    );
  };

  beforeAll(async () => {
    const datum = (MetricName: string, minutes: number, Value: number) => ({
      MetricName,
      Timestamp: at(minutes),
      Value,
    });
    await client.send(
      new PutMetricDataCommand({
        Namespace: 'Math',
        MetricData: [
          ...[8, 9, 10].map((value, index) => datum('Good', index, value)),
          datum('Bad', 0, 2),
          datum('Bad', 2, 0),
          datum('Bad', 3, 5),
        ],
      }),
    );
  });

  it.each([
    ['good + bad * 2 ^ 2 - 1', { 0: 15, 2: 9 }],
    ['100 * good / (good + FILL(bad, 0))', { 0: 80, 1: 100, 2: 100 }],
    ['good / bad', { 0: 4 }],
    ['-(good) / PERIOD(good) * 60', { 0: -8, 1: -9, 2: -10 }],
    ['good > 8 AND FILL(bad, 0) == 0', { 0: 0, 1: 1, 2: 1 }],
    ['IF(good >= 9, good)', { 1: 9, 2: 10 }],
    ['IF(bad > 0, bad, 7)', { 0: 2, 2: 7, 3: 5 }],
    ['FILL(bad, REPEAT)', { 0: 2, 1: 2, 2: 0, 3: 5 }],
    ['FILL(none, 0)', { 0: 0, 1: 0, 2: 0, 3: 0 }],
    ['SUM([good, bad])', { 0: 10, 1: 9, 2: 10, 3: 5 }],
    ['MAX(METRICS("oo"))', { 0: 8, 1: 9, 2: 10 }],
    ['good - AVG(good)', { 0: -1, 1: 0, 2: 1 }],
    ['DIFF(good)', { 1: 1, 2: 1 }],
    ['RATE(good) * 60', { 1: 1, 2: 1 }],
    ['CEIL(ABS(0.1 - good))', { 0: 8, 1: 9, 2: 10 }],
  ])('%s', async (expression, values) => {
    expect(await compute(expression)).toEqual([values]);
  });

  it('gives a result for each member of a list, and of an expression to the next', async () => {
    expect(await compute('METRICS() * 2')).toEqual([{ 0: 16, 1: 18, 2: 20 }, { 0: 4, 2: 0, 3: 10 }, {}]);
    const { MetricDataResults } = await client.send(
      new GetMetricDataCommand({
        StartTime: minute,
        EndTime: at(4),
        MetricDataQueries: [
          query('good', 'Good', true),
          { Id: 'twice', Expression: 'good * 2', ReturnData: false },
          { Id: 'more', Expression: 'twice + 1', Label: 'More' },
        ],
      }),
    );
    expect(MetricDataResults?.map(({ Id, Label, Values }) => [Id, Label, Values])).toEqual([
      ['good', 'Good', [10, 9, 8]],
      ['more', 'More', [21, 19, 17]],
    ]);
  });

  it.each([
    ['good +', /ends too early/],
    ['good bad', /bad is not expected/],
    ['other', /there is no other/],
    ['SEARCH(good)', /does not know the function SEARCH/],
    ['constructor(good)', /does not know/],
    ['good & bad', /not understood/],
    ['SUM(good)', /single number/],
  ])('refuses %s', async (expression, message) => {
    await expect(compute(expression)).rejects.toThrow(message);
  });
});

it('keeps dashboards, which belong to the account', async () => {
  const make = (properties: object) => cloudwatch.resources?.['AWS::CloudWatch::Dashboard']?.(properties, about);
  const body = JSON.stringify({ widgets: [{ type: 'text', properties: { markdown: 'Orders' } }] });
  expect(make({ DashboardBody: body, DashboardName: 'orders' })).toEqual({ ref: 'orders' });
  const shown = await client.send(new GetDashboardCommand({ DashboardName: 'orders' }));
  expect(shown).toMatchObject({
    DashboardArn: 'arn:aws:cloudwatch::111122223333:dashboard/orders',
    DashboardBody: body,
  });
  const { DashboardEntries } = await client.send(new ListDashboardsCommand({ DashboardNamePrefix: 'ord' }));
  expect(DashboardEntries).toMatchObject([{ DashboardName: 'orders', Size: body.length }]);
  await expect(client.send(new GetDashboardCommand({ DashboardName: 'none' }))).rejects.toThrow(/does not exist/);
  expect(() => make({ DashboardBody: body, DashboardName: 'orders' })).toThrow(/regions share them/);
  expect(() => make({ DashboardBody: '{}' })).toThrow(/no widgets/);
  expect(() => make({ DashboardBody: '{"widgets":[{"type":"graph","properties":{}}]}' })).toThrow(/not a widget/);
});
