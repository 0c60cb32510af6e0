import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DoctorResult, examine } from '../../lib/cli/commands/doctor.ts';
import { examineServers, examineStandby } from '../../lib/cli/doctor/servers.ts';
import { database, region, system } from '../../lib/cli/rehearse/rehearsal.ts';
import { scheduleDeadLetterQueueName } from '../../lib/config/names.ts';
import { type Config, type ConfigInput, parseConfig } from '../../lib/config/schema.ts';
import type { Finding } from '../../lib/core/doctor/finding.ts';
import { parseConnection } from '../../lib/postgres/connection.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** `pgdr doctor` against what is deployed and a real server, in good and in bad states. What it says to run, is run. */

let runs: RestoreRuns;
let major: number;
const recovery = 'us-east-1';

const configOf = (changes: Partial<ConfigInput['databases'][number]> = {}): Config =>
  parseConfig({
    name: system,
    regions: { primary: region, recovery },
    databases: [{ name: database, version: major, primary: { secret: 'orders/primary' }, ...changes }],
    notifications: { slackWebhookSecret: 'pgdr/slack' },
  } as ConfigInput);

const look = (config = configOf(), beforeDeploy = false): Promise<DoctorResult> =>
  examine(config, undefined, beforeDeploy, (where) => runs.rehearsal.cloud.client(where));

const of = (findings: readonly Finding[], check: string, subject = ''): Finding | undefined =>
  findings.find((finding) => finding.check.startsWith(check) && finding.subject.includes(subject));

/** Runs the SQL among what a finding says. */
const mend = async (finding: Finding | undefined, where: string = database) => {
  const statements = finding?.mend.filter((line) => /^(GRANT|ALTER|SELECT) /.test(line)) ?? [];
  expect(statements.length, JSON.stringify(finding)).toBeGreaterThan(0);
  for (const statement of statements) await runs.sql(where, statement);
};

const secrets = () => new Map([['orders/primary', JSON.stringify(runs.rehearsal.source.secret)]]);

beforeAll(async () => {
  runs = await startRestoreRuns('doctor');
  major = runs.rehearsal.postgres.major;
});
afterAll(() => runs?.stop());

describe('what is deployed', () => {
  it('is looked at in both regions, before a backup and after it', async () => {
    const before = await look();
    expect(before.ok).toBe(false);
    expect(before.findings.filter(({ state }) => state === 'failed').map(({ check }) => check)).toEqual([
      'last backup',
      'last backup',
    ]);
    expect(of(before.findings, 'Object Lock', region)).toMatchObject({ state: 'ok', found: 'GOVERNANCE, 30 days' });
    expect(of(before.findings, 'credentials')?.found).toContain(runs.rehearsal.cloud.account);
    // The secrets of the other region are needed when it takes over; the word is how to make them.
    const missing = of(before.findings, 'secret orders/primary', recovery);
    expect(missing).toMatchObject({ state: 'warning' });
    expect(missing?.mend[0]).toContain(`create-secret --region ${recovery} --name orders/primary`);

    await runs.backup();
    while (runs.rehearsal.cloud.s3.replication.backlog() > 0) await new Promise((done) => setTimeout(done, 50));
    const after = await look();
    expect(after.findings.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(after.ok).toBe(true);
    expect(of(after.findings, 'last backup', recovery)?.state).toBe('ok');
  });

  it('and what is amiss is named, without a secret in any word', async () => {
    const { clients, cloud, source } = runs.rehearsal;
    const sqs = new SQSClient(cloud.client(region));
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: scheduleDeadLetterQueueName(system) }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'lost' }));
    sqs.destroy();
    const SecretString = JSON.stringify({ ...source.secret, host: undefined, port: 'many', password: 'hunter2' });
    await clients.secrets.send(new PutSecretValueCommand({ SecretId: 'orders/primary', SecretString }));
    try {
      const { findings, ok } = await look(configOf({ lineage: 'second', objectives: { rto: '1 hour' } }));
      expect(ok).toBe(false);
      expect(of(findings, 'secret orders/primary', region)).toMatchObject({
        state: 'failed',
        found: expect.stringContaining('wrong or missing: host, port'),
      });
      expect(JSON.stringify(findings)).not.toContain('hunter2');
      expect(of(findings, `queue ${scheduleDeadLetterQueueName(system)}`, region)?.state).toBe('warning');
      const settings = of(findings, 'settings', `${database} in ${region}`);
      expect(settings).toMatchObject({ state: 'warning' });
      expect(settings?.found).toContain('lineage is main, configured second');
      expect(settings?.found).toContain('objectives.rto is 14400, configured 3600');
      expect(of(findings, 'connection', 'server of')?.state).toBe('failed');
    } finally {
      await runs.rehearsal.setDatabaseSecret(source.secret);
    }
  });

  it('is not missed before the first deployment, but the bootstrap is', async () => {
    const { findings } = await look(configOf(), true);
    expect(of(findings, 'bootstrap', region)).toMatchObject({ state: 'failed' });
    expect(of(findings, 'bootstrap', recovery)?.mend).toEqual([
      `npx cdk bootstrap aws://${runs.rehearsal.cloud.account}/${recovery}`,
    ]);
    for (const check of ['bucket', 'settings', 'schedule', 'queue', 'last backup'])
      expect(of(findings, check)).toBeUndefined();
  });
});

