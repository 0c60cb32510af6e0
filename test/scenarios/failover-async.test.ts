import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changeRole, openStateItems, readRole } from '../../lib/aws/state-items.ts';
import { root } from '../../lib/cli/rehearse/assembly.ts';
import { now } from '../../lib/cli/rehearse/failover/ledger.ts';
import { endpointName, type MachineRun } from '../../lib/cli/rehearse/failover/pair.ts';
import { requestAbort } from '../../lib/core/failover/role.ts';
import { AwsError } from '../../local/facade.ts';
import { held, longestGap, openStage, type Stage, trueLoss, until } from './failover-harness.ts';

/** One story of an asynchronous pair, in order: refusals and aborts while it is well, then its primary is killed. */

let stage: Stage;
const items = () => {
  for (const [name, value] of Object.entries(stage.pair.cloud.environment('us-east-1'))) process.env[name] = value;
  return openStateItems('rehearsal-pgdr-state', 'orders', 'us-east-1');
};

beforeAll(async () => {
  stage = await openStage('failover-async');
});
afterAll(() => stage?.close());

async function waitsForAPerson(): Promise<void> {
  await until('an approval is asked for', async () => ((await readRole(items())).run?.approval ?? null) !== null);
}

/** The command line of a person, who has nothing but the message. */
async function pgdr(command: string, ...args: string[]): Promise<unknown> {
  const all = [join(root, 'bin', 'pgdr.ts'), command, 'orders', ...args, '--region', 'us-east-1', '--json'];
  const config = join(root, 'lib', 'cli', 'rehearse', 'failover', 'failover.config.ts');
  const { stdout } = await promisify(execFile)(process.execPath, all, {
    cwd: root,
    env: {
      ...process.env,
      ...stage.pair.cloud.environment('us-east-1'),
      PGDR_CONFIG: config,
      PGDR_REHEARSE_MAJOR: '15',
    },
  });
  return JSON.parse(stdout);
}

const primaryTakesWrites = () => stage.moreWrites(20, 'primary');

describe('while the primary is well', () => {
  it('healthy-primary: a dry run changes nothing and says why a person would be asked', async () => {
    const { outcome } = await stage.failover({ dryRun: true });
    expect(outcome).toMatchObject({ dryRun: true, decision: { verdict: 'approve' } });
    expect(JSON.stringify(outcome)).toMatch(/looks healthy/);
    await primaryTakesWrites();
    held('healthy-primary', 'nothing changes without a person');
  });

  it('stale-standby: a standby whose replay is paused is refused, forced or not', async () => {
    const standby = await stage.pair.connect('standby');
    await standby.query('SELECT pg_wal_replay_pause()');
    try {
      const run = await stage.failover({ force: true });
      expect(run.failure).toMatchObject({ error: 'FailoverRefused' });
    } finally {
      await standby.query('SELECT pg_wal_replay_resume()');
      await standby.end();
    }
    await primaryTakesWrites();
    held('stale-standby', 'never promoted, forced or not');
  });

  it('slow-standby: what it has not replayed yet is counted as lost until it is, and a person is asked', async () => {
    const standby = await stage.pair.connect('standby');
    const delay = async (value: string) => {
      await standby.query(`ALTER SYSTEM SET recovery_min_apply_delay = '${value}'`);
      await standby.query('SELECT pg_reload_conf()');
    };
    try {
      await delay('5s');
      await sleep(3000);
      const { outcome } = await stage.failover({ dryRun: true, maxLossSeconds: 1 });
      expect(outcome).toMatchObject({ decision: { verdict: 'approve' } });
      expect(JSON.stringify(outcome)).toMatch(/Up to \d+\.\d s would be lost; the limit is 1 s/);
    } finally {
      await delay('0');
      await standby.end();
    }
    await primaryTakesWrites();
    held('slow-standby', 'a person is asked where the bound of the loss is over the limit');
  });

  it('all-observers-down: nobody who can look is no evidence, and nothing is changed', async () => {
    const undo = stage.pair.cloud.intercept(({ operation, principal }) => {
      if (operation === 'GetSecretValue' && /failover-server/.test(principal.roleArn ?? ''))
        throw new AwsError('InternalServiceError', 'down', 500);
    });
    try {
      const run = await stage.failover({ force: true });
      expect(run.failure).toMatchObject({ error: 'FailoverRefused' });
    } finally {
      undo();
    }
    expect((await readRole(items())).run).toBeNull();
    await primaryTakesWrites();
    held('all-observers-down', 'nothing is changed, forced or not');
  });

  it('double-start, abort-before-point-of-no-return: one at a time, and it ends when it is told to', async () => {
    const first = await stage.pair.start('failover', { database: 'orders', approval: 'always' }, 'fo-orders-1-a');
    await waitsForAPerson();
    const second = await stage.failover({ force: true });
    expect(second.failure).toMatchObject({ error: 'FailoverInProgress' });
    held('double-start', 'the second is told who is at work, and changes nothing');

    expect(await pgdr('abort', '--run', 'fo-orders-1-a', '--reason', 'changed my mind')).toMatchObject({
      aborted: true,
    });
    expect((await stage.pair.follow(first)).failure).toMatchObject({ error: 'FailoverAborted' });
    expect((await readRole(items())).run).toBeNull();
    await primaryTakesWrites();
    held('abort-before-point-of-no-return', 'the primary goes on as if nothing had been');
  });
});

