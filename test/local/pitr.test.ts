import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';
import { startWalShipper } from './wal-shipper.ts';

/** The workflows themselves: a base backup, then rows that somebody destroyed come back beside those that live. */

let runs: RestoreRuns;
let shipper: { stop(): Promise<void> } | undefined;

beforeAll(async () => {
  runs = await startRestoreRuns('pitr');
});
afterAll(async () => {
  await shipper?.stop();
  await runs?.stop();
});

const now = async () =>
  (
    await runs.sql(
      'orders',
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`,
    )
  )[0].at as string;

describe('a base backup', () => {
  it('is refused while nobody receives the WAL', async () => {
    const { failure } = await runs.rehearsal.run('backup-physical');
    expect(failure).toMatchObject({ error: 'ReceiverNotStreaming', step: 'Take base backup' });
    expect(failure?.message).toContain('pgdr_orders');
  });

  it('is taken, verified and told of', async () => {
    const { source, settings, clients, directory, postgres } = runs.rehearsal;
    shipper = await startWalShipper({
      bin: postgres.bin,
      directory: join(directory, 'received'),
      connection: { ...source.server, ...source.server.superuser },
      slot: 'pgdr_orders',
      s3: clients.s3,
      bucket: settings.bucket,
      lineage: settings,
    });
    const { outcome, failure, slack } = await runs.rehearsal.run('backup-physical');
    expect(failure).toBeUndefined();
    expect(outcome?.backup?.physical).toMatchObject({ timeline: 1 });
    expect(outcome?.backup?.rawBytes).toBeGreaterThan(10_000_000);
    expect(slack?.text).toContain('Base backup taken and verified');
  });
});

describe('a restore test of base backup and WAL', () => {
  it('proves what can be recovered, and how much would be lost', async () => {
    const { outcome, failure } = await runs.rehearsal.run('restore-test', 'restore-test-physical');
    expect(failure).toBeUndefined();
    expect(outcome?.proof).toMatchObject({ level: 'L5', databases: ['orders'] });
    expect(outcome?.proof?.reportKey).toContain('/recovery-proofs/');
    expect(outcome?.proof?.rpoSeconds).toBeGreaterThan(0);
  });
});

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
    await runs.sql('orders', 'SELECT pg_switch_wal()');
    await sleep(1500);

    const { failure, summary } = await runs.restore({
      at: { kind: 'time', time: at },
      tables: ['public.customers'],
      toDatabase: 'orders',
      toSchema: 'rescued',
    });
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
});
