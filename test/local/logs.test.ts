import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCloudWatch } from '../../local/facades/cloudwatch.ts';
import { createLogs, type LogsFacade } from '../../local/facades/logs.ts';
import { type Host, startHost } from '../../local/host.ts';
import { callJson } from '../../local/runtime/signed-request.ts';

const region = 'eu-central-1';
const root = mkdtempSync(join(tmpdir(), 'logs-test-'));
let host: Host;
let logs: LogsFacade;
const cloudwatch = () =>
  host.facades.find(({ service }) => service === 'monitoring') as ReturnType<typeof createCloudWatch>;

const call = (operation: string, input: object) =>
  callJson(host.world, host.identity.administrator, {
    service: 'logs',
    region,
    target: `Logs_20140328.${operation}`,
    version: '1.1',
    input,
  });

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region] });
  const { record } = host.add(createCloudWatch(host.world));
  logs = host.add(createLogs(host.world, { onMetric: record }));
});

afterAll(async () => {
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

it('keeps what is written, in the API and in files', async () => {
  for (const line of ['one', 'two error', 'three "error"']) logs.write(region, '/aws/lambda/f', '2026/a', line);
  const all = await call('GetLogEvents', {
    logGroupName: '/aws/lambda/f',
    logStreamName: '2026/a',
    startFromHead: true,
    limit: 2,
  });
  expect(all.events.map(({ message }: any) => message)).toEqual(['one', 'two error']);
  const rest = await call('GetLogEvents', {
    logGroupName: '/aws/lambda/f',
    logStreamName: '2026/a',
    nextToken: all.nextForwardToken,
  });
  expect(rest.events.map(({ message }: any) => message)).toEqual(['three "error"']);
  const errors = await call('FilterLogEvents', { logGroupName: '/aws/lambda/f', filterPattern: '"error"' });
  expect(errors.events.map(({ message }: any) => message)).toEqual(['two error', 'three "error"']);
  await expect(call('FilterLogEvents', { logGroupName: '/aws/lambda/f', filterPattern: '{$.a = 1}' })).rejects.toThrow(
    /plain terms/,
  );
  expect(logs.lines(region, '/aws/lambda/f')).toHaveLength(3);
  const file = join(root, 'logs', region, 'aws__lambda__f', '2026__a.log');
  await expect.poll(() => readFileSync(file, 'utf8').split('\n').length).toBe(4);
});

it('makes groups and streams, and refuses strangers', async () => {
  logs.resources?.['AWS::Logs::LogGroup']?.(
    { LogGroupName: 'made', RetentionInDays: 30 },
    { region, stack: 'Stack', logicalId: 'Group', generatedName: 'x', assembly: root },
  );
  await call('CreateLogStream', { logGroupName: 'made', logStreamName: 's' });
  await call('PutLogEvents', {
    logGroupName: 'made',
    logStreamName: 's',
    logEvents: [{ timestamp: Date.now(), message: 'm' }],
  });
  const { logGroups } = await call('DescribeLogGroups', { logGroupNamePrefix: 'ma' });
  expect(logGroups).toMatchObject([{ logGroupName: 'made', retentionInDays: 30 }]);
  expect((await call('DescribeLogStreams', { logGroupName: 'made' })).logStreams).toMatchObject([
    { logStreamName: 's' },
  ]);
  await expect(call('GetLogEvents', { logGroupName: 'none', logStreamName: 's' })).rejects.toThrow(
    /log group does not exist/,
  );
  const put = host.ledger.calls().find(({ operation }) => operation === 'PutLogEvents');
  expect(put?.resource).toBe(`arn:aws:logs:${region}:111122223333:log-group:made:log-stream:s`);
});

it('turns embedded metric format into metrics', () => {
  const line = {
    _aws: {
      Timestamp: 1_700_000_000_000,
      CloudWatchMetrics: [
        {
          Namespace: 'Shop',
          Dimensions: [['Service'], ['Service', 'Database'], ['Service', 'Absent']],
          Metrics: [{ Name: 'Bytes', Unit: 'Bytes' }, { Name: 'Parts' }, { Name: 'Missing' }],
        },
      ],
    },
    Service: 'worker',
    Database: 'orders',
    Bytes: [1, 2],
    Parts: 3,
  };
  logs.write(region, '/aws/lambda/f', 's', `2026-01-01T00:00:00.000Z\tid\tINFO\t${JSON.stringify(line)}`);
  logs.write(region, '/aws/lambda/f', 's', '{"_aws": broken');
  const seen = cloudwatch().samples('Shop');
  expect(seen.map(({ name, dimensions, values, unit }) => ({ name, dimensions, values, unit }))).toEqual([
    { name: 'Bytes', dimensions: { Service: 'worker' }, values: [1, 2], unit: 'Bytes' },
    { name: 'Parts', dimensions: { Service: 'worker' }, values: [3], unit: 'None' },
    { name: 'Bytes', dimensions: { Service: 'worker', Database: 'orders' }, values: [1, 2], unit: 'Bytes' },
    { name: 'Parts', dimensions: { Service: 'worker', Database: 'orders' }, values: [3], unit: 'None' },
  ]);
  expect(seen[0]).toMatchObject({ region, timestamp: 1_700_000_000_000 });
});
