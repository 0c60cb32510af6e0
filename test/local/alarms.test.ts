import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CloudWatchClient,
  DeleteAlarmsCommand,
  DescribeAlarmHistoryCommand,
  DescribeAlarmsCommand,
  DisableAlarmActionsCommand,
  EnableAlarmActionsCommand,
  PutCompositeAlarmCommand,
  PutMetricAlarmCommand,
  type PutMetricAlarmCommandInput,
  PutMetricDataCommand,
  SetAlarmStateCommand,
} from '@aws-sdk/client-cloudwatch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCloudWatch } from '../../local/facades/cloudwatch.ts';
import { createSns, type SnsFacade } from '../../local/facades/sns.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-north-1';
const topic = `arn:aws:sns:${region}:111122223333:pager`;
const MINUTE = 60_000;
const start = Date.parse('2026-03-01T10:00:00Z');
let root: string;
let host: Host;
let sns: SnsFacade;
let client: CloudWatchClient;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'alarms-test-'));
  host = await startHost({ directory: root, regions: [region], clock: { start } });
  host.add(createCloudWatch(host.world, { publishFromService: (...all) => sns.publishFromService(...all) }));
  sns = host.add(createSns(host.world, { invokeFromService: async () => {} }));
  sns.resources?.['AWS::SNS::Topic']?.(
    { TopicName: 'pager' },
    { region, stack: 'Stack', logicalId: 'Topic', generatedName: 'topic', assembly: root },
  );
  client = new CloudWatchClient({ ...host.client(region), maxAttempts: 1 });
});

