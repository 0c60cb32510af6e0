import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { now } from '../../lib/cli/rehearse/failover/ledger.ts';
import type { MachineRun } from '../../lib/cli/rehearse/failover/pair.ts';
import { expectBracketHolds, held, openStage, type Stage } from './failover-harness.ts';

/** Servers on EC2 instances: the machine stops one, reads back that it is stopped, and starts it for the failback. */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-instances', { instances: true });
});
afterAll(() => stage?.close());

describe('a primary on an instance', () => {
  it('instances: frozen, it is stopped by force and proven so; the failback starts it and gives it its role', async () => {
    const thaw = stage.freeze('primary');
    let run: MachineRun;
    try {
      await sleep(500);
      run = await stage.failover({ force: true, reason: 'frozen' });
    } finally {
      thaw();
    }
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.failover).toMatchObject({
      to: 'standby',
      fence: { fence: 'stop', evidence: 'instance i-00000000000000001 is stopped' },
    });
    await stage.moreWrites(50, 'standby');
    const switchedAt = now();
    await stage.failback();
    await stage.moreWrites(50, 'primary');
    const verdict = await stage.judge('primary');
    expect(verdict).toMatchObject({ switches: 2, repeatedIds: 0 });
    held('instances', 'EC2 instances are stopped, proven so, and started', `${verdict.acknowledged} writes`);
    expectBracketHolds(stage, run, verdict, switchedAt);
  });
});
