import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListExecutionsCommand, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stateMachineArn } from '../../lib/cli/deployed.ts';
import { region } from '../../lib/cli/rehearse/rehearsal.ts';
import { serverAccount } from '../../lib/cli/rehearse/unprivileged.ts';
import { AwsError } from '../../local/facade.ts';
import { workers } from './rehearsal-strikes.ts';
import { type RestoreRuns, startRestoreRuns } from './restore-runs.ts';

/** Restores that are struck while they run: what remains is marked, says so, and the same command mends it. */

let runs: RestoreRuns;
const target = 'struck';

beforeAll(async () => {
  runs = await startRestoreRuns('restore-faults');
  await runs.sql(
    'orders',
    `CREATE TABLE bulk (id bigint, filler text);
     ALTER TABLE bulk ALTER filler SET STORAGE PLAIN;
     INSERT INTO bulk SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 40000) g`,
  );
  await runs.backup();
});
afterAll(() => runs?.stop());

const state = async () =>
  (
    await runs.sql(
      'postgres',
      `SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = '${target}'`,
    )
  )[0]?.mark;

const expectMarked = async () =>
  expect(await state()).toMatch(/^pgdr: incomplete restore of \d{8}T\d{6}Z-\w+ started /);

const expectMended = async () => {
  const { failure, summary } = await runs.restore({ toDatabase: target });
  expect(failure).toBeUndefined();
  expect(summary?.rows).not.toBe('0');
  expect(await state()).toMatch(/^pgdr: restored from/);
  await runs.sql('postgres', `DROP DATABASE ${target}`);
};

/** Tries until it strikes, from the moment in which the restore reads data. */
function whileReading(strike: () => Promise<boolean> | boolean): () => void {
  let over = false;
  const undo = runs.rehearsal.cloud.intercept((call) => {
    if (call.service !== 's3' || call.operation !== 'GetObject' || !/tables\//.test(String(call.input.Key))) return;
    void (async () => {
      while (!over && !(await strike())) await sleep(2);
    })();
  });
  return () => {
    over = true;
    undo();
  };
}

/** Processes of this program in the process group of the running task. */
function programs(name: string): number[] {
  const task = workers(runs.rehearsal.cloud).findLast((one) => one.lastStatus === 'RUNNING' && one.pid !== undefined);
  return execFileSync('ps', ['-A', '-o', 'pid=,pgid=,comm='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, group, program]) => Number(group) === task?.pid && program?.endsWith(name))
    .map(([pid]) => Number(pid));
}

describe('an interrupted restore leaves a marked database, and is mended by the same command', () => {
  it('when pg_restore is killed', async () => {
    const undo = whileReading(() => {
      const found = programs('pg_restore');
      for (const pid of found) process.kill(pid, 'SIGKILL');
      return found.length > 0;
    });
    const { failure } = await runs.restore({ toDatabase: target });
    undo();
    expect(failure).toMatchObject({ error: 'RestoreIncomplete', step: 'Restore' });
    expect(failure?.message).toMatch(
      /pg_restore was killed by SIGKILL.*database struck is left, marked as incomplete/s,
    );
    await expectMarked();
    await expectMended();
  });

  it('when its connections are lost', async () => {
    const undo = whileReading(async () => {
      const ended = await runs.sql(
        'postgres',
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${target}' AND query ~ 'COPY .* FROM stdin'`,
      );
      return ended.length > 0;
    });
    const { failure } = await runs.restore({ toDatabase: target });
    undo();
    expect(failure).toMatchObject({ error: 'RestoreIncomplete' });
    expect(failure?.message).toMatch(/terminating connection|server closed the connection|connection/);
    await expectMarked();
    await expectMended();
  });

  // The largest file that the server may write stands for the end of its disk; WAL segments fit below it.
  it.runIf(process.platform === 'linux')('when the disk of the target is full', async () => {
    const { uid, gid } = serverAccount() ?? {};
    const limit = (bytes: number | string) =>
      execFileSync('prlimit', ['--pid', String(runs.rehearsal.source.server.pid), `--fsize=${bytes}:`], { uid, gid });
    limit(20 * 1024 * 1024);
    const { failure } = await runs.restore({ toDatabase: target });
    limit('unlimited');
    expect(failure).toMatchObject({ error: 'RestoreIncomplete' });
    expect(failure?.message).toMatch(/could not (extend|write).*(File too large|No space left)/s);
    await expectMarked();
    await expectMended();
  });

  it('when its execution is stopped', async () => {
    const { clients, cloud, settings } = runs.rehearsal;
    const stateMachine = stateMachineArn(settings, region, 'restore');
    const undo = whileReading(async () => {
      const running = new ListExecutionsCommand({ stateMachineArn: stateMachine, statusFilter: 'RUNNING' });
      const { executions } = await clients.sfn.send(running);
      await clients.sfn.send(new StopExecutionCommand({ executionArn: executions?.[0]?.executionArn }));
      return true;
    });
    const { summary } = await runs.restore({ toDatabase: target });
    undo();
    expect(summary).toBeUndefined();
    // Nobody stops the task; it finds out for itself before it would call the database restored.
    while (workers(cloud).some(({ lastStatus }) => lastStatus === 'RUNNING')) await sleep(100);
    await expectMarked();
    await expectMended();
  });
});

it('a restore keeps others away from its database', async () => {
  const client = await runs.rehearsal.source.server.connect('postgres');
  await client.query(`SELECT pg_advisory_lock(hashtext('pgdr restore'), hashtext('${target}'))`);
  const { failure } = await runs.restore({ toDatabase: target });
  await client.end();
  expect(failure).toMatchObject({ error: 'RestoreTargetExists', message: expect.stringContaining('another restore') });
  expect(await state()).toBeUndefined();
});

it('a store that refuses is named, and the database stays marked', async () => {
  const { cloud } = runs.rehearsal;
  const undo = cloud.intercept((call) => {
    if (call.operation === 'GetObject' && /tables\//.test(String(call.input.Key)))
      throw new AwsError('SlowDown', 'Please reduce your request rate.', 503);
  });
  const { failure } = await runs.restore({ toDatabase: target });
  undo();
  expect(failure?.error).toBe('StorageRefused');
  expect(failure?.message).toContain('database struck is left, marked as incomplete');
  await expectMarked();
});

it('content that differs from the manifest is never called restored', async () => {
  const undo = whileVerifying();
  const { failure } = await runs.restore({ toDatabase: target });
  await undo();
  expect(failure).toMatchObject({ error: 'ContentDiffers' });
  expect(failure?.message).toMatch(/public\.bulk has 39999 rows, not 40000/);
  await expectMarked();
});

/** Takes a row away as soon as one is there. */
function whileVerifying(): () => Promise<void> {
  let over = false;
  const work = (async () => {
    while (!over) {
      const removed = await runs.sql(target, 'DELETE FROM bulk WHERE id = 1 RETURNING id').catch(() => []);
      if (removed.length > 0) return;
      await sleep(5);
    }
  })();
  return async () => {
    over = true;
    await work;
  };
}
