import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GetParameterCommand, PutParameterCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { database, region, rehearsalConfig, system } from '../../lib/cli/rehearse/rehearsal.ts';
import { findMajor } from '../../lib/cli/setup/postgres-binaries.ts';
import { physicalSettingsParameterName } from '../../lib/config/names.ts';
import { scaleReceiver } from '../local/rehearsal-strikes.ts';
import { type RestoreRuns, startRestoreRuns } from '../local/restore-runs.ts';

/** Incremental base backups by the deployed workflows, with the permissions that they have, on PostgreSQL 17. */
const postgres = findMajor(17);
const missing = 'MISSING JUDGE: PostgreSQL 17. Try: node bin/majors.mjs 17';

if (!postgres) {
  test(missing, ({ skip }) => {
    if (process.env.CI) throw new Error(missing);
    console.warn(`\n${missing}\n`);
    skip();
  });
}

describe.runIf(postgres)('base backups that are asked to be increments', () => {
  let runs: RestoreRuns;
  const ids: string[] = [];

  beforeAll(async () => {
    runs = await startRestoreRuns('increments', 2_000_000, { postgres });
    const { ssm } = runs.rehearsal.clients;
    const Name = physicalSettingsParameterName(system, database);
    const { Parameter } = await ssm.send(new GetParameterCommand({ Name }));
    const Value = JSON.stringify({ ...JSON.parse(Parameter?.Value ?? ''), fullEverySeconds: 7 * 86_400 });
    await ssm.send(new PutParameterCommand({ Name, Value, Overwrite: true }));
    await scaleReceiver(runs.rehearsal, 1);
  });
  afterAll(() => runs?.stop());

  const backUp = async () => {
    const { outcome, failure } = await runs.rehearsal.run('backup-physical');
    expect(failure).toBeUndefined();
    ids.push(outcome?.backup?.id ?? '');
    return outcome?.backup;
  };

  it('begin with a full one, and are full while the server keeps no summaries', async () => {
    expect((await backUp())?.physical).toMatchObject({
      parentId: null,
      fullBecause: 'summarize_wal is off on the server',
    });
    await runs.sql('postgres', 'ALTER SYSTEM SET summarize_wal = on');
    await runs.sql('postgres', 'SELECT pg_reload_conf()');
    await expect.poll(async () => (await runs.sql('postgres', 'SHOW summarize_wal'))[0].summarize_wal).toBe('on');
    const second = await backUp();
    expect(second?.physical?.parentId).toBe(second?.physical?.fullBecause ? null : ids[0]);
  });

  it('then build on the one before, are verified, and told of', async () => {
    await runs.sql('orders', 'CREATE TABLE more AS SELECT i FROM generate_series(1, 1000) i');
    const backup = await backUp();
    expect(backup?.physical).toMatchObject({ parentId: ids[1], fullBecause: null });
    expect(backup?.bytes).toBeLessThan(2_000_000);
  });

  it('are listed with what they build on', async () => {
    const { cloud } = runs.rehearsal;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['bin/pgdr.ts', 'list', database, '--physical', '--json'],
      {
        env: {
          ...process.env,
          ...cloud.environment(region),
          PGDR_CONFIG: rehearsalConfig,
          PGDR_REHEARSE_MAJOR: '17',
          PGDR_REHEARSE_RESTORE_MAJOR: '17',
        },
      },
    );
    const listed = JSON.parse(stdout) as { id: string; parentId: string | null; usable: boolean }[];
    expect(listed.map(({ id }) => id)).toEqual(ids.toReversed());
    expect(listed.map(({ usable }) => usable)).toEqual([true, true, true]);
    expect(listed[0]?.parentId).toBe(ids[1]);
  });

  it('are restored as a chain, compared with the source', async () => {
    expect((await runs.rehearsal.run('backup-logical')).failure).toBeUndefined();
    const [{ end }] = await runs.sql('orders', 'SELECT pg_switch_wal() AS end');
    const received = async () =>
      (await runs.sql('orders', `SELECT bool_or(restart_lsn >= '${end}') AS held FROM pg_replication_slots`))[0].held;
    await expect.poll(received, { timeout: 30_000, interval: 250 }).toBe(true);
    const { outcome, failure } = await runs.rehearsal.run('restore-test', 'restore-test-physical');
    expect(failure).toBeUndefined();
    expect(outcome?.proof).toMatchObject({ level: 'L5', backupId: ids[2] });
    expect(outcome?.proof?.tables).toBeGreaterThan(5);
  });
});
