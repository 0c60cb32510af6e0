import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { GetObjectRetentionCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRole } from '../../lib/aws/state-items.ts';
import { readSettings } from '../../lib/cli/deployed.ts';
import { listKeys, readObject } from '../../lib/cli/evidence.ts';
import { judgeLedger } from '../../lib/cli/rehearse/failover/ledger.ts';
import { regions } from '../../lib/cli/rehearse/failover/pair.ts';
import { stateTableName } from '../../lib/config/names.ts';
import type { ApprovalMessage } from '../../lib/core/failover/message.ts';
import type { DrillSummary } from '../../lib/core/outcome.ts';
import { held, longestGap, openStage, type Stage } from './failover-harness.ts';

/**
 * A drill beside a database that works: clients write through the name all the time, and nothing happens to them. Then a
 * failover that loses something, in the middle of a drill, and the way back.
 */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('drill');
  // Sequences, and a table that a replica has to hold row for row.
  const client = await stage.pair.connect('primary');
  await client.query('CREATE TABLE goods AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 20000) i');
  await client.query('CREATE SEQUENCE numbers');
  await client.end();
});
afterAll(() => stage?.close());

const here = () => stage.pair.clients.standby;
const role = async () => {
  const dynamo = new DynamoDBClient(stage.pair.cloud.client(regions.standby));
  return readRole({ table: stateTableName('rehearsal'), database: 'orders', dynamo }).finally(() => dynamo.destroy());
};

async function pgdr(...args: string[]) {
  const env = {
    ...process.env,
    ...stage.pair.cloud.environment(regions.standby),
    PGDR_CONFIG: join(import.meta.dirname, '../../lib/cli/rehearse/failover/failover.config.ts'),
    PGDR_REHEARSE_MAJOR: '15',
  };
  const { stdout } = await promisify(execFile)(process.execPath, ['bin/pgdr.ts', ...args], { env });
  return JSON.parse(stdout);
}

/** The message that asks for an approval, with its commands; each is answered once. */
let answered = 0;
async function asked(): Promise<ApprovalMessage> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const messages = stage.pair.cloud.sns
      .messages()
      .map(({ texts }) => JSON.parse(texts.default as string) as ApprovalMessage)
      .filter(({ workflow }) => workflow === 'approval');
    const next = messages[answered];
    if (next) {
      answered += 1;
      return next;
    }
    if (Date.now() > deadline) throw new Error('nobody was asked');
    await sleep(100);
  }
}

/** As somebody would type it. */
function commandOf(command: string): string[] {
  const [program, ...args] = command.split(' ');
  expect(program).toBe('pgdr');
  return args;
}

/** The process on the standby that receives WAL. */
function walReceiver(): number {
  const pids = stage.pair.processes('standby').join(',');
  const listed = execFileSync('ps', ['-o', 'pid=,args=', '-p', pids], { encoding: 'utf8' });
  return Number(/^\s*(\d+) .*walreceiver/m.exec(listed)?.[1]);
}

