import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchClient, DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PurgeQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { synthesize, workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { database, region, rehearsalConfig, system } from '../../lib/cli/rehearse/rehearsal.ts';
import { plainText, startWebhook, type Webhook } from '../../lib/cli/rehearse/webhook.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import {
  alarmName,
  functionName,
  notificationDeadLetterQueueName,
  scheduleDeadLetterQueueName,
  scheduleName,
} from '../../lib/config/names.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import { AwsError } from '../../local/facade.ts';
import { alteredAssembly } from './altered.ts';

/** pgdr watching itself: each alarm on and off by its real cause, and what Slack hears of it. No server is needed. */

const directory = join(workDirectory, 'rehearse', `self-watch-${process.pid}`);
let cloud: Cloud;
let webhook: Webhook;
let cloudwatch: CloudWatchClient;
let secrets: SecretsManagerClient;
let sqs: SQSClient;

beforeAll(async () => {
  const postgres = providePostgres(() => {});
  const { directory: assembly } = await synthesize(rehearsalConfig, {
    PGDR_REHEARSE_MAJOR: String(postgres.major),
    PGDR_REHEARSE_RESTORE_MAJOR: String(postgres.major),
    PGDR_REHEARSE_CLIENT_ENCRYPTION: 'false',
  });
  cloud = await startCloud({
    assembly: withOnePosture(assembly),
    directory: join(directory, 'cloud'),
    containerPath: () => [postgres.bin],
  });
  webhook = await startWebhook();
  cloudwatch = new CloudWatchClient(cloud.client(region));
  secrets = new SecretsManagerClient(cloud.client(region));
  sqs = new SQSClient(cloud.client(region));
  const elsewhere = new SecretsManagerClient(cloud.client('us-east-1'));
  for (const client of [secrets, elsewhere])
    await client.send(new CreateSecretCommand({ Name: 'pgdr/slack', SecretString: webhook.url }));
  elsewhere.destroy();
});

afterAll(async () => {
  for (const client of [cloudwatch, secrets, sqs]) client?.destroy();
  await cloud?.close();
  await webhook?.close();
  for (const folder of [directory, `${directory}.assembly`]) rmSync(folder, { recursive: true, force: true });
});

/** The function that measures may run once at a time, as if others had taken the account's concurrency. */
const withOnePosture = (assembly: string) =>
  alteredAssembly(assembly, `${directory}.assembly`, (_, properties) => {
    if (properties.FunctionName === functionName(system, 'publish-posture'))
      properties.ReservedConcurrentExecutions = 1;
  });

const stateOf = async (id: string): Promise<string | undefined> => {
  const name = alarmName(system, undefined, id);
  const { MetricAlarms } = await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: [name] }));
  return MetricAlarms?.[0]?.StateValue;
};

/** Moves the clock on, minute by minute, until the alarm has the state; `meanwhile` is what a minute brings. */
async function expectState(
  id: string,
  state: string,
  minutes: number,
  meanwhile: (minute: number) => Promise<unknown> = () => delay(30),
): Promise<void> {
  for (let minute = 0; minute < minutes && (await stateOf(id)) !== state; minute++) {
    await cloud.advance(60_000);
    await meanwhile(minute);
  }
  expect(await stateOf(id), id).toBe(state);
}

async function expectTold(from: number, begins: RegExp, runbook: string): Promise<void> {
  const message = await webhook.waitFor(({ text }) => begins.test(text), 20, from);
  expect(message, `a message like ${begins}`).toBeDefined();
  expect(plainText(message as never)).toContain(`<https://runbooks.example.com/${runbook}.md|${runbook}.md>`);
}

const told = (from: number, about: RegExp) => webhook.messages.slice(from).filter(({ text }) => about.test(text));
const fire = (name: string) => cloud.scheduler.fire(region, scheduleName(system, database, name));
const purge = async (queue: string) => {
  await sqs.send(new PurgeQueueCommand({ QueueUrl: `${cloud.endpoint}/${cloud.account}/${queue}` }));
};

describe('an execution that fails', () => {
  it('is told once, by its own outcome, and shown by its alarm', async () => {
    const from = webhook.messages.length;
    const { executionArn } = await fire('backup-logical');
    expect((await cloud.states.ended(String(executionArn))).outcome?.status).toBe('FAILED');
    await expectState('execution-failed-backup-logical', 'ALARM', 3);
    expect(await webhook.waitFor(({ text }) => /Backup FAILED: orders/.test(text), 20, from)).toBeDefined();
    await expectState('execution-failed-backup-logical', 'OK', 20);
    expect(told(from, /An execution failed/)).toEqual([]);
  });
});