afterEach(async () => {
  client.destroy();
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

const alarm = (name: string, rest: Partial<PutMetricAlarmCommandInput> = {}) =>
  client.send(
    new PutMetricAlarmCommand({
      AlarmName: name,
      AlarmDescription: 'Too slow',
      Namespace: 'Shop',
      MetricName: 'Latency',
      Dimensions: [{ Name: 'Page', Value: 'cart' }],
      Statistic: 'Maximum',
      Period: 60,
      EvaluationPeriods: 1,
      Threshold: 100,
      ComparisonOperator: 'GreaterThanThreshold',
      AlarmActions: [topic],
      OKActions: [topic],
      ...rest,
    }),
  );
const put = (Value: number) =>
  client.send(
    new PutMetricDataCommand({
      Namespace: 'Shop',
      MetricData: [{ MetricName: 'Latency', Dimensions: [{ Name: 'Page', Value: 'cart' }], Value }],
    }),
  );
const state = async (name: string) => {
  const { MetricAlarms, CompositeAlarms } = await client.send(
    new DescribeAlarmsCommand({ AlarmNames: [name], AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }),
  );
  return (MetricAlarms?.[0] ?? CompositeAlarms?.[0])?.StateValue;
};
const messages = () =>
  sns.messages(topic).map(({ subject, texts }) => ({ subject, ...JSON.parse(texts.default ?? '') }));

describe('a metric alarm', () => {
  it('goes into ALARM and back on the clock of the cloud, and tells its topic as CloudWatch does', async () => {
    await alarm('slow');
    expect(await state('slow')).toBe('INSUFFICIENT_DATA');
    await put(50);
    await host.world.clock.advance(MINUTE);
    expect(await state('slow')).toBe('OK');
    await put(250);
    await host.world.clock.advance(MINUTE);
    expect(await state('slow')).toBe('ALARM');
    await put(90);
    await host.world.clock.advance(MINUTE);
    expect(await state('slow')).toBe('OK');
    const [first, second, third, ...others] = messages();
    expect(others).toEqual([]);
    expect(first).toMatchObject({ OldStateValue: 'INSUFFICIENT_DATA', NewStateValue: 'OK' });
    expect(second).toMatchObject({
      subject: 'ALARM: "slow" in EU (Stockholm)',
      AlarmName: 'slow',
      AlarmDescription: 'Too slow',
      AWSAccountId: '111122223333',
      OldStateValue: 'OK',
      NewStateValue: 'ALARM',
      NewStateReason: expect.stringMatching(/^Threshold Crossed: 1 out of the last 1 datapoint \[250\.0 /),
      StateChangeTime: expect.stringMatching(/^2026-03-01T10:02:00\.\d{3}\+0000$/),
      Region: 'EU (Stockholm)',
      AlarmArn: `arn:aws:cloudwatch:${region}:111122223333:alarm:slow`,
      AlarmActions: [topic],
      OKActions: [topic],
      InsufficientDataActions: [],
      Trigger: {
        MetricName: 'Latency',
        Namespace: 'Shop',
        StatisticType: 'Statistic',
        Statistic: 'MAXIMUM',
        Unit: null,
        Dimensions: [{ value: 'cart', name: 'Page' }],
        Period: 60,
        EvaluationPeriods: 1,
        ComparisonOperator: 'GreaterThanThreshold',
        Threshold: 100,
        TreatMissingData: 'missing',
      },
    });
    expect(third).toMatchObject({ OldStateValue: 'ALARM', NewStateValue: 'OK' });
    const published = host.ledger.calls().filter(({ operation }) => operation === 'Publish');
    expect(published[0]).toMatchObject({
      resource: topic,
      principal: { service: 'cloudwatch.amazonaws.com' },
    });
  });

  it('waits for M of N', async () => {
    await alarm('flaky', { EvaluationPeriods: 3, DatapointsToAlarm: 2 });
    const seen: (string | undefined)[] = [];
    for (const value of [200, 50, 50, 200, 50, 200]) {
      await put(value);
      await host.world.clock.advance(MINUTE);
      seen.push(await state('flaky'));
    }
    expect(seen).toEqual(['INSUFFICIENT_DATA', 'OK', 'OK', 'OK', 'OK', 'ALARM']);
  });

  it('takes silence for danger where it was told to, once', async () => {
    await alarm('silent', { TreatMissingData: 'breaching' });
    await put(1);
    await host.world.clock.advance(MINUTE);
    expect(await state('silent')).toBe('OK');
    await host.world.clock.advance(30 * MINUTE);
    expect(await state('silent')).toBe('ALARM');
    expect(messages().map(({ NewStateValue }) => NewStateValue)).toEqual(['OK', 'ALARM']);
  });

  it('is evaluated every ten seconds where its period is shorter than a minute', async () => {
    await alarm('quick', { Period: 10 });
    await put(500);
    await host.world.clock.advance(20_000);
    expect(await state('quick')).toBe('ALARM');
  });

  it('keeps a history of states and actions', async () => {
    await alarm('slow');
    await put(500);
    await host.world.clock.advance(MINUTE);
    await expect
      .poll(async () => {
        const { AlarmHistoryItems } = await client.send(
          new DescribeAlarmHistoryCommand({ AlarmName: 'slow', ScanBy: 'TimestampAscending' }),
        );
        return AlarmHistoryItems?.map(({ HistorySummary }) => HistorySummary);
      })
      .toEqual([
        'Alarm "slow" created',
        'Alarm updated from INSUFFICIENT_DATA to ALARM',
        `Successfully executed action ${topic}`,
      ]);
    const updates = await client.send(
      new DescribeAlarmHistoryCommand({ AlarmName: 'slow', HistoryItemType: 'StateUpdate' }),
    );
    expect(updates.AlarmHistoryItems).toHaveLength(1);
    expect(JSON.parse(updates.AlarmHistoryItems?.[0]?.HistoryData ?? '').newState.stateValue).toBe('ALARM');
  });

  it('can be set by hand, which lasts until it is evaluated', async () => {
    await alarm('slow', { TreatMissingData: 'notBreaching' });
    await client.send(new SetAlarmStateCommand({ AlarmName: 'slow', StateValue: 'ALARM', StateReason: 'a test' }));
    expect(await state('slow')).toBe('ALARM');
    expect(messages().at(-1)).toMatchObject({ NewStateValue: 'ALARM', NewStateReason: 'a test' });
    await host.world.clock.advance(MINUTE);
    expect(await state('slow')).toBe('OK');
    await expect(
      client.send(new SetAlarmStateCommand({ AlarmName: 'none', StateValue: 'OK', StateReason: 'x' })),
    ).rejects.toMatchObject({ name: 'ResourceNotFound' });
  });

  it('tells nobody while its actions are off', async () => {
    await alarm('slow');
    await client.send(new DisableAlarmActionsCommand({ AlarmNames: ['slow'] }));
    await put(500);
    await host.world.clock.advance(MINUTE);
    expect([await state('slow'), messages()]).toEqual(['ALARM', []]);
    await client.send(new EnableAlarmActionsCommand({ AlarmNames: ['slow'] }));
    await put(5);
    await host.world.clock.advance(MINUTE);
    expect(messages()).toHaveLength(1);
  });

  it('is not evaluated while its region is down', async () => {
    await alarm('silent', { TreatMissingData: 'breaching' });
    host.world.outages.set(region, 'down');
    await host.world.clock.advance(10 * MINUTE);
    host.world.outages.set(region, 'up');
    expect(await state('silent')).toBe('INSUFFICIENT_DATA');
  });

  it('is refused with actions that cannot be taken', async () => {
    const ec2 = `arn:aws:automate:${region}:ec2:stop`;
    await expect(alarm('x', { AlarmActions: [ec2] })).rejects.toThrow(/SNS topics only/);
    const elsewhere = topic.replace(region, 'us-east-1');
    await expect(alarm('x', { AlarmActions: [elsewhere] })).rejects.toThrow(/Invalid region us-east-1/);
    await expect(alarm('x', { Metrics: [{ Id: 'a', Expression: '1' }], MetricName: undefined })).rejects.toThrow(
      /no expressions/,
    );
  });

  it('goes on where a topic is missing, and says so', async () => {
    await alarm('slow', { AlarmActions: [`${topic}-none`] });
    await put(500);
    await host.world.clock.advance(MINUTE);
    expect(await state('slow')).toBe('ALARM');
    await expect
      .poll(async () => {
        const { AlarmHistoryItems } = await client.send(
          new DescribeAlarmHistoryCommand({ AlarmName: 'slow', HistoryItemType: 'Action' }),
        );
        return AlarmHistoryItems?.[0]?.HistorySummary;
      })
      .toMatch(/Failed to execute action .*Topic does not exist/);
  });
});

describe('a composite alarm', () => {
  it('follows its rule at once, through other composites too', async () => {
    await alarm('a', { AlarmActions: [], OKActions: [] });
    await alarm('b', { AlarmActions: [], OKActions: [], Threshold: 1000 });
    const composite = (AlarmName: string, AlarmRule: string, AlarmActions: string[] = []) =>
      client.send(new PutCompositeAlarmCommand({ AlarmName, AlarmRule, AlarmActions }));
    await composite('any', 'ALARM(a) OR ALARM(b)');
    await composite('only-a', `ALARM(any) AND NOT ALARM("arn:aws:cloudwatch:${region}:111122223333:alarm:b")`, [topic]);
    expect([await state('any'), await state('only-a')]).toEqual(['OK', 'OK']);
    await put(500);
    await host.world.clock.advance(MINUTE);
    expect([await state('any'), await state('only-a')]).toEqual(['ALARM', 'ALARM']);
    expect(messages()).toMatchObject([
      { AlarmName: 'only-a', NewStateValue: 'ALARM', AlarmRule: expect.stringContaining('ALARM(any)') },
    ]);
    await put(5000);
    await host.world.clock.advance(MINUTE);
    expect([await state('any'), await state('only-a')]).toEqual(['ALARM', 'OK']);
    await expect(composite('c', 'ALARM(none)')).rejects.toThrow(/no alarm none/);
    await expect(client.send(new DeleteAlarmsCommand({ AlarmNames: ['any'] }))).rejects.toThrow(/only-a depends/);
    await client.send(new DeleteAlarmsCommand({ AlarmNames: ['only-a'] }));
    expect(await state('only-a')).toBeUndefined();
  });
});
