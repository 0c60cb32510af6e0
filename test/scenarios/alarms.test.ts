import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchClient, DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOutput } from '../../lib/cli/output.ts';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { database, type Rehearsal, region, startRehearsal, system } from '../../lib/cli/rehearse/rehearsal.ts';
import type { SlackMessage } from '../../lib/cli/rehearse/webhook.ts';
import { plainText } from '../../lib/cli/rehearse/webhook.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { createSteps } from '../../lib/cli/steps.ts';
import { alarmName, pageName, scheduleName } from '../../lib/config/names.ts';
import type { AlarmId } from '../../lib/core/alarms.ts';
import { walPrefix } from '../../lib/core/keys.ts';
import { type Emitter, type MetricName, metricCatalogue } from '../../lib/core/metrics.ts';
import { type ApiCall, AwsError } from '../../local/facade.ts';
import { alteredAssembly } from './altered.ts';

/**
 * Alarms that go on and off by their real cause: the deployed templates, a real database, the clock of the cloud moved
 * on by five minutes at a time. Some thresholds are made smaller, since a test cannot upload for twenty minutes; metric,
 * alarm, topic, function and webhook are those of a deployment.
 */

const directory = join(workDirectory, 'rehearse', `alarms-${process.pid}`);
const recovery = 'us-east-1';
const period = 5 * 60_000;
/** Seconds, in the place of what the configuration makes them. */
const smaller: Partial<Record<AlarmId, number>> = {
  'slow-upload': 5,
  'rto-regression': 12,
  'rpo-regression': 20,
  'no-daily-backup': 3600,
  'restore-test-overdue': 3600,
  'task-image-old': 8 * 3600,
};
/** The receiver of WAL tells by the machine's clock, every 15 s: to a clock that is moved on by hours it is silent. */
const silentHere: readonly AlarmId[] = ['wal-lag', 'wal-window'];
let rehearsal: Rehearsal;

beforeAll(async () => {
  rehearsal = await startRehearsal({
    postgres: providePostgres(() => {}),
    directory,
    size: 4_000_000,
    steps: createSteps(createOutput(true)),
    writeLoad: false,
    alter: withSmallerThresholds,
  });
  const secrets = new SecretsManagerClient(rehearsal.cloud.client(recovery));
  await secrets.send(
    new CreateSecretCommand({ Name: 'pgdr/slack', SecretString: JSON.stringify({ url: rehearsal.webhook.url }) }),
  );
  secrets.destroy();
});

afterAll(async () => {
  await rehearsal?.stop();
  for (const folder of [directory, `${directory}.assembly`]) rmSync(folder, { recursive: true, force: true });
});

const withSmallerThresholds = (assembly: string) =>
  alteredAssembly(assembly, `${directory}.assembly`, (type, properties) => {
    if (type !== 'AWS::CloudWatch::Alarm') return;
    for (const [id, threshold] of Object.entries(smaller))
      if (properties.AlarmName === alarmName(system, database, id)) properties.Threshold = threshold;
    for (const id of silentHere)
      if (properties.AlarmName === alarmName(system, database, id)) properties.TreatMissingData = 'notBreaching';
  });

async function stateOf(name: string, where = region): Promise<string | undefined> {
  const client = new CloudWatchClient(rehearsal.cloud.client(where));
  const { MetricAlarms, CompositeAlarms } = await client.send(
    new DescribeAlarmsCommand({ AlarmNames: [name], AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }),
  );
  client.destroy();
  return (MetricAlarms?.[0] ?? CompositeAlarms?.[0])?.StateValue;
}
const alarm = (id: AlarmId) => stateOf(alarmName(system, database, id));
const page = (id: AlarmId) => stateOf(pageName(system, database, id));

/** Moves the clock on by five minutes at a time, and waits each time until both regions have been looked at. */
async function pass(periods: number, regions: readonly string[] = [region, recovery]): Promise<void> {
  const { cloud } = rehearsal;
  const count = (metric: string, where: string) =>
    cloud.cloudwatch.samples('pgdr', metric).filter((sample) => sample.region === where).length;
  const done = (where: string) =>
    Math.min(count('TaskImageAgeSeconds', where), count('PeerHeard', where === region ? recovery : region));
  for (let i = 0; i < periods; i++) {
    const before = regions.map(done);
    await cloud.advance(period);
    const until = Date.now() + 15_000;
    while (regions.some((where, j) => done(where) <= (before[j] as number))) {
      if (Date.now() > until) throw new Error(`nobody looked at ${regions.join(' and ')}`);
      await delay(5);
    }
  }
  // The next minute, in which alarms look at what was measured last.
  await cloud.advance(60_000);
}

