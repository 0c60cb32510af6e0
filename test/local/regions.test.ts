import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CloudWatchClient, ListMetricsCommand } from '@aws-sdk/client-cloudwatch';
import { DescribeServicesCommand, ECSClient } from '@aws-sdk/client-ecs';
import { ListHostedZonesCommand, Route53Client } from '@aws-sdk/client-route-53';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import { EAST, NORTH, synthesizeRegions } from './regions-app.ts';

const HOUR = 3_600_000;
const WAIT = { timeout: 20_000, interval: 50 };
let folder: string;
let cloud: Cloud;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'regions-test-'));
  cloud = await startCloud({
    assembly: synthesizeRegions(folder),
    directory: join(folder, 'state'),
    containerPath: () => [dirname(process.execPath)],
  });
});

afterEach(() => {
  for (const place of [NORTH, EAST, 'route53-control-plane']) cloud.outage(place, 'up');
});

afterAll(async () => {
  await cloud?.close();
  rmSync(folder, { recursive: true, force: true });
});

const list = (region: string) =>
  new CloudWatchClient({ ...cloud.client(region), maxAttempts: 1 }).send(new ListMetricsCommand({}));
const running = (region: string) =>
  cloud.ecs.tasks().filter((task) => task.region === region && task.lastStatus === 'RUNNING');
/** In which regions the probe of one region has left its mark since. */
const marks = (from: string, since: number): string[] =>
  cloud.cloudwatch
    .samples('Probe', `From-${from}`)
    .filter(({ timestamp }) => timestamp >= since)
    .map(({ region }) => region)
    .sort();
/** Goes on to the next full hour, at which the probes of the regions run. */
const nextHour = async (): Promise<number> => {
  const since = cloud.now();
  await cloud.advance(HOUR - (since % HOUR));
  return since;
};

describe('two regions', () => {
  it('reach each other while both are up', async () => {
    await expect.poll(() => [running(NORTH).length, running(EAST).length], WAIT).toEqual([1, 1]);
    const since = await nextHour();
    await expect
      .poll(() => [marks(NORTH, since), marks(EAST, since)], WAIT)
      .toEqual([[NORTH, EAST].sort(), [NORTH, EAST].sort()]);
  });

  it('do without one that is down, in which nothing runs until it is back', async () => {
    const [before] = running(NORTH);
    cloud.outage(NORTH, 'down');
    await expect(list(NORTH)).rejects.toThrow(/socket hang up|ECONNRESET/);
    await list(EAST);
    await expect.poll(() => running(NORTH), WAIT).toEqual([]);
    expect(running(EAST)).toHaveLength(1);
    const since = await nextHour();
    await expect.poll(() => marks(EAST, since), WAIT).toEqual([EAST]);
    expect(marks(NORTH, since)).toEqual([]);

    cloud.outage(NORTH, 'up');
    await list(NORTH);
    await expect.poll(() => running(NORTH).map(({ taskArn }) => taskArn !== before?.taskArn), WAIT).toEqual([true]);
    const again = await nextHour();
    await expect.poll(() => marks(NORTH, again), WAIT).toEqual([NORTH, EAST].sort());
  });

  it('do without one that is cut off, which goes on by itself', async () => {
    const [before] = running(NORTH);
    cloud.outage(NORTH, 'cut-off');
    await expect(list(NORTH)).rejects.toThrow(/socket hang up|ECONNRESET/);
    const since = await nextHour();
    await expect.poll(() => [marks(NORTH, since), marks(EAST, since)], WAIT).toEqual([[NORTH], [EAST]]);
    expect(running(NORTH).map(({ taskArn }) => taskArn)).toEqual([before?.taskArn]);
  });

  it('lose the requests that are under way when one goes down', async () => {
    const sqs = new SQSClient({ ...cloud.client(NORTH), maxAttempts: 1 });
    const QueueUrl = `${cloud.endpoint}/${cloud.account}/queue`;
    const began = performance.now();
    const receiving = sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }));
    setTimeout(() => cloud.outage(NORTH, 'cut-off'), 200);
    await expect(receiving).rejects.toThrow(/socket hang up|ECONNRESET|aborted/);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('lose Route 53’s changes with its own region, or by themselves', async () => {
    const route53 = new Route53Client({ ...cloud.client(NORTH), maxAttempts: 1 });
    const zones = () => route53.send(new ListHostedZonesCommand({}));
    await zones();
    for (const place of [EAST, 'route53-control-plane']) {
      cloud.outage(place, 'down');
      await expect(zones()).rejects.toThrow(/socket hang up|ECONNRESET/);
      await list(NORTH);
      cloud.outage(place, 'up');
    }
    await zones();
    expect(() => cloud.outage('mars-1', 'down')).toThrow(/There is no mars-1 here/);
  });
});

describe('the clock of the cloud', () => {
  it('carries schedules, waits of workflows and functions with it when it is moved', async () => {
    const sfn = new SFNClient(cloud.client(EAST));
    const stateMachineArn = `arn:aws:states:${EAST}:${cloud.account}:stateMachine:sleeper`;
    const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn }));
    const status = async () => (await sfn.send(new DescribeExecutionCommand({ executionArn }))).status;
    await cloud.advance(HOUR);
    expect(await status()).toBe('RUNNING');
    const since = cloud.now();
    await cloud.advance(HOUR + 10_000);
    await expect.poll(status, WAIT).toBe('SUCCEEDED');
    await expect.poll(() => marks(EAST, since).length, WAIT).toBeGreaterThan(0);
    // The function's own clock made the time stamp: hours ahead of the machine's.
    expect(cloud.now() - Date.now()).toBeGreaterThan(4 * HOUR);
    const ecs = new ECSClient(cloud.client(EAST));
    const { services } = await ecs.send(new DescribeServicesCommand({ cluster: 'workers', services: ['worker'] }));
    expect(services?.[0]).toMatchObject({ runningCount: 1, desiredCount: 1 });
  });
});
