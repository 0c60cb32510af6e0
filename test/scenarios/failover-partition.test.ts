import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { now } from '../../lib/cli/rehearse/failover/ledger.ts';
import { endpointName, type MachineRun } from '../../lib/cli/rehearse/failover/pair.ts';
import { AwsError } from '../../local/facade.ts';
import { expectBracketHolds, held, openStage, type Stage, until } from './failover-harness.ts';

/**
 * The primary's region is cut off: nothing there can be stopped from here. Its agent stops it when its lease runs out;
 * only then the standby is promoted. Paths between hosts are proxies that can be cut.
 */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-partition', { fences: ['stop', 'lease'], cuttable: true });
});
afterAll(() => stage?.close());

/** Cuts the APIs of the primary's region and the path across its border. */
function cutBorder(): number {
  stage.pair.cloud.outage('eu-north-1', 'cut-off');
  stage.pair.paths?.border.cut();
  return now();
}

function mendBorder(): void {
  stage.pair.paths?.border.mend();
  stage.pair.paths?.clients.mend();
  stage.pair.cloud.outage('eu-north-1', 'up');
}

const isGone = async () => {
  try {
    await (await stage.pair.connect('primary')).end();
    return false;
  } catch {
    return true;
  }
};

async function expectOneWriter(scenario: string, run: MachineRun, cutAt: number): Promise<void> {
  const verdict = await stage.judge('standby');
  const { primary, standby } = stage.pair.files;
  const of = (host: string) => stage.ledger.acknowledged.filter(({ server }) => server === host).map(({ at }) => at);
  expect(Math.min(...of(standby.host))).toBeGreaterThan(Math.max(...of(primary.host)));
  expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
  held(scenario, 'never two that acknowledge', `${verdict.acknowledged} writes`);
  const measured = expectBracketHolds(stage, run, verdict, Number.POSITIVE_INFINITY);
  const late = stage.ledger.acknowledged.filter(({ server, at }) => server === primary.host && at > cutAt).length;
  held(scenario, 'the reported loss bracket holds the truth', `${measured}, ${late} writes after the cut`);
}

describe('a primary that lives by a lease', () => {
  it('lease-store-down: it stops when it cannot renew its lease, and starts again when it can', async () => {
    const undo = stage.pair.cloud.intercept(({ service, region, principal }) => {
      if (service === 'dynamodb' && region === 'us-east-1' && /servers-primary/.test(principal.roleArn ?? ''))
        throw new AwsError('InternalServerError', 'down', 500);
    });
    try {
      await until('the primary stops', isGone);
    } finally {
      undo();
    }
    await stage.moreWrites(50, 'primary');
    const verdict = await stage.judge('primary');
    expect(verdict).toMatchObject({ lost: [], switches: 0, repeatedIds: 0 });
    held('lease-store-down', 'the writer stops rather than go on unconfirmed, and nothing is lost');
  });

  it('partition-primary-recovery: its lease fences it while clients still reach it, without Route 53’s control plane', async () => {
    await stage.nextAct();
    stage.pair.cloud.outage('route53-control-plane', 'down');
    const cutAt = cutBorder();
    const run = await stage.failover({ force: true, reason: 'eu-north-1 is cut off' });
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.failover).toMatchObject({ to: 'standby', fence: { fence: 'lease' } });
    await stage.moreWrites(100, 'standby');
    const { answers } = stage.pair.cloud.route53.resolve(endpointName, 'A');
    expect(answers.at(-1)?.value).toBe(stage.pair.files.standby.host);
    expect(await isGone()).toBe(true);
    await expectOneWriter('partition-primary-recovery', run, cutAt);
    held('observer-region-down', 'the primary region’s observer is silent, and the others decide');
    stage.pair.cloud.outage('route53-control-plane', 'up');
    mendBorder();
    await stage.failback();
  });

  it('partition-primary-all: nobody reaches it, and when everybody does again it is stopped', async () => {
    await stage.nextAct();
    stage.pair.paths?.clients.cut();
    const cutAt = cutBorder();
    const run = await stage.failover({ force: true, reason: 'eu-north-1 is gone' });
    expect(run.outcome?.failover).toMatchObject({ to: 'standby', fence: { fence: 'lease' } });
    await stage.moreWrites(100, 'standby');
    mendBorder();
    await sleep(2000);
    expect(await isGone()).toBe(true);
    await expectOneWriter('partition-primary-all', run, cutAt);
  });

  it('region-down: with the primary’s region gone and Route 53’s control plane refused, the name moves all the same', async () => {
    await stage.failback();
    await stage.nextAct();
    stage.pair.cloud.outage('route53-control-plane', 'down');
    stage.pair.cloud.outage('eu-north-1', 'down');
    const downAt = now();
    const run = await stage.failover({ force: true, reason: 'eu-north-1 is down' });
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.failover).toMatchObject({ to: 'standby', fence: { fence: 'lease' } });
    await stage.moreWrites(100, 'standby');
    const { answers } = stage.pair.cloud.route53.resolve(endpointName, 'A');
    expect(answers.at(-1)?.value).toBe(stage.pair.files.standby.host);
    await expectOneWriter('region-down', run, downAt);
    mendBorder();
    stage.pair.cloud.outage('route53-control-plane', 'up');
  });
});
