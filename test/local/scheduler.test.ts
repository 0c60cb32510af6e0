import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetScheduleCommand, ListSchedulesCommand, SchedulerClient } from '@aws-sdk/client-scheduler';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AwsError, type CallContext, type ResourceContext } from '../../local/facade.ts';
import { createScheduler, type SchedulerFacade } from '../../local/facades/scheduler.ts';
import { type Host, startHost } from '../../local/host.ts';
import { readScheduleExpression } from '../../local/runtime/schedule-expression.ts';

const region = 'eu-central-1';
const root = mkdtempSync(join(tmpdir(), 'scheduler-test-'));
const about: ResourceContext = {
  region,
  stack: 'Stack',
  logicalId: 'Schedule',
  generatedName: 'made-up',
  assembly: root,
};
const machine = `arn:aws:states:${region}:111122223333:stateMachine:backup`;
const queue = `arn:aws:sqs:${region}:111122223333:dead`;
const roleArn = 'arn:aws:iam::111122223333:role/scheduler';
let host: Host;
let scheduler: SchedulerFacade;
let client: SchedulerClient;
/** What the targets of the schedules saw, and how they answer next. */
let started: { input: any; context: CallContext }[] = [];
let dead: any[] = [];
let answers: (Error | undefined)[] = [];

const make = (properties: Record<string, unknown>) =>
  scheduler.resources?.['AWS::Scheduler::Schedule']?.(
    {
      FlexibleTimeWindow: { Mode: 'OFF' },
      ScheduleExpression: 'rate(1 day)',
      Target: { Arn: machine, RoleArn: roleArn, Input: '{"a":1}' },
      ...properties,
    },
    about,
  );

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region] });
  host.add({
    service: 'states',
    operations: {
      StartExecution: (input, context) => {
        started.push({ input, context });
        const answer = answers.shift();
        if (answer) throw answer;
        return { executionArn: `${machine.replace('stateMachine', 'execution')}:${input.name}`, startDate: new Date() };
      },
    },
  });
  host.add({ service: 'sqs', operations: { SendMessage: (input) => ({ MessageId: String(dead.push(input)) }) } });
  scheduler = host.add(createScheduler(host.world));
  client = new SchedulerClient({ ...host.client(region), maxAttempts: 1 });
});

beforeEach(() => {
  started = [];
  dead = [];
  answers = [];
});

