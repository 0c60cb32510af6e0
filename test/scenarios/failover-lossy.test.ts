import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { now } from '../../lib/cli/rehearse/failover/ledger.ts';
import type { MachineRun } from '../../lib/cli/rehearse/failover/pair.ts';
import { expectBracketHolds, held, openStage, type Stage, until } from './failover-harness.ts';

/** Acts of one asynchronous pair in which something is truly lost, or everything about the promotion goes wrong. */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-lossy');
});
afterAll(() => stage?.close());

/** So that the age of what the standby holds is seen to grow. */
const unsentSeconds = 1.5;

describe('a primary that sends nothing any more, and then is lost', () => {
  let lostAt: number;
  let run: MachineRun;
  let stolen: () => void;

  beforeAll(async () => {
    stolen = stage.freeze('primary', await stage.processes('primary', 'walsender'));
    await sleep(unsentSeconds * 1000);
    lostAt = stage.losePrimary();
    stolen();
    run = await stage.failover({ force: true, reason: 'lost with unsent WAL' });
    await stage.moreWrites(100, 'standby');
  });

  it('shipping-stalled-then-kill, sequence-reuse: what is lost is reported, and no id of it is given again', async () => {
    expect(run.failure).toBeUndefined();
    const verdict = await stage.judge('standby');
    expect(verdict.lost.length).toBeGreaterThan(50);
    expect(verdict).toMatchObject({ repeatedIds: 0, switches: 1 });
    const measured = expectBracketHolds(stage, run, verdict, lostAt + 1000);
    held('shipping-stalled-then-kill', 'the reported loss bracket holds the truth', measured);
    const lostIds = verdict.lost.length;
    held('sequence-reuse', 'no id of a lost write is given again', `${lostIds} lost ids`);
    expect(run.outcome?.failover?.sequences?.bumped).toBeGreaterThan(0);
  });

  it('wal-recycled: an old primary that cannot be rewound is copied anew', async () => {
    stage.pair.giveBack('primary');
    const wal = join(stage.pair.files.primary.data, 'pg_wal');
    for (const name of readdirSync(wal).filter((file) => /^[0-9A-F]{24}$/.test(file))) rmSync(join(wal, name));
    const failback = await stage.failback();
    const rejoined = failback.states.find(({ name }) => name === 'Rejoin the old primary');
    expect(await detailOfRejoin(stage)).toMatch(/copied anew/);
    held('wal-recycled', 'copied where it cannot be rewound', `${rejoined?.seconds.toFixed(1)} s`);
  });
});

describe('a primary that is frozen, and thaws', () => {
  it('freeze-resume-async: it is proven stopped before another is promoted, and acknowledges nothing when it thaws', async () => {
    await stage.nextAct();
    const thaw = stage.freeze('primary');
    const frozenAt = now();
    let run: MachineRun;
    try {
      run = await stage.failover({ force: true, reason: 'frozen' });
      expect(run.failure).toBeUndefined();
      await stage.moreWrites(50, 'standby');
    } finally {
      thaw();
    }
    await sleep(1500);
    expect(run.outcome?.failover).toMatchObject({ to: 'standby', fence: { fence: 'stop' } });
    const verdict = await stage.judge('standby');
    expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
    held('freeze-resume-async', 'never two that acknowledge', `${verdict.acknowledged} writes`);
    const measured = expectBracketHolds(stage, run, verdict, frozenAt + 1000);
    held('freeze-resume-async', 'the reported loss bracket holds the truth', measured);
    await stage.failback();
  });
});

describe('a standby whose receiver hangs, and whose promotion is cancelled', () => {
  it('frozen-walreceiver: the age of what it holds is seen though its line looks well, and the promotion ends', async () => {
    await stage.nextAct();
    const thaw = stage.freeze('standby', await stage.processes('standby', 'walreceiver'));
    let frozen = true;
    const letGo = () => {
      if (frozen) thaw();
      frozen = false;
    };
    try {
      await sleep(2000);
      const { outcome } = await stage.failover({ dryRun: true, maxLossSeconds: 1 });
      expect(JSON.stringify(outcome)).toMatch(/Up to \d+\.\d s would be lost; the limit is 1 s/);
      held('frozen-walreceiver', 'the loss is bounded by what is held, not by the state of the line');

      const lostAt = stage.losePrimary();
      const started = await stage.pair.start('failover', { database: 'orders', force: true });
      const cancelled = cancelPromotions(stage, 1500);
      await sleep(4000);
      letGo();
      expect(await cancelled).toBeGreaterThan(0);
      const run = await stage.pair.follow(started);
      expect(run.failure).toBeUndefined();
      await stage.moreWrites(50, 'standby');
      const verdict = await stage.judge('standby');
      expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
      const measured = expectBracketHolds(stage, run, verdict, lostAt + 1000);
      held('frozen-walreceiver', 'the reported loss bracket holds the truth', measured);
      held(
        'promote-cancelled',
        'it is asked again until the standby is the writer',
        `${await cancelled} cancellations`,
      );
    } finally {
      letGo();
    }
  });
});

/** Cancels and ends whatever a failover does on the standby, for a while; gives how often. */
async function cancelPromotions({ pair }: Stage, milliseconds: number): Promise<number> {
  const client = await pair.connect('standby');
  let hits = 0;
  try {
    const promoting = `FROM pg_stat_activity WHERE application_name = 'pgdr failover' AND pid <> pg_backend_pid()`;
    await until('a promotion', async () => {
      const { rows } = await client.query(
        `SELECT 1 ${promoting} AND query ~ 'pg_promote|pg_is_in_recovery\\(\\) AS recovering'`,
      );
      return rows.length > 0;
    });
    const deadline = Date.now() + milliseconds;
    for (let n = 0; Date.now() < deadline; n++) {
      const how = n % 5 === 4 ? 'pg_terminate_backend' : 'pg_cancel_backend';
      const { rows } = await client.query(`SELECT ${how}(pid) ${promoting}`);
      hits += rows.length;
      await sleep(10);
    }
  } finally {
    await client.end();
  }
  return hits;
}

/** What the agent of the primary said of its last order. */
async function detailOfRejoin({ pair }: Stage): Promise<string> {
  const { GetItemCommand, DynamoDBClient } = await import('@aws-sdk/client-dynamodb');
  const dynamo = new DynamoDBClient(pair.cloud.client('us-east-1'));
  const { Item } = await dynamo.send(
    new GetItemCommand({ TableName: 'rehearsal-pgdr-state', Key: { id: { S: 'orders/agent-primary' } } }),
  );
  dynamo.destroy();
  return JSON.parse(Item?.value?.S ?? '{}').detail;
}