describe('when the primary is killed under load', () => {
  let killedAt: number;
  let run: MachineRun;
  let firstWriteAt: number;
  let failback: MachineRun;
  let failbackAt: number;

  beforeAll(async () => {
    // Not only killed: it would be up again before a person has answered.
    killedAt = stage.losePrimary();
    await sleep(1000);
    const asked = { database: 'orders', approval: 'always', reason: 'kill -9' };
    const started = await stage.pair.start('failover', asked, 'fo-orders-1-b');
    await waitsForAPerson();
    expect(await pgdr('approve', '--run', 'fo-orders-1-b')).toMatchObject({ approved: true });
    run = await stage.pair.follow(started);
    await stage.moreWrites(100, 'standby');
    const standby = stage.pair.files.standby.host;
    firstWriteAt = stage.ledger.acknowledged.find(({ server }) => server === standby)?.at ?? 0;
  });

  it('kill9-async: the standby is the writer, and was fenced for', () => {
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.failover).toMatchObject({ to: 'standby', epoch: 2, fence: { fence: 'stop' } });
    held('kill9-async', 'a write by name after the kill', `${((firstWriteAt - killedAt) / 1000).toFixed(2)} s`);
  });

  it('old-primary-returns: its agent does not let it accept writes', async () => {
    stage.pair.giveBack('primary');
    await stage.pair.setDesiredCount('primary', 1);
    await expect.poll(() => stage.pair.agent('primary'), { timeout: 60_000, interval: 200 }).toBeGreaterThan(0);
    await sleep(3000);
    await expect(stage.pair.connect('primary')).rejects.toThrow(/ECONNREFUSED/);
    await stage.pair.setDesiredCount('primary', 0);
    held('old-primary-returns', 'takes no write');
    held('stale-dns-client', 'whoever goes to the old address is refused');
  });

  it('switch-metric-stops: the name stays where it is without anybody who says so', async () => {
    await stage.pair.cloud.advance(10 * 60_000);
    const { answers } = stage.pair.cloud.route53.resolve(endpointName, 'A');
    expect(answers.at(-1)?.value).toBe(stage.pair.files.standby.host);
    held('switch-metric-stops', 'the name leads to the writer');
  });

  it('abort-after: there is nothing to abort any more, and a repetition finds it done', async () => {
    await expect(changeRole(items(), (role) => requestAbort(role, 'late'))).rejects.toThrow(/nothing of orders/);
    const again = await stage.failover();
    expect(again.outcome?.failover).toMatchObject({ to: 'standby', epoch: 2, fence: null });
    held('abort-after', 'refused; a second failover only verifies');
  });

  it('early-rewind, switchover-under-load: failback rewinds the old primary and loses nothing', async () => {
    failbackAt = now();
    failback = await stage.pair.run('failback', { database: 'orders' });
    expect(failback.failure).toBeUndefined();
    expect(failback.outcome?.failover).toMatchObject({ to: 'primary', epoch: 3, fence: { fence: 'clean-stop' } });
    await stage.moreWrites(100, 'primary');
    const rejoined = failback.states.find(({ name }) => name === 'Rejoin the old primary');
    held(
      'early-rewind',
      'the old primary follows the new timeline before it takes over',
      `${rejoined?.seconds.toFixed(1)} s`,
    );
  });

  it('failback leaves the other server as a standby that streams', async () => {
    const streaming = async () => {
      const client = await stage.pair.connect('primary');
      const { rows } = await client.query(
        "SELECT count(*)::int AS n FROM pg_stat_replication WHERE state = 'streaming'",
      );
      await client.end();
      return rows[0].n;
    };
    await expect.poll(streaming, { timeout: 60_000, interval: 500 }).toBe(1);
  });

  it('ledger: the loss bracket holds the truth, no id was given twice, one server at a time', async () => {
    const verdict = await stage.judge('primary');
    expect(verdict.lost.filter(({ at }) => at > killedAt + 1000)).toEqual([]);
    const gap = longestGap(stage, failbackAt);
    held(
      'switchover-under-load',
      'no acknowledged write is lost',
      `gap of ${gap.toFixed(2)} s in ${verdict.acknowledged} writes`,
    );
    const truth = trueLoss(stage.ledger, verdict, { oldHost: stage.pair.files.primary.host, end: killedAt + 1000 });
    const loss = run.outcome?.failover?.loss;
    expect(loss?.lowerSeconds).toBeLessThanOrEqual(truth + 0.001);
    expect(loss?.upperSeconds ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(truth);
    expect(verdict).toMatchObject({ repeatedIds: 0, switches: 2 });
    const measured = `${truth.toFixed(3)} s in [${loss?.lowerSeconds.toFixed(3)}, ${loss?.upperSeconds?.toFixed(3)}]`;
    held('kill9-async', 'the reported loss bracket holds the truth', measured);
    held('sequence-reuse', 'no acknowledged id is given twice', `${verdict.acknowledged} writes`);
    held('stale-dns-client', 'pooled clients never wrote to two servers at a time');
    expect(now()).toBeGreaterThan(killedAt);
  });
});