describe('an isolated drill', () => {
  let summary: DrillSummary;

  it('promotes a replica that holds what the standby holds, and measures it', async () => {
    const before = await role();
    const result = await pgdr('drill', 'orders', '--json');
    expect(result.ok).toBe(true);
    summary = result.outcome.drill;
    expect(summary.compared).toMatchObject({ tables: summary.compared.of, note: null });
    expect(Number(summary.compared.rows)).toBeGreaterThanOrEqual(20_000);
    expect(summary.timelines).toEqual([1, 2]);
    expect(summary.sequences.bumped).toBeGreaterThanOrEqual(1);
    expect(summary.loss?.upperSeconds).toBeLessThan(30);
    const measured = summary.phases.filter(({ how }) => how === 'measured');
    expect(measured.map(({ phase }) => phase)).toEqual(['decided', 'promoted']);
    held('drill', 'a replica is promoted and equals the standby', `promoted in ${measured[1]?.seconds?.toFixed(2)} s`);

    expect(await role()).toEqual(before);
    const client = await stage.pair.connect('standby');
    const { rows } = await client.query(
      `SELECT pg_is_in_recovery() AS standby, to_regclass('pgdr_drill') AS left,
              (SELECT count(*)::int FROM pg_replication_slots) AS slots`,
    );
    expect(rows[0]).toEqual({ standby: true, left: null, slots: 0 });
    await client.end();
    await stage.moreWrites(20, 'primary');
    held('drill', 'the writer, the standby and the name are untouched');
  });

  it('publishes it, and keeps locked evidence', async () => {
    const { cloud } = stage.pair;
    const samples = cloud.cloudwatch
      .samples('pgdr', 'MeasuredRtoSeconds')
      .filter(({ region }) => region === regions.standby);
    expect(samples.find(({ dimensions }) => !dimensions.Phase)?.values).toEqual([summary.rtoSeconds]);
    expect(samples.flatMap(({ dimensions }) => dimensions.Phase ?? [])).toEqual(['decided', 'promoted']);
    const settings = await readSettings(here(), 'rehearsal', 'orders');
    const report = JSON.parse((await readObject(here(), settings.bucket, summary.reportKey)) as string);
    expect(report).toMatchObject({ id: summary.id, database: 'orders', lsn: summary.lsn });
    const { Retention } = await here().s3.send(
      new GetObjectRetentionCommand({ Bucket: settings.bucket, Key: summary.reportKey }),
    );
    expect(Retention?.RetainUntilDate?.getTime()).toBeGreaterThan(Date.now() + 86_400_000);
  });

  it('changes nothing when a full drill is not wanted after all', async () => {
    const before = await role();
    const drill = pgdr('drill', 'orders', '--full', '--json').catch((error: { stdout: string; code: number }) => error);
    const { abort } = await asked();
    expect(await pgdr(...commandOf(abort), '--json')).toMatchObject({ ok: true, aborted: true });
    const ended = (await drill) as { stdout: string };
    expect(JSON.parse(ended.stdout).error).toMatchObject({ name: 'FailoverAborted', step: 'Switch there and back' });
    expect(await role()).toEqual(before);
    held('drill-full', 'aborted by the command of its message, it changes nothing');
  });

  it('changes the writer there and back once a person approves, with nothing lost', async () => {
    const began = Date.now();
    const drill = pgdr('drill', 'orders', '--full', '--json');
    const { approve } = await asked();
    expect(await pgdr(...commandOf(approve), '--json')).toMatchObject({ ok: true, approved: true });
    const result = await drill;
    expect(result.outcome.failover).toMatchObject({ to: 'standby', loss: { lowerSeconds: 0, upperSeconds: 0 } });
    expect(await role()).toMatchObject({ writer: 'primary', epoch: 3, run: null });
    await stage.moreWrites(50, 'primary');
    const client = await stage.pair.connect('primary');
    const verdict = await judgeLedger(client, [...stage.ledger.acknowledged]).finally(() => client.end());
    expect(verdict).toMatchObject({ lost: [], switches: 2, repeatedIds: 0 });
    const settings = await readSettings(here(), 'rehearsal', 'orders');
    const keys = await listKeys(here(), settings.bucket, 'rehearsal/orders/main/drills/full-');
    const report = JSON.parse((await readObject(here(), settings.bucket, keys.at(-1) as string)) as string);
    expect(report).toMatchObject({ kind: 'full', there: { ok: true }, back: { ok: true } });
    held(
      'drill-full',
      'the writer is changed there and back, and no acknowledged write is lost',
      `${verdict.acknowledged} writes, longest gap ${longestGap(stage, began).toFixed(2)} s`,
    );
  });

  it('makes way for a failover that begins meanwhile', async () => {
    const drill = await stage.pair.start('drill', { database: 'orders' });
    const deadline = Date.now() + 60_000;
    while (
      !stage.pair.cloud.ecs.tasks().some(({ family, lastStatus }) => /pg15$/.test(family) && lastStatus === 'RUNNING')
    ) {
      if (Date.now() > deadline) throw new Error('the drill runs no task');
      await sleep(20);
    }
    // What is written from here on never leaves the primary.
    const receiver = walReceiver();
    process.kill(receiver, 'SIGSTOP');
    await stage.moreWrites(50, 'primary');
    stage.killPrimary();
    process.kill(receiver, 'SIGTERM');
    process.kill(receiver, 'SIGCONT');
    const failover = await stage.failover({ force: true, maxLossSeconds: 60, reason: 'killed during a drill' });
    expect(failover.failure).toBeUndefined();
    const ended = await stage.pair.follow(drill);
    expect(ended.execution.error).toMatch(/^Drill(Yielded|NotPossible)$/);
    await stage.moreWrites(20, 'standby');
    held('drill', 'a failover does not wait for it, and it makes way');
  });
});

describe('a failback', () => {
  it('backs up the writer first, keeps what only the old primary had, and loses nothing', async () => {
    const began = Date.now();
    const result = await pgdr('failback', 'orders', '--json');
    expect(result.ok).toBe(true);
    const { failover } = result.outcome;
    expect(failover.reasons[0]).toMatch(/^Backup \d{8}T\d{6}Z-[0-9a-f]{6} was taken and verified first\.$/);
    expect(failover.loss).toEqual({
      lowerSeconds: 0,
      upperSeconds: 0,
      note: 'the writer was stopped in order, and its last word replayed',
    });
    // Without a writer it was for a part of the time that the whole took.
    expect(failover.rtoSeconds).toBeLessThan((Date.now() - began) / 2000);
    expect(failover.phases.map(({ phase }: { phase: string }) => phase)).toEqual([
      'fenced',
      'promoted',
      'name-moved',
      'first-write',
    ]);
    held(
      'failback',
      'a verified backup of the writer comes first',
      `no writer for ${failover.rtoSeconds.toFixed(1)} s`,
    );

    const { diverged } = failover;
    expect(diverged.transactions).toBeGreaterThanOrEqual(50);
    const settings = await readSettings(here(), 'rehearsal', 'orders');
    const text = (await readObject(here(), settings.bucket, diverged.key)) as string;
    for (const xid of diverged.xids) expect(text).toMatch(new RegExp(`tx: +${xid},`));
    expect(text.split('\n').filter((line) => /desc: COMMIT/.test(line))).toHaveLength(diverged.transactions);
    held('failback', 'what only the old primary had is kept', `${diverged.transactions} transactions`);

    await stage.moreWrites(50, 'primary');
    const verdict = await stage.judge('primary');
    const late = verdict.lost.filter(({ server }) => server === stage.pair.files.standby.host);
    expect(late).toEqual([]);
    expect(verdict.lost.length).toBeLessThanOrEqual(diverged.transactions);
    held('failback', 'nothing that the writer acknowledged is lost', `${verdict.acknowledged} writes`);
  });
});