afterAll(async () => {
  client.destroy();
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

describe('schedule expressions', () => {
  const next = (expression: string, after: string, timezone = 'UTC'): string | undefined => {
    const time = readScheduleExpression(expression, timezone, Date.parse('2026-01-01T00:00:30Z')).next(
      Date.parse(after),
    );
    return time === undefined ? undefined : new Date(time).toISOString().replace('.000Z', '');
  };

  it.each([
    // 2026-03-01 is a Sunday.
    ['cron(15 2 * * ? *)', '2026-03-01T02:15:00Z', '2026-03-02T02:15:00'],
    ['cron(0/15 * * * ? *)', '2026-03-01T02:20:00Z', '2026-03-01T02:30:00'],
    ['cron(5/20 * * * ? *)', '2026-03-01T02:46:00Z', '2026-03-01T03:05:00'],
    ['cron(0 3 ? * SUN *)', '2026-03-01T04:00:00Z', '2026-03-08T03:00:00'],
    ['cron(0 3 ? * 1 *)', '2026-03-01T04:00:00Z', '2026-03-08T03:00:00'],
    ['cron(0 3 ? * 2-6 *)', '2026-03-06T04:00:00Z', '2026-03-09T03:00:00'],
    ['cron(0 3 ? * MON-FRI *)', '2026-03-06T04:00:00Z', '2026-03-09T03:00:00'],
    ['cron(0 3 ? * L *)', '2026-03-01T00:00:00Z', '2026-03-07T03:00:00'],
    ['cron(0 3 ? * 6L *)', '2026-03-01T00:00:00Z', '2026-03-27T03:00:00'],
    ['cron(0 3 ? * 3#2 *)', '2026-03-01T00:00:00Z', '2026-03-10T03:00:00'],
    ['cron(0 3 L * ? *)', '2026-02-01T00:00:00Z', '2026-02-28T03:00:00'],
    ['cron(0 3 1W * ? *)', '2026-02-15T00:00:00Z', '2026-03-02T03:00:00'],
    ['cron(0 3 1,15 JAN,JUL ? 2027)', '2026-03-01T00:00:00Z', '2027-01-01T03:00:00'],
    ['cron(0 3 1 1 ? 2025)', '2026-03-01T00:00:00Z', undefined],
    ['rate(5 minutes)', '2026-01-01T00:10:00Z', '2026-01-01T00:10:30'],
    ['rate(1 day)', '2026-01-03T00:00:30Z', '2026-01-04T00:00:30'],
    ['at(2026-05-01T12:00:00)', '2026-03-01T00:00:00Z', '2026-05-01T12:00:00'],
    ['at(2026-05-01T12:00:00)', '2026-05-01T12:00:00Z', undefined],
  ])('%s after %s is %s', (expression, after, expected) => {
    expect(next(expression, after)).toBe(expected);
  });

  it('counts in its time zone, over a change of the clock too', () => {
    expect(next('cron(0 3 * * ? *)', '2026-03-28T12:00:00Z', 'Europe/Berlin')).toBe('2026-03-29T01:00:00');
    expect(next('cron(0 3 * * ? *)', '2026-03-27T12:00:00Z', 'Europe/Berlin')).toBe('2026-03-28T02:00:00');
    expect(next('at(2026-07-01T12:00:00)', '2026-03-27T12:00:00Z', 'America/New_York')).toBe('2026-07-01T16:00:00');
  });

  it.each([
    ['cron(0 3 * * * *)', /exactly one of/],
    ['cron(0 3 ? * ? *)', /exactly one of/],
    ['cron(0 3 * * ?)', /six fields/],
    ['cron(? 3 * * ? *)', /not allowed in minutes/],
    ['cron(61 3 * * ? *)', /invalid schedule expression/],
    ['rate(0 minutes)', /whole number/],
    ['rate(5 seconds)', /whole number/],
    ['at(tomorrow)', /yyyy-mm-dd/],
    ['every day', /must be cron/],
  ])('refuses %s', (expression, message) => {
    expect(() => next(expression, '2026-03-01T00:00:00Z')).toThrow(message);
  });
});

describe('a schedule', () => {
  it('starts its state machine as its role, with what the input asks for', async () => {
    const Input =
      '{"at":"<aws.scheduler.scheduled-time>","of":"<aws.scheduler.schedule-arn>","n":"<aws.scheduler.attempt-number>","id":"<aws.scheduler.execution-id>"}';
    const made = await make({ Name: 'nightly', Target: { Arn: machine, RoleArn: roleArn, Input } });
    const arn = `arn:aws:scheduler:${region}:111122223333:schedule/default/nightly`;
    expect(made).toMatchObject({ ref: 'nightly', attributes: { Arn: arn } });
    const { executionArn } = await scheduler.fire(region, 'nightly', new Date('2026-03-01T02:00:00Z'));
    expect(started).toHaveLength(1);
    const { input, context } = started[0] as (typeof started)[0];
    expect(executionArn).toBe(`arn:aws:states:${region}:111122223333:execution:backup:${input.name}`);
    expect(JSON.parse(input.input)).toEqual({ at: '2026-03-01T02:00:00Z', of: arn, n: '1', id: input.name });
    expect(context.principal.roleArn).toBe(roleArn);
  });

  it('comes by itself', async () => {
    const soon = new Date(Date.now() + 1500).toISOString().slice(0, 19);
    make({ Name: 'soon', ScheduleExpression: `at(${soon})` });
    make({ Name: 'disabled', ScheduleExpression: `at(${soon})`, State: 'DISABLED' });
    expect(scheduler.next(region, 'soon')?.toISOString()).toBe(`${soon}.000Z`);
    expect(scheduler.next(region, 'disabled')).toBeUndefined();
    await expect.poll(() => started.length, { timeout: 5000 }).toBe(1);
    await new Promise((later) => setTimeout(later, 300));
    expect(started).toHaveLength(1);
    expect(scheduler.next(region, 'soon')).toBeUndefined();
  });

  it('retries what may pass, under the same execution name', async () => {
    make({ Name: 'retried' });
    answers = [new AwsError('ThrottlingException', 'slow down', 429)];
    await scheduler.fire(region, 'retried');
    expect(started.map(({ input }) => input.name)).toHaveLength(2);
    expect(new Set(started.map(({ input }) => input.name)).size).toBe(1);
    expect(dead).toHaveLength(0);
  });

  it('puts into the dead-letter queue what is refused for good, or too often', async () => {
    const Target = {
      Arn: machine,
      RoleArn: roleArn,
      Input: '{"a":1}',
      DeadLetterConfig: { Arn: queue },
      RetryPolicy: { MaximumRetryAttempts: 1 },
    };
    make({ Name: 'refused', Target });
    const denied = () => new AwsError('AccessDeniedException', 'no', 400);
    const broken = () => new AwsError('InternalFailure', 'oops', 500);
    answers = [denied()];
    await expect(scheduler.fire(region, 'refused')).rejects.toMatchObject({ code: 'AccessDeniedException' });
    expect(started).toHaveLength(1);
    expect(dead[0]).toMatchObject({ QueueUrl: expect.stringMatching(/\/111122223333\/dead$/), MessageBody: '{"a":1}' });
    expect(dead[0].MessageAttributes).toMatchObject({
      ERROR_CODE: { StringValue: 'AccessDeniedException' },
      RETRY_ATTEMPTS: { StringValue: '0' },
      TARGET_ARN: { StringValue: machine },
    });
    answers = [broken(), broken(), broken()];
    await expect(scheduler.fire(region, 'refused')).rejects.toMatchObject({ code: 'InternalFailure' });
    expect(started).toHaveLength(3);
    expect(dead[1].MessageAttributes).toMatchObject({
      RETRY_ATTEMPTS: { StringValue: '1' },
      EXHAUSTED_RETRY_CONDITION: { StringValue: 'MaximumRetryAttempts' },
    });
  });

  it('is shown and listed', async () => {
    scheduler.resources?.['AWS::Scheduler::ScheduleGroup']?.({ Name: 'team' }, about);
    make({
      Name: 'weekly',
      GroupName: 'team',
      ScheduleExpression: 'cron(0 3 ? * SUN *)',
      ScheduleExpressionTimezone: 'Europe/Berlin',
    });
    const shown = await client.send(new GetScheduleCommand({ Name: 'weekly', GroupName: 'team' }));
    expect(shown).toMatchObject({
      State: 'ENABLED',
      ScheduleExpressionTimezone: 'Europe/Berlin',
      Target: { Arn: machine },
    });
    expect(shown.CreationDate).toBeInstanceOf(Date);
    const listed = await client.send(new ListSchedulesCommand({ GroupName: 'team' }));
    expect(listed.Schedules?.map(({ Name }) => Name)).toEqual(['weekly']);
    await expect(client.send(new GetScheduleCommand({ Name: 'none' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    const call = host.ledger.calls().find(({ operation }) => operation === 'GetSchedule');
    expect(call).toMatchObject({
      action: 'scheduler:GetSchedule',
      resource: `arn:aws:scheduler:${region}:111122223333:schedule/team/weekly`,
    });
  });

  it('is refused when it could not run', () => {
    const target = { Arn: machine, RoleArn: roleArn };
    expect(() => make({ Target: { ...target, Arn: 'arn:aws:scheduler:::aws-sdk:sfn:startExecution' } })).toThrow(
      /state machines and Lambda functions only/,
    );
    expect(() => make({ Target: { ...target, EcsParameters: {} } })).toThrow(/property EcsParameters/);
    expect(() => make({ Target: { ...target, Input: '{' } })).toThrow(/not JSON/);
    expect(() => make({ GroupName: 'none' })).toThrow(/no schedule group none/);
    expect(() => make({ FlexibleTimeWindow: undefined })).toThrow(/FlexibleTimeWindow is required/);
    expect(() => make({ ScheduleExpression: 'cron(0 3 * * * *)' })).toThrow(/exactly one of/);
  });
});
