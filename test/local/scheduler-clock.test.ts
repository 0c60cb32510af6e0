import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AwsError } from '../../local/facade.ts';
import { createScheduler, type SchedulerFacade } from '../../local/facades/scheduler.ts';
import { createSqs, type SqsFacade } from '../../local/facades/sqs.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-central-1';
const machine = `arn:aws:states:${region}:111122223333:stateMachine:backup`;
const HOUR = 3_600_000;
let root: string;
let host: Host;
let scheduler: SchedulerFacade;
let sqs: SqsFacade;
/** The scheduled times that the target was told, and when. */
let started: { at: string; name: string; now: number }[];
let answer: Error | undefined;

async function start(clock: { start: number; rate?: number }): Promise<void> {
  root = mkdtempSync(join(tmpdir(), 'scheduler-clock-test-'));
  host = await startHost({ directory: root, regions: [region], clock });
  host.add({
    service: 'states',
    operations: {
      StartExecution: ({ input, name }) => {
        started.push({ at: JSON.parse(input).at, name, now: host.world.now() });
        if (answer) throw answer;
        return { executionArn: machine, startDate: new Date() };
      },
    },
  });
  sqs = host.add(createSqs(host.world));
  scheduler = host.add(createScheduler(host.world));
}

const about = {
  region,
  stack: 'Stack',
  logicalId: 'Schedule',
  generatedName: 'made-up',
  get assembly() {
    return root;
  },
};

const make = (Name: string, ScheduleExpression: string, rest: Record<string, unknown> = {}, target: object = {}) =>
  scheduler.resources?.['AWS::Scheduler::Schedule']?.(
    {
      Name,
      ScheduleExpression,
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: {
        Arn: machine,
        RoleArn: 'arn:aws:iam::111122223333:role/scheduler',
        Input: '{"at":"<aws.scheduler.scheduled-time>"}',
        ...target,
      },
      ...rest,
    },
    about,
  );
const times = async (count: number): Promise<string[]> => {
  await expect.poll(() => started.length).toBe(count);
  return started.map(({ at }) => at).sort();
};

beforeEach(() => {
  started = [];
  answer = undefined;
});

afterEach(async () => {
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

describe('schedules on a clock that is moved', () => {
  it('come at each of their times: cron, rate and at, in their time zones', async () => {
    await start({ start: Date.parse('2026-03-27T12:00:00Z') });
    make('nightly', 'cron(0 2 * * ? *)');
    make('local', 'cron(30 3 * * ? *)', { ScheduleExpressionTimezone: 'Europe/Berlin' });
    make('daily', 'rate(1 day)');
    make('once', 'at(2026-03-28T06:00:00)', { ScheduleExpressionTimezone: 'America/New_York' });
    make('off', 'cron(0 2 * * ? *)', { State: 'DISABLED' });
    make('over', 'cron(0 2 * * ? *)', { EndDate: '2026-03-28T00:00:00Z' });
    await host.world.clock.advance(48 * HOUR + 1000);
    expect(await times(7)).toEqual([
      '2026-03-28T02:00:00Z',
      '2026-03-28T02:30:00Z',
      '2026-03-28T10:00:00Z',
      '2026-03-28T12:00:00Z',
      // Summer time has begun in Berlin.
      '2026-03-29T01:30:00Z',
      '2026-03-29T02:00:00Z',
      '2026-03-29T12:00:00Z',
    ]);
    expect(scheduler.next(region, 'once')).toBeUndefined();
  });

  it('come within their flexible window', async () => {
    await start({ start: Date.parse('2026-03-01T00:00:00Z') });
    make('flexible', 'cron(0 2 * * ? *)', { FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 15 } });
    await host.world.clock.advance(2 * HOUR + 15 * 60_000);
    expect(await times(1)).toEqual(['2026-03-01T02:00:00Z']);
    const none = { FlexibleTimeWindow: { Mode: 'FLEXIBLE' } };
    expect(() => make('x', 'rate(1 day)', none)).toThrow(/MaximumWindowInMinutes/);
  });

  it('do not come while their region is down', async () => {
    await start({ start: Date.parse('2026-03-01T00:00:00Z') });
    make('hourly', 'cron(0 * * * ? *)');
    host.world.outages.set(region, 'down');
    await host.world.clock.advance(3.5 * HOUR);
    host.world.outages.set(region, 'up');
    await host.world.clock.advance(HOUR);
    expect(await times(1)).toEqual(['2026-03-01T04:00:00Z']);
  });
});

describe('schedules on a clock that runs fast', () => {
  it('come by themselves', async () => {
    await start({ start: Date.parse('2026-03-01T00:00:00Z'), rate: 36_000 });
    make('hourly', 'cron(0 * * * ? *)');
    await expect.poll(() => started.length, { timeout: 5000 }).toBeGreaterThanOrEqual(3);
    expect(started.slice(0, 2).map(({ at }) => at)).toEqual(['2026-03-01T01:00:00Z', '2026-03-01T02:00:00Z']);
  });

  it('are retried until the event is too old, then buried', async () => {
    await start({ start: Date.parse('2026-03-01T00:00:00Z'), rate: 600 });
    sqs.resources?.['AWS::SQS::Queue']?.({ QueueName: 'dead' }, about);
    answer = new AwsError('ServiceUnavailable', 'later', 503);
    make(
      'late',
      'at(2026-03-01T00:10:00)',
      {},
      {
        DeadLetterConfig: { Arn: `arn:aws:sqs:${region}:111122223333:dead` },
        RetryPolicy: { MaximumEventAgeInSeconds: 300 },
      },
    );
    await host.world.clock.advance(HOUR / 6);
    const queue = { QueueUrl: 'dead' };
    const context = { region, principal: { arn: 'test' }, requestId: '' };
    const received = () => sqs.operations?.ReceiveMessage?.(queue, context) as Promise<{ Messages?: any[] }>;
    let dead: any;
    await expect
      .poll(
        async () => {
          dead = (await received()).Messages?.[0];
          return dead !== undefined;
        },
        { timeout: 10_000 },
      )
      .toBe(true);
    expect(dead.MessageAttributes).toMatchObject({
      EXHAUSTED_RETRY_CONDITION: { StringValue: 'MaximumEventAgeInSeconds' },
      SCHEDULED_TIME: { StringValue: '2026-03-01T00:10:00Z' },
    });
    expect(started.length).toBeGreaterThan(4);
    expect(new Set(started.map(({ name }) => name)).size).toBe(1);
    const [first, last] = [started[0]?.now ?? 0, started.at(-1)?.now ?? 0];
    expect(last - first).toBeLessThanOrEqual(310_000);
  });
});
