import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MachineRun } from '../../lib/cli/rehearse/failover/pair.ts';
import { held, openStage, type Stage, until } from './failover-harness.ts';

/** Synchronous replication is a fence by itself, and loses nothing: the primary's region cannot even be asked. */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-sync', { fences: ['synchronous'], synchronous: true });
});
afterAll(() => stage?.close());

/** The new writer has all that was acknowledged, and nobody else acknowledged anything. */
async function expectNothingLost(scenario: string, run: MachineRun): Promise<void> {
  expect(run.failure).toBeUndefined();
  expect(run.outcome?.failover).toMatchObject({
    to: 'standby',
    fence: { fence: 'synchronous' },
    loss: { lowerSeconds: 0, upperSeconds: 0 },
  });
  await stage.moreWrites(100, 'standby');
  const verdict = await stage.judge('standby');
  expect(verdict.lost).toEqual([]);
  expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
  held(scenario, 'no acknowledged write is lost', `${verdict.acknowledged} writes`);
}

describe('a synchronous pair', () => {
  it('kill9-sync: whatever was acknowledged before the kill is there', async () => {
    stage.losePrimary();
    await expectNothingLost('kill9-sync', await stage.failover({ force: true, reason: 'kill -9' }));
    await stage.failback();
  });

  it('freeze-resume-sync: the primary that thaws acknowledges nothing', async () => {
    await stage.nextAct();
    const thaw = stage.freeze('primary');
    let run: MachineRun;
    try {
      await sleep(1000);
      run = await stage.failover({ force: true, reason: 'frozen' });
    } finally {
      thaw();
    }
    await stage.moreWrites(50, 'standby');
    // The clients that hung on the old primary have their answers by now, or will never have any.
    await sleep(3000);
    await expectNothingLost('freeze-resume-sync', run);
    held('freeze-resume-sync', 'the thawed primary acknowledges nothing');
    await stage.failback();
  });

  it('cancel-syncrep: commits that wait are not acknowledged by a failover; one that somebody cancels says so', async () => {
    await stage.nextAct();
    const thaw = stage.freeze('primary', await stage.processes('primary', 'walsender'));
    const [waiting, cancelled] = [await hang(stage, 1), await hang(stage, 2)];
    try {
      const { rows } = await (await stage.pair.connect('primary').then(endAfter))(
        'SELECT pg_cancel_backend($1) AS done',
        [cancelled.pid],
      );
      expect(rows[0].done).toBe(true);
      await cancelled.answer;
      expect(cancelled.warnings.join()).toMatch(/might not have been replicated to the standby/);
      held('cancel-syncrep', 'who cancels a wait is warned that the write is on one server only');
      const run = await stage.failover({ force: true, reason: 'the standby is cut off' });
      thaw();
      await expectNothingLost('cancel-syncrep', run);
      expect(run.outcome?.failover?.loss?.note).toMatch(/somebody cancelled/);
      // It hangs for ever, or its server ended: an acknowledgement is what it must not have.
      expect(await Promise.race([waiting.answer, sleep(500, 'waits')])).not.toBe('acknowledged');
      held('cancel-syncrep', 'a failover cancels nothing: what waits is never acknowledged');
    } finally {
      thaw();
      for (const { client } of [waiting, cancelled]) void client.end().catch(() => {});
    }
  });
});

const endAfter = (client: Client) => (text: string, values: unknown[]) =>
  client.query(text, values).finally(() => client.end());

/** A write on the primary that waits for the standby. */
async function hang({ pair }: Stage, n: number) {
  const client = await pair.connect('primary');
  const warnings: string[] = [];
  client.on('notice', ({ message }) => warnings.push(`${message}`));
  client.on('notice', ({ detail }) => warnings.push(`${detail}`));
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
  const answer = client.query('INSERT INTO ledger (worker, n) VALUES (-1, $1)', [n]).then(
    () => 'acknowledged',
    (error: Error) => error.message,
  );
  const watcher = await pair.connect('primary');
  await until('a commit waits for the standby', async () => {
    const { rows: waits } = await watcher.query(
      `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`,
      [rows[0].pid],
    );
    return waits.length > 0;
  });
  await watcher.end();
  return { client, pid: rows[0].pid as number, answer, warnings };
}