describe('a server', () => {
  const examineNow = async (changes: Partial<ConfigInput['databases'][number]> = {}) =>
    examineServers(configOf(changes).databases[0] as Config['databases'][number], secrets());

  it('whose tables may not be read, and whose rows are hidden, is mended by what is printed', async () => {
    await runs.sql(
      database,
      `REVOKE pg_read_all_data FROM pgdr_backup;
       CREATE SCHEMA "Odd ""one"; CREATE TABLE "Odd ""one"."t'able" (a int);
       ALTER TABLE "Odd ""one"."t'able" ENABLE ROW LEVEL SECURITY;
       SELECT lo_create(4711)`,
    );
    const denied = of(await examineNow(), 'content of orders');
    expect(denied).toMatchObject({
      state: 'failed',
      found: expect.stringMatching(/TableNotReadable.*large object 4711/),
    });
    await mend(denied);
    const hidden = of(await examineNow(), 'content of orders');
    expect(hidden).toMatchObject({ state: 'failed', found: expect.stringContaining('row-security') });
    await mend(hidden);
    const findings = await examineNow();
    expect(findings.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(of(findings, 'tables to come')?.state).toBe('ok');
  });

  it('of another major than configured is told of', async () => {
    const version = of(await examineNow({ version: major === 18 ? 17 : 18 }), 'version');
    expect(version).toMatchObject({ state: 'failed', mend: [expect.stringContaining(`version: ${major}`)] });
  });

  it('without what WAL needs is mended by what is printed', async () => {
    const physical = { physical: { slot: 'doctor' } };
    await runs.sql('postgres', 'ALTER ROLE pgdr_backup NOREPLICATION');
    const before = await examineNow(physical);
    expect(of(before, 'wal_level')?.state).toBe('ok');
    expect(of(before, 'slot doctor')).toMatchObject({
      state: 'ok',
      found: expect.stringContaining('not there yet'),
    });
    expect(of(before, 'replication privilege')?.state).toBe('failed');
    expect(of(before, 'max_slot_wal_keep_size')?.state).toBe('warning');
    await mend(of(before, 'replication privilege'));
    await mend(of(before, 'max_slot_wal_keep_size'));
    await runs.sql('postgres', `SELECT pg_create_physical_replication_slot('doctor', true)`);
    const after = await examineNow(physical);
    expect(of(after, 'replication connection')?.state).toBe('ok');
    expect(of(after, 'max_slot_wal_keep_size')).toMatchObject({ state: 'ok', found: '50GB' });
    expect(of(after, 'slot doctor')).toMatchObject({ state: 'warning', found: expect.stringContaining('nobody') });
    await runs.sql('postgres', `SELECT pg_drop_replication_slot('doctor')`);
  });

  it('that takes writes is no standby, and one that refuses is said to', async () => {
    const connection = parseConnection(JSON.stringify(runs.rehearsal.source.secret), 'orders/standby');
    expect(await examineStandby(database, connection)).toMatchObject([{ check: 'recovery', state: 'failed' }]);
    const wrong = await examineStandby(database, { ...connection, password: 'no' });
    expect(wrong).toMatchObject([{ check: 'connection', state: 'failed' }]);
    expect(wrong[0]?.found).toContain('password authentication failed');
  });
});
