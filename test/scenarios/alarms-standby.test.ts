import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import { type Pair, regions, startPair } from '../../lib/cli/rehearse/failover/pair.ts';
import { openRunDirectory, type RunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import { plainText, startWebhook, type Webhook } from '../../lib/cli/rehearse/webhook.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import { alarmName, failoverParameterName, functionName, pageName } from '../../lib/config/names.ts';
import type { AlarmId } from '../../lib/core/alarms.ts';
import { sendSigned } from '../../local/runtime/signed-request.ts';
import { alteredAssembly } from './altered.ts';

/** Alarms of a pair of servers, on and off by their real cause: a standby that is cut, a primary that is lost. */

const [system, database] = ['rehearsal', 'orders'];
let run: RunDirectory;
let pair: Pair;
let webhook: Webhook;
let settings: unknown;

beforeAll(async () => {
  run = openRunDirectory(join(workDirectory, 'rehearse'), `alarms-standby-${process.pid}`);
  webhook = await startWebhook();
  pair = await startPair({
    postgres: providePostgres(() => {}),
    directory: run.path,
    slackWebhook: webhook.url,
    alter: (assembly) =>
      alteredAssembly(assembly, `${run.path}.assembly`, (type, properties) => {
        // The test probes, once a minute of the cloud's clock, and shorter than a minute.
        if (type === 'AWS::Scheduler::Schedule' && /probe/.test(properties.Name)) properties.State = 'DISABLED';
        if (properties.AlarmName === alarmName(system, database, 'replication-lag-bytes'))
          properties.Threshold = 500_000;
      }),
  });
  settings = JSON.parse(String(pair.cloud.ssm.valueOf(regions.primary, failoverParameterName(system, database))));
  await pass(2);
});

afterAll(async () => {
  await pair?.stop();
  await webhook?.close();
  rmSync(`${run?.path}.assembly`, { recursive: true, force: true });
  run?.close();
});

/** Minutes of the cloud's clock, with a probe in each. */
async function pass(minutes: number): Promise<void> {
  for (let i = 0; i < minutes; i++) {
    const response = await sendSigned(pair.cloud, pair.cloud.client(regions.primary).credentials, {
      service: 'lambda',
      region: regions.primary,
      path: `/2015-03-31/functions/${functionName(system, 'failover-probe')}/invocations`,
      body: JSON.stringify({ settings, found: { writer: 'primary', epoch: 1 }, seconds: 0.1 }),
    });
    expect(response.headers.get('x-amz-function-error')).toBeNull();
    await response.arrayBuffer();
    await pair.cloud.advance(60_000);
  }
}

async function stateOf(name: string): Promise<string | undefined> {
  const { MetricAlarms, CompositeAlarms } = await pair.clients.primary.cloudwatch.send(
    new DescribeAlarmsCommand({ AlarmNames: [name], AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }),
  );
  return (MetricAlarms?.[0] ?? CompositeAlarms?.[0])?.StateValue;
}
const alarm = (id: AlarmId) => stateOf(alarmName(system, database, id));
const page = (id: AlarmId) => stateOf(pageName(system, database, id));

async function expectTold(from: number, begins: RegExp, runbook: string): Promise<void> {
  const message = await webhook.waitFor(({ text }) => begins.test(text), 20, from);
  expect(message, `a message like ${begins}`).toBeDefined();
  expect(plainText(message as never)).toContain(`<https://runbooks.example.com/${runbook}.md|${runbook}.md>`);
}
/** Of the servers: that this database has no backups is told as well. */
const told = (from: number) =>
  webhook.messages
    .slice(from)
    .map(({ text }) => text)
    .filter((text) => /standby|primary/.test(text));

describe('a standby', () => {
  it('whose replay is held up is told as behind, in time and in bytes by one page, and as caught up', async () => {
    expect([await alarm('replication-lag'), await alarm('primary-down')]).toEqual(['OK', 'OK']);
    const from = webhook.messages.length;
    const standby = await pair.connect('standby');
    await standby.query('SELECT pg_wal_replay_pause()');
    const primary = await pair.connect('primary');
    await primary.query(`CREATE TABLE bulk AS SELECT md5(i::text) AS filler FROM generate_series(1, 30000) i`);
    await delay(10_500);
    await pass(7);
    expect([await alarm('replication-lag'), await alarm('replication-lag-bytes')]).toEqual(['ALARM', 'ALARM']);
    await expectTold(from, /Warning: orders: The standby is behind by 10 s/, 'replication-lag');
    expect(await page('replication-lag-bytes')).toBe('OK');
    await standby.query('SELECT pg_wal_replay_resume()');
    await standby.end();
    await primary.query('DROP TABLE bulk');
    await primary.end();
    await delay(1000);
    await pass(2);
    expect([await alarm('replication-lag'), await alarm('replication-lag-bytes')]).toEqual(['OK', 'OK']);
    await expectTold(from, /Over: orders: The standby is behind/, 'replication-lag');
    expect(told(from)).toHaveLength(2);
  });

  it('that is gone is told as behind, and its return', async () => {
    const from = webhook.messages.length;
    pair.lose('standby');
    await pass(10);
    expect([await page('replication-lag'), await alarm('primary-down')]).toEqual(['ALARM', 'OK']);
    await expectTold(from, /Warning: orders: The standby is behind/, 'replication-lag');
    pair.giveBack('standby');
    await returned('standby');
    await pass(2);
    expect(await page('replication-lag')).toBe('OK');
    await expectTold(from, /Over: orders: The standby is behind/, 'replication-lag');
  });
});

describe('a primary', () => {
  it('that is lost is told by one page, whatever else follows from it, and its return', async () => {
    const from = webhook.messages.length;
    pair.lose('primary');
    await pass(6);
    expect(await alarm('primary-down')).toBe('ALARM');
    await expectTold(from, /Alarm: orders: The primary takes no heartbeat/, 'primary-down');
    await delay(10_000);
    await pass(7);
    expect([await alarm('replication-lag'), await page('replication-lag')]).toEqual(['ALARM', 'OK']);
    expect(told(from)).toHaveLength(1);
    pair.giveBack('primary');
    await returned('primary');
    await pass(3);
    expect(await alarm('primary-down')).toBe('OK');
    await expectTold(from, /Over: orders: The primary takes no heartbeat/, 'primary-down');
  });
});

/** Until a server answers again, and the standby follows. */
async function returned(server: 'primary' | 'standby'): Promise<void> {
  const follows = async () => {
    const client = await pair.connect(server).catch(() => undefined);
    await client?.end();
    if (!client) return false;
    const primary = await pair.connect('primary');
    const { rows } = await primary.query(
      `SELECT count(*)::int AS n FROM pg_stat_replication WHERE state = 'streaming'`,
    );
    await primary.end();
    return rows[0].n > 0;
  };
  await expect.poll(follows, { timeout: 60_000, interval: 200 }).toBe(true);
}

describe('the catalogue of metrics', () => {
  it('is emitted by the probe and by failovers; alarms.test.ts has the rest', () => {
    const names = [
      'PrimaryUp',
      'HeartbeatAgeSeconds',
      'ReplicationLagSeconds',
      'ReplicationLagBytes',
      'SecondaryIsWriter',
    ];
    for (const name of names) expect(pair.cloud.cloudwatch.samples('pgdr', name).length, name).toBeGreaterThan(0);
  });
});
