import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { held, openStage, type Stage } from './failover-harness.ts';

/** Synchronous replication is a fence by itself, and loses nothing: the primary's region cannot even be asked. */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-sync', { fences: ['synchronous'], synchronous: true });
});
afterAll(() => stage?.close());

describe('a synchronous pair whose primary is frozen', () => {
  it('freeze-resume-sync: the primary that thaws acknowledges nothing, and nothing is lost', async () => {
    const thaw = stage.freeze('primary');
    let run: Awaited<ReturnType<Stage['failover']>>;
    try {
      await sleep(1000);
      run = await stage.failover({ force: true, reason: 'frozen' });
    } finally {
      thaw();
    }
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.failover).toMatchObject({
      to: 'standby',
      fence: { fence: 'synchronous' },
      loss: { lowerSeconds: 0, upperSeconds: 0 },
    });
    await stage.moreWrites(100, 'standby');
    // The clients that hung on the old primary have their answers by now, or will never have any.
    await sleep(3000);
    const verdict = await stage.judge('standby');
    expect(verdict.lost).toEqual([]);
    expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
    held('freeze-resume-sync', 'no acknowledged write is lost', `${verdict.acknowledged} writes`);
    held('freeze-resume-sync', 'the thawed primary acknowledges nothing');
  });
});