const told = (text: RegExp, from: number): Promise<SlackMessage | undefined> =>
  rehearsal.webhook.waitFor((message) => text.test(message.text), 20, from);

/** The page of an alarm and its end, each with the link of its runbook. */
async function expectPage(from: number, begins: RegExp, runbook: string): Promise<void> {
  const message = await told(begins, from);
  expect(message, `a message like ${begins}`).toBeDefined();
  expect(plainText(message as SlackMessage)).toContain(`<https://runbooks.example.com/${runbook}.md|${runbook}.md>`);
}

const succeed = async (workflow: 'backup-logical' | 'backup-physical' | 'restore-test') => {
  const run = await rehearsal.run(workflow);
  expect(run.failure).toBeUndefined();
  return run;
};

/** Holds back calls of one kind, as a slow store does. */
const slowDown = (fits: (call: ApiCall) => boolean, ms: number) => {
  let held = false;
  return rehearsal.cloud.intercept(async (call) => {
    if (held || !fits(call)) return;
    held = true;
    await delay(ms);
  });
};

const messages = () => rehearsal.webhook.messages.length;

describe('a database that is well', () => {
  it('has no alarm, and none that is over is told', async () => {
    await succeed('backup-logical');
    await succeed('restore-test');
    await pass(4);
    const { MetricAlarms } = await rehearsal.clients.cloudwatch.send(
      new DescribeAlarmsCommand({ StateValue: 'ALARM' }),
    );
    expect(MetricAlarms?.map(({ AlarmName }) => AlarmName)).toEqual([]);
    // What was on before there was a backup is over; nothing else ever was.
    const over = rehearsal.webhook.messages.filter(({ text }) => text.includes('Over')).map(({ text }) => text);
    expect(over.filter((text) => !/No verified backup|Nothing is heard/.test(text))).toEqual([]);
  });
});

describe('slow-upload', () => {
  it('goes on when the store takes long, and off with the next backup', async () => {
    const from = messages();
    const undo = slowDown((call) => call.operation === 'PutObject' && /dump\.zst$/.test(String(call.input.Key)), 7000);
    await succeed('backup-logical');
    undo();
    await pass(1);
    expect(await alarm('slow-upload')).toBe('ALARM');
    await expectPage(from, /Warning: orders: A backup uploaded for more than/, 'slow-upload');
    await succeed('backup-logical');
    await pass(1);
    expect(await alarm('slow-upload')).toBe('OK');
    await expectPage(from, /Over: orders: A backup uploaded/, 'slow-upload');
  });
});

describe('backup-size-deviation', () => {
  it('goes on when most of the data is gone, and off when it is back', async () => {
    const from = messages();
    const client = await rehearsal.source.server.connect(database);
    await client.query(
      `CREATE TABLE bulk AS SELECT i, md5(i::text) || md5((-i)::text) AS filler FROM generate_series(1, 60000) i`,
    );
    await succeed('backup-logical');
    await pass(1);
    expect(await alarm('backup-size-deviation')).toBe('ALARM');
    await expectPage(from, /Warning: orders: The newest backup differs in size/, 'backup-size-deviation');
    await client.query('DROP TABLE bulk');
    await client.end();
    await succeed('backup-logical');
    await succeed('backup-logical');
    await pass(1);
    expect(await alarm('backup-size-deviation')).toBe('OK');
    await expectPage(from, /Over: orders: The newest backup differs/, 'backup-size-deviation');
  });
});

describe('restore-test-failed', () => {
  it('goes on when a restore test fails, stays on, explains the overdue test, and goes off by one that holds', async () => {
    const from = messages();
    const undo = rehearsal.cloud.intercept((call) => {
      if (call.operation === 'RunTask' && JSON.stringify(call.input).includes('restore-test'))
        throw new Error('no capacity');
    });
    const { succeeded } = await rehearsal.run('restore-test');
    undo();
    expect(succeeded).toBe(false);
    await pass(1);
    expect(await alarm('restore-test-failed')).toBe('ALARM');
    await expectPage(from, /Alarm: orders: A restore test failed/, 'restore-test-failed');
    // Past the threshold of restore-test-overdue, which waits: one incident, one page.
    await pass(12);
    expect([await alarm('restore-test-overdue'), await page('restore-test-overdue')]).toEqual(['ALARM', 'OK']);
    expect(await alarm('restore-test-failed')).toBe('ALARM');
    expect(await rehearsal.webhook.waitFor(({ text }) => /No restore test held/.test(text), 0.2, from)).toBeUndefined();
    await succeed('restore-test');
    await pass(1);
    expect([await alarm('restore-test-failed'), await alarm('restore-test-overdue')]).toEqual(['OK', 'OK']);
    await expectPage(from, /Over: orders: A restore test failed/, 'restore-test-failed');
  });
});

