import { spawn } from 'node:child_process';
import { DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ListExecutionsCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../lib/cli/rehearse/assembly.ts';
import { database, region, rehearsalConfig, restoreSecret, system } from '../../lib/cli/rehearse/rehearsal.ts';
import { alarmName, functionName, scheduleName } from '../../lib/config/names.ts';
import { type ApiCall, AwsError } from '../../local/facade.ts';
import { expectAllNeeded, expectAllUsed } from './permissions-in-use.ts';
import {
  awaitHeartbeat,
  byTask,
  expectStopped,
  giveUp,
  isSecondPart,
  scaleReceiver,
  strikeOnce,
} from './rehearsal-strikes.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/**
 * The workflows themselves, with the receiver of WAL as the service that it is: a base backup, then rows that somebody
 * destroyed come back beside those that live. Then what the templates allow for it, held against what was done.
 */

let runs: RestoreRuns;

beforeAll(async () => {
  runs = await startRestoreRuns('pitr');
  // Large enough, and random enough, for a multipart upload.
  await runs.sql('orders', 'CREATE TABLE noise AS SELECT i, sha512(i::text::bytea) FROM generate_series(1, 250000) i');
});
afterAll(() => runs?.stop());

const now = async () =>
  (
    await runs.sql(
      'orders',
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`,
    )
  )[0].at as string;

describe('a base backup', () => {
  it('is refused while nobody receives the WAL', async () => {
    await scaleReceiver(runs.rehearsal, 0);
    const { failure } = await runs.rehearsal.run('backup-physical');
    expect(failure).toMatchObject({ error: 'ReceiverNotStreaming', step: 'Take base backup' });
    expect(failure?.message).toContain('pgdr_orders');
  });

  it('is taken, verified and told of', async () => {
    const { rehearsal } = runs;
    await scaleReceiver(rehearsal, 1);
    const backUp = () => rehearsal.run('backup-physical');
    const { outcome, failure, slack } = await strikeOnce(
      rehearsal,
      backUp,
      byTask('backup'),
      awaitHeartbeat(rehearsal),
    );
    expect(failure).toBeUndefined();
    expect(outcome?.backup?.physical).toMatchObject({ timeline: 1 });
    expect(outcome?.backup?.rawBytes).toBeGreaterThan(10_000_000);
    expect(slack?.text).toContain('Base backup taken and verified');
  });

  it('is audited with its WAL, and nothing is amiss', async () => {
    const { cloud, clients } = runs.rehearsal;
    await cloud.scheduler.fire(region, scheduleName(system, database, 'audit-wal'));
    const logGroupName = `/aws/lambda/${functionName(system, 'audit-wal')}`;
    const audited = async () => {
      const { events = [] } = await clients.logs.send(new FilterLogEventsCommand({ logGroupName }));
      return events.map(({ message }) => message).join('\n');
    };
    await expect.poll(audited).toMatch(/"message":"audited".*"findings":0/);
  });

  it('that was given up is stopped', async () => {
    const { rehearsal } = runs;
    const { execution } = await giveUp(rehearsal, () => rehearsal.run('backup-physical'), 'backup');
    await expectStopped(rehearsal, execution);
  });

  it('goes on when the store refuses a part of a segment that is made whole', async () => {
    const make = async () => {
      await runs.sql(
        'orders',
        'CREATE TABLE more AS SELECT i, sha512((-i)::text::bytea) FROM generate_series(1, 250000) i',
      );
      await runs.sql('orders', 'SELECT pg_switch_wal()');
      const aborted = ({ operation, principal }: ApiCall) =>
        operation === 'AbortMultipartUpload' && /-receive-/.test(String(principal.roleArn));
      await expect.poll(() => runs.rehearsal.cloud.calls().some(aborted), { timeout: 60_000 }).toBe(true);
    };
    await strikeOnce(runs.rehearsal, make, isSecondPart('receive'), () => {
      throw new AwsError('InvalidRequest', 'Refused by the test.', 400);
    });
  });

  it('is started by the receiver that meets a gap, whose alarm is on until it is verified', async () => {
    const { clients, cloud } = runs.rehearsal;
    const alarm = async () => {
      const AlarmNames = [alarmName(system, database, 'wal-gap')];
      return (await clients.cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames }))).MetricAlarms?.[0]?.StateValue;
    };
    const audit = async () => {
      const before = cloud.cloudwatch.samples('pgdr', 'RecoverableWindowSeconds').length;
      await cloud.scheduler.fire(region, scheduleName(system, database, 'audit-wal'));
      const published = () => cloud.cloudwatch.samples('pgdr', 'RecoverableWindowSeconds').length;
      await expect.poll(published, { timeout: 30_000 }).toBeGreaterThan(before);
      await cloud.advance(60_000);
    };
    await audit();
    expect(await alarm()).toBe('OK');

    await scaleReceiver(runs.rehearsal, 0);
    const limits = { max_slot_wal_keep_size: '32MB', max_wal_size: '48MB', min_wal_size: '32MB' };
    for (const [name, value] of Object.entries(limits))
      await runs.sql('postgres', `ALTER SYSTEM SET ${name} = '${value}'`);
    await runs.sql('postgres', 'SELECT pg_reload_conf()');
    for (let i = 0; i < 8; i++) {
      await runs.sql(
        'postgres',
        "SELECT count(pg_logical_emit_message(false, 'x', repeat('y', 1000000))) FROM generate_series(1, 16)",
      );
      await runs.sql('postgres', 'SELECT pg_switch_wal()');
      await runs.sql('postgres', 'CHECKPOINT');
    }
    await scaleReceiver(runs.rehearsal, 1);
    const started = () => cloud.calls().find(({ input }) => String(input.name).startsWith('gap-orders-'));
    await expect.poll(started, { timeout: 30_000 }).toBeDefined();
    await cloud.advance(60_000);
    expect(await alarm()).toBe('ALARM');

    const stateMachineArn = String(started()?.input.stateMachineArn);
    const ended = async () => {
      const { executions } = await clients.sfn.send(new ListExecutionsCommand({ stateMachineArn }));
      return executions?.find(({ name }) => name?.startsWith('gap-orders-'))?.status;
    };
    await expect.poll(ended, { timeout: 90_000, interval: 500 }).toBe('SUCCEEDED');
    await audit();
    expect(await alarm()).toBe('OK');
    for (const name of Object.keys(limits)) await runs.sql('postgres', `ALTER SYSTEM RESET ${name}`);
    await runs.sql('postgres', 'SELECT pg_reload_conf()');
  });
});

describe('a restore test of base backup and WAL', () => {
  it('proves what can be recovered, and how much would be lost', async () => {
    // It has the hashes that the recovered server is compared with.
    expect((await runs.rehearsal.run('backup-logical')).failure).toBeUndefined();
    await stored();
    const { outcome, failure } = await runs.rehearsal.run('restore-test', 'restore-test-physical');
    expect(failure).toBeUndefined();
    expect(outcome?.proof).toMatchObject({ level: 'L5', databases: ['orders'] });
    expect(outcome?.proof?.tables).toBeGreaterThan(5);
    expect(outcome?.proof?.reportKey).toContain('/recovery-proofs/');
    expect(outcome?.proof?.rpoSeconds).toBeGreaterThan(0);
  });
});

/** Waits until the store holds what was committed by now, and a commit behind it, by which a recovery sees so. */
async function stored(): Promise<void> {
  const lsn = async () => (await runs.sql('orders', 'SELECT pg_switch_wal()'))[0].pg_switch_wal as string;
  const end = await lsn();
  const received = async () =>
    (await runs.sql('orders', `SELECT bool_or(restart_lsn >= '${end}') AS held FROM pg_replication_slots`))[0].held;
  await expect.poll(received, { timeout: 30_000, interval: 250 }).toBe(true);
}

describe('a restore to a point in time', () => {
  it('brings rows back into a schema beside the live ones, and moves nothing else', async () => {
    const [before] = await runs.sql(
      'orders',
      'SELECT count(*)::int AS rows, sum(hashtext(c::text))::text AS hash FROM customers c',
    );
    const at = await now();
    await runs.sql('orders', "UPDATE customers SET email = 'gone-' || email");
    await runs.sql(
      'orders',
      'DELETE FROM customers WHERE id IN (SELECT id FROM customers c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id) LIMIT 2)',
    );
    const [damaged] = await runs.sql('orders', 'SELECT sum(hashtext(c::text))::text AS hash FROM customers c');
    await stored();

    const restore = () =>
      runs.restore({
        at: { kind: 'time', time: at },
        tables: ['public.customers'],
        toDatabase: 'orders',
        toSchema: 'rescued',
      });
    const { rehearsal } = runs;
    const { failure, summary } = await strikeOnce(rehearsal, restore, byTask('restore'), awaitHeartbeat(rehearsal));
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ toSchema: 'rescued', rows: String(before.rows), recovery: { timeline: 1 } });
    const [rescued] = await runs.sql(
      'orders',
      'SELECT count(*)::int AS rows, sum(hashtext(c::text))::text AS hash FROM rescued.customers c',
    );
    expect(rescued).toEqual(before);
    expect(await runs.sql('orders', 'SELECT sum(hashtext(c::text))::text AS hash FROM customers c')).toEqual([damaged]);
  });

  it('is refused beyond the last commit, and nothing is made', async () => {
    const { failure } = await runs.restore({ at: { kind: 'time', time: '2199-01-01T00:00:00Z' } });
    expect(failure).toMatchObject({ error: 'RecoveryTargetUnreachable', step: 'Recover server' });
  });

  it('aborts its uploads when the store refuses one', async () => {
    const { rehearsal } = runs;
    const restore = () => runs.restore({ at: { kind: 'latest' }, tables: ['public.noise'], toSchema: 'rescued' });
    const { failure } = await strikeOnce(rehearsal, restore, isSecondPart('restore'), () => {
      throw new AwsError('InvalidRequest', 'Refused by the test.', 400);
    });
    expect(failure).toMatchObject({ error: 'StorageRefused', step: 'Recover server' });
  });
});

describe('what the templates allow for it', () => {
  it('is all used, but for what has a reason written down', () => expectAllUsed(runs.rehearsal, 'physical'));

  it('has no statement without which nothing would be refused', () => {
    expect(expectAllNeeded(runs.rehearsal, 'physical').length).toBeGreaterThan(20);
  });
});

describe('the recovery region by itself', () => {
  const recovery = 'us-east-1';

  /** What an operator runs, who names the region that is left. */
  const pgdr = (...args: string[]) =>
    new Promise<{ code: number | null; result: Record<string, unknown> }>((done) => {
      const child = spawn(process.execPath, ['bin/pgdr.ts', ...args, '--region', recovery, '--json'], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'ignore'],
        env: {
          ...process.env,
          ...runs.rehearsal.cloud.environment(recovery),
          PGDR_CONFIG: rehearsalConfig,
          PGDR_REHEARSE_MAJOR: String(runs.rehearsal.postgres.major),
        },
      });
      let text = '';
      child.stdout.on('data', (chunk) => {
        text += chunk;
      });
      child.on('close', (code) => done({ code, result: JSON.parse(text) }));
    });

  it('is what is left, with all that was stored by then', async () => {
    const { cloud, source } = runs.rehearsal;
    const { user: username, password } = source.server.superuser;
    const SecretString = JSON.stringify({ ...source.secret, username, password });
    await new SecretsManagerClient(cloud.client(recovery)).send(
      new CreateSecretCommand({ Name: restoreSecret, SecretString }),
    );
    await stored();
    while (cloud.s3.replication.backlog() > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    cloud.outage(region, 'down');
  });

  it('says up to when it can recover', async () => {
    const { code, result } = await pgdr('window', database);
    const range = expect.objectContaining({ timeline: 1, to: expect.objectContaining({ at: expect.any(String) }) });
    expect(result).toMatchObject({ regions: [{ region: recovery, ranges: expect.arrayContaining([range]) }] });
    expect(code).toBe(0);
  });

  it('recovers the last moment that it holds', async () => {
    const { code, result } = await pgdr(
      ...['restore', database, '--latest', '--table', 'public.customers', '--to-database', 'after_outage'],
      ...['--target-secret', restoreSecret],
    );
    expect(result).toMatchObject({ ok: true, region: recovery, outcome: { restore: { recovery: { timeline: 1 } } } });
    expect(code).toBe(0);
    const rows = 'SELECT count(*)::int AS n, sum(hashtext(c::text))::text AS hash FROM customers c';
    expect(await runs.sql('after_outage', rows)).toEqual(await runs.sql('orders', rows));
  });
});