describe('a schedule that cannot start its work', () => {
  it('is told once, and its message is shown until somebody has looked', async () => {
    const from = webhook.messages.length;
    const undo = cloud.intercept(({ operation }) => {
      if (operation === 'StartExecution') throw new AwsError('AccessDeniedException', 'the policy was changed', 403);
    });
    await expect(fire('backup-logical')).rejects.toThrow('the policy was changed');
    await expect(fire('restore-test')).rejects.toThrow('the policy was changed');
    undo();
    await expectState('schedule-dropped', 'ALARM', 3);
    await expectTold(from, /Alarm: rehearsal: A schedule could not start what it should/, 'schedule-dropped');
    await expectState('dead-letters-schedules', 'ALARM', 3);
    await expectState('schedule-dropped', 'OK', 80);
    await expectTold(from, /Over: rehearsal: A schedule could not start/, 'schedule-dropped');
    expect(await stateOf('dead-letters-schedules')).toBe('ALARM');
    await purge(scheduleDeadLetterQueueName(system));
    await expectState('dead-letters-schedules', 'OK', 20);
    expect(told(from, /schedule/i)).toHaveLength(2);
  });
});

describe('a function that measures', () => {
  it('and goes on failing is told, and its end', async () => {
    const from = webhook.messages.length;
    const undo = cloud.intercept(({ principal }) => {
      if (principal.roleArn?.includes('PosturePublish')) throw new AwsError('AccessDenied', 'changed by hand', 403);
    });
    const errors = () =>
      cloud.cloudwatch.samples('AWS/Lambda', 'Errors').filter((one) => one.region === region && one.values[0]).length;
    let before = errors();
    // Its schedule comes every five minutes; each call fails three times.
    const wait = async (minute: number) => {
      if (minute % 5 < 4) return;
      await expect.poll(errors, { interval: 20, timeout: 20_000 }).toBeGreaterThan(before);
      before = errors();
    };
    await expectState('function-errors-publish-posture', 'ALARM', 20, wait);
    undo();
    await expectTold(from, /Warning: rehearsal: A function that measures or tells goes on failing/, 'function-errors');
    await expectState('function-errors-publish-posture', 'OK', 40);
    await expectTold(from, /Over: rehearsal: A function that measures/, 'function-errors');
  });

  it('and is throttled for a quarter of an hour is told, and its end', async () => {
    const from = webhook.messages.length;
    await expectState('function-throttled-publish-posture', 'OK', 0);
    const undo = cloud.intercept(async ({ principal, operation }) => {
      if (principal.roleArn?.includes('PosturePublish') && operation === 'GetParameter') await delay(300);
    });
    const twice = async () => {
      await Promise.all([fire('publish-posture'), fire('publish-posture')]);
    };
    await expectState('function-throttled-publish-posture', 'ALARM', 25, twice);
    undo();
    await expectTold(from, /Warning: rehearsal: A function was throttled: publish-posture/, 'function-throttled');
    await expectState('function-throttled-publish-posture', 'OK', 40);
    await expectTold(from, /Over: rehearsal: A function was throttled/, 'function-throttled');
  });
});

describe('messages that Slack does not take', () => {
  it('are kept, and told of when it takes them again', async () => {
    const from = webhook.messages.length;
    const put = (SecretString: string) =>
      secrets.send(new PutSecretValueCommand({ SecretId: 'pgdr/slack', SecretString }));
    await put(webhook.url.replace(/.$/, '-revoked'));
    const undo = cloud.intercept(({ operation }) => {
      if (operation === 'RunTask') throw new AwsError('AccessDeniedException', 'nothing can run', 403);
    });
    const { executionArn } = await fire('backup-logical');
    await cloud.states.ended(String(executionArn));
    undo();
    const buried = async () =>
      cloud
        .calls()
        .filter(
          ({ operation, principal }) =>
            operation === 'SendMessage' && principal.roleArn?.includes('NotificationsNotify'),
        ).length;
    await expect.poll(buried, { timeout: 30_000 }).toBeGreaterThan(0);
    await put(webhook.url);
    await expectState('dead-letters-slack', 'ALARM', 5);
    await expectTold(from, /Alarm: rehearsal: Slack could not be told/, 'dead-letters');
    await purge(notificationDeadLetterQueueName(system));
    await expectState('dead-letters-slack', 'OK', 20);
    await expectTold(from, /Over: rehearsal: Slack could not be told/, 'dead-letters');
    // Its queue tells of it: the function that cannot tell does not tell so too.
    expect(told(from, /goes on failing/)).toEqual([]);
  });
});