describe('restore-test-overdue', () => {
  it('goes on when none is made, and off by one', async () => {
    const from = messages();
    await pass(13);
    expect(await page('restore-test-overdue')).toBe('ALARM');
    await expectPage(from, /Alarm: orders: No restore test held for/, 'restore-test-overdue');
    await succeed('restore-test');
    await pass(1);
    expect(await page('restore-test-overdue')).toBe('OK');
    await expectPage(from, /Over: orders: No restore test held/, 'restore-test-overdue');
  });
});

describe('rto-regression and rpo-regression', () => {
  it('go on by a restore from a slow store and of old data, and off by a good one', async () => {
    const from = messages();
    await succeed('backup-logical');
    await delay(21_000);
    const undo = slowDown(
      (call) => call.operation === 'GetObject' && /dump\.zst$/.test(String(call.input.Key)),
      13_000,
    );
    await succeed('restore-test');
    undo();
    await pass(1);
    expect([await alarm('rto-regression'), await alarm('rpo-regression')]).toEqual(['ALARM', 'ALARM']);
    await expectPage(from, /Warning: orders: Recovery took longer than its objective/, 'rto-regression');
    await expectPage(from, /Warning: orders: More would have been lost/, 'rpo-regression');
    await succeed('backup-logical');
    await succeed('restore-test');
    await pass(1);
    expect([await alarm('rto-regression'), await alarm('rpo-regression')]).toEqual(['OK', 'OK']);
    await expectPage(from, /Over: orders: More would have been lost/, 'rpo-regression');
  });
});

describe('wal-gap', () => {
  it('goes on when somebody removes stored WAL, and off when it is back', async () => {
    await succeed('backup-physical');
    const from = messages();
    const { s3 } = rehearsal.clients;
    const Bucket = rehearsal.settings.bucket;
    // Chunks of the segment that is being written: of those before, all is in whole segments as well.
    const chunks = async () => {
      const { Contents = [] } = await s3.send(
        new ListObjectsV2Command({ Bucket, Prefix: walPrefix(rehearsal.settings) }),
      );
      const keys = Contents.map(({ Key }) => String(Key)).filter((key) => key.includes('/parts/'));
      return keys.filter((key) => dirname(key) === dirname(keys.at(-1) as string));
    };
    const client = await rehearsal.source.server.connect(database);
    for (let i = 0; i < 60 && (await chunks()).length < 4; i++) {
      await client.query('CREATE TABLE churn AS SELECT i FROM generate_series(1, 2000) i');
      await client.query('DROP TABLE churn');
      await delay(500);
    }
    await client.end();
    const Key = (await chunks()).at(-2) as string;
    const { VersionId } = await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    await audited();
    expect(await alarm('wal-gap')).toBe('ALARM');
    await expectPage(from, /Alarm: orders: WAL is missing inside the recoverable window/, 'wal-gap');
    await s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
    await audited();
    expect(await alarm('wal-gap')).toBe('OK');
    await expectPage(from, /Over: orders: WAL is missing/, 'wal-gap');
  });

  /** Lets the audit look now, and the alarm after it. */
  async function audited(): Promise<void> {
    const { cloud } = rehearsal;
    const looks = () => cloud.cloudwatch.samples('pgdr', 'WalGaps').filter((one) => one.region === region).length;
    const seen = looks();
    await cloud.scheduler.fire(region, scheduleName(system, database, 'audit-wal'));
    await expect.poll(looks, { timeout: 30_000, interval: 50 }).toBeGreaterThan(seen);
    await cloud.advance(60_000);
    await delay(50);
    await cloud.advance(60_000);
  }
});

