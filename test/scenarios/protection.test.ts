import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSettings } from '../../lib/cli/deployed.ts';
import { listKeys, readObject } from '../../lib/cli/evidence.ts';
import { regions } from '../../lib/cli/rehearse/failover/pair.ts';
import { alarmName } from '../../lib/config/names.ts';
import { parseManifest } from '../../lib/core/manifest.ts';
import { held, openStage, type Stage } from './failover-harness.ts';

/** The primary's region is gone for good: what was protected there is protected in the other one, with no edit. */

const system = 'rehearsal';
let stage: Stage;
beforeAll(async () => {
  stage = await openStage('protection', { fences: ['lease'], physical: true });
});
afterAll(() => stage?.close());

const here = () => stage.pair.clients.standby;

/** Fires a schedule as EventBridge would, and follows what it starts to its end. */
async function fire(name: string) {
  const { executionArn } = await stage.pair.cloud.scheduler.fire(regions.standby, `${system}-orders-${name}`);
  const { execution } = await stage.pair.follow(executionArn as string);
  return execution.output === undefined ? undefined : JSON.parse(execution.output);
}

async function until<T>(what: string, look: () => Promise<T | undefined>, seconds = 90): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(250);
  }
}

const alarm = async (id: string) => {
  const AlarmNames = [alarmName(system, 'orders', id)];
  return (await here().cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames }))).MetricAlarms?.[0];
};

describe('a primary region that is gone', () => {
  it('before that, the recovery region leaves backups to it and rests', async () => {
    expect(await fire('backup-logical')).toEqual({
      started: null,
      says: 'The writer is the primary, in eu-north-1.',
    });
    expect((await alarm('no-daily-backup'))?.ActionsEnabled).toBe(false);
  });

  it('after a failover, the recovery region backs up the new writer and watches it', async () => {
    const { cloud } = stage.pair;
    stage.killPrimary();
    cloud.outage(regions.primary, 'down');
    const run = await stage.failover({ force: true, reason: 'eu-north-1 is gone' });
    expect(run.failure).toBeUndefined();
    await stage.moreWrites(50, 'standby');
    await stage.pair.cloud.scheduler.fire(regions.standby, `${system}-orders-probe-replication`);

    const began = new Date();
    const { started, says } = await fire('backup-logical');
    expect({ started, says }).toEqual({
      started: 'backup-logical',
      says: 'The writer is the standby, in us-east-1.',
    });
    const settings = await readSettings(here(), system, 'orders');
    const prefix = `${system}/orders/main/logical/`;
    const verified = await until('a verified backup', async () =>
      (await listKeys(here(), settings.bucket, prefix)).find((key) => key.endsWith('/verification.json')),
    );
    const text = await readObject(here(), settings.bucket, verified.replace('verification', 'manifest'));
    const manifest = parseManifest(text as string, verified);
    expect(Date.parse(manifest.startedAt)).toBeGreaterThanOrEqual(began.getTime());
    // What it holds is of the new writer: writes that only it has ever taken.
    const client = await stage.pair.connect('standby');
    const { rows } = await client.query('SELECT system_identifier::text AS id FROM pg_control_system()');
    await client.end();
    expect(manifest.systemIdentifier).toBe(rows[0].id);
    const [orders] = manifest.databases;
    expect(orders?.tables.map(({ relation }) => relation)).toContain('public.ledger');
    held('primary-region-gone', 'the recovery region backs up the new writer into its own bucket');

    // The probe lets protection follow at its next minute, and alarms look again.
    await until('armed alarms', async () => ((await alarm('no-daily-backup'))?.ActionsEnabled ? true : undefined));
    await cloud.scheduler.fire(regions.standby, `${system}-orders-publish-posture`);
    await until('an age of backups', async () =>
      cloud.cloudwatch.samples('pgdr', 'BackupAgeSeconds').findLast(({ region }) => region === regions.standby),
    );
    await until('a calm alarm', async () => ((await alarm('no-daily-backup'))?.StateValue === 'OK' ? true : undefined));
    held('primary-region-gone', 'its alarms are armed and see the backup');
  });

  it('and receives its WAL on the new timeline', async () => {
    const settings = await readSettings(here(), system, 'orders');
    await until('WAL of the new timeline', async () => {
      const keys = await listKeys(here(), settings.bucket, `${system}/orders/main/wal/`);
      const own = keys.some((key) => key.includes('/wal/00000002/'));
      return own && keys.some((key) => key.endsWith('/wal/00000002.history')) ? true : undefined;
    });
    held('primary-region-gone', 'WAL is received on the new timeline');
  });

  it('and says so to whoever asks', async () => {
    const { cloud } = stage.pair;
    const env = {
      ...process.env,
      ...cloud.environment(regions.standby),
      PGDR_CONFIG: join(import.meta.dirname, '../../lib/cli/rehearse/failover/failover.config.ts'),
      PGDR_REHEARSE_MAJOR: '15',
    };
    const { stdout } = await promisify(execFile)(process.execPath, ['bin/pgdr.ts', 'status', 'orders', '--json'], {
      env,
    });
    const [orders] = JSON.parse(stdout).databases;
    expect(orders).toMatchObject({ writer: { server: 'standby', region: 'us-east-1', epoch: 2 } });
    expect(orders.region).toBe('us-east-1');
    expect(orders.regions[0].problem).toMatch(/eu-north-1/);
  });
});