describe('regional-copy-lag', () => {
  it('goes on when the role of replication may not write there any more, and off with the next backup', async () => {
    const from = messages();
    const undo = rehearsal.cloud.intercept(({ operation }) => {
      if (operation === 'ReplicateObject') throw new AwsError('AccessDenied', 'the policy was changed', 403);
    });
    await succeed('backup-logical');
    await rehearsal.cloud.s3.settled();
    undo();
    await pass(3);
    expect(await page('regional-copy-lag')).toBe('OK');
    await pass(2);
    expect(await page('regional-copy-lag')).toBe('ALARM');
    await expectPage(from, /Warning: orders: A backup is not in the other region after/, 'regional-copy-lag');
    // A copy that failed is not made again by S3; it counts until newer backups have arrived.
    for (let i = 0; i < 6 && (await page('regional-copy-lag')) === 'ALARM'; i++) {
      await succeed('backup-logical');
      await rehearsal.cloud.s3.settled();
      await pass(1);
    }
    expect(await page('regional-copy-lag')).toBe('OK');
    await expectPage(from, /Over: orders: A backup is not in the other region/, 'regional-copy-lag');
  });
});

describe('dead-man', () => {
  it('goes on in the recovery region when the primary region is gone, and off when it is back', async () => {
    const from = messages();
    const deadMan = alarmName(system, undefined, 'dead-man');
    expect(await stateOf(deadMan, recovery)).toBe('OK');
    rehearsal.cloud.outage(region, 'down');
    for (let i = 0; i < 4; i++) await pass(1, []);
    expect(await stateOf(deadMan, recovery)).toBe('ALARM');
    await expectPage(from, /Alarm: rehearsal: Nothing is heard from pgdr of the other region/, 'dead-man');
    rehearsal.cloud.outage(region, 'up');
    await pass(2);
    expect(await stateOf(deadMan, recovery)).toBe('OK');
    await expectPage(from, /Over: rehearsal: Nothing is heard/, 'dead-man');
    // What this region could not measure while it was gone is measured again.
    await pass(3);
    expect(await alarm('no-daily-backup')).toBe('OK');
  });
});

describe('no-daily-backup', () => {
  it('goes on when backups fail for too long, and off by the next one', async () => {
    await succeed('backup-logical');
    const from = messages();
    await rehearsal.setDatabaseSecret({ ...rehearsal.source.secret, password: 'changed by somebody' });
    expect((await rehearsal.run('backup-logical')).failure?.error).toBe('DatabaseAuthenticationFailed');
    await pass(11);
    expect(await alarm('no-daily-backup')).toBe('OK');
    await pass(4);
    expect(await alarm('no-daily-backup')).toBe('ALARM');
    await expectPage(from, /Alarm: orders: No verified backup for 1 d 2 h/, 'no-daily-backup');
    expect(await told(/Backup FAILED: orders: DatabaseAuthenticationFailed/, from)).toBeDefined();
    await rehearsal.setDatabaseSecret(rehearsal.source.secret);
    await succeed('backup-logical');
    await pass(1);
    expect(await alarm('no-daily-backup')).toBe('OK');
    await expectPage(from, /Over: orders: No verified backup/, 'no-daily-backup');
  });

  it('goes on within twenty minutes when nobody measures any more', async () => {
    const from = messages();
    const undo = rehearsal.cloud.intercept((call) => {
      if (call.principal.roleArn?.includes('PosturePublish')) throw new Error('the function cannot read anything');
    });
    for (let i = 0; i < 4; i++) await pass(1, []);
    expect(await alarm('no-daily-backup')).toBe('ALARM');
    await expectPage(from, /Alarm: orders: No verified backup/, 'no-daily-backup');
    undo();
    // Calls that failed meanwhile are repeated by Lambda and may be taken for the next look.
    for (let i = 0; i < 6 && (await alarm('no-daily-backup')) !== 'OK'; i++) await pass(1);
    expect(await alarm('no-daily-backup')).toBe('OK');
  });
});

describe('task-image-old', () => {
  it('goes on when nothing was deployed for too long, and tells where the fixes come from', async () => {
    const from = messages();
    for (let hours = 0; (await alarm('task-image-old')) === 'OK' && hours < 8; hours++) await pass(12);
    expect(await alarm('task-image-old')).toBe('ALARM');
    await expectPage(from, /Warning: orders: The image of the tasks/, 'task-image-old');
  });
});

describe('the catalogue of metrics', () => {
  it('is emitted by what ran here; alarms-standby.test.ts has the rest', () => {
    const ran: readonly Emitter[] = ['backup', 'base backup', 'restore test', 'posture', 'WAL receiver', 'WAL audit'];
    const silent = (Object.entries(metricCatalogue) as [MetricName, { readonly by: readonly Emitter[] }][])
      .filter(([, { by }]) => by.some((emitter) => ran.includes(emitter)))
      .filter(([name]) => rehearsal.cloud.cloudwatch.samples('pgdr', name).length === 0);
    expect(silent.map(([name]) => name)).toEqual([]);
  });
});
