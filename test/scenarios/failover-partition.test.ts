import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { now } from '../../lib/cli/rehearse/failover/ledger.ts';
import { endpointName } from '../../lib/cli/rehearse/failover/pair.ts';
import { held, openStage, type Stage } from './failover-harness.ts';

/**
 * The primary's region is cut off: nothing there can be stopped from here, and clients inside still reach the primary.
 * Its agent stops it when its lease runs out; only then the standby is promoted.
 */

let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-partition', { fences: ['stop', 'lease'] });
});
afterAll(() => stage?.close());

describe('a primary whose region is cut off', () => {
  it('partition-primary-recovery: its lease fences it, and the name moves without Route 53’s control plane', async () => {
    const { cloud, files } = stage.pair;
    cloud.outage('route53-control-plane', 'down');
    cloud.outage('eu-north-1', 'cut-off');
    const cutAt = now();
    const run = await stage.failover({ force: true, reason: 'eu-north-1 is cut off' });
    expect(run.failure).toBeUndefined();
    expect(run.outcome?.failover).toMatchObject({ to: 'standby', fence: { fence: 'lease' } });
    await stage.moreWrites(100, 'standby');
    expect(cloud.route53.resolve(endpointName, 'A').answers.at(-1)?.value).toBe(files.standby.host);
    held('partition-primary-recovery', 'the primary stops by itself before the standby is promoted');
    held('observer-region-down', 'the primary region’s observer is silent, and two others decide');

    const verdict = await stage.judge('standby');
    const lastOld = Math.max(
      ...stage.ledger.acknowledged.filter(({ server }) => server === files.primary.host).map(({ at }) => at),
    );
    const firstNew = Math.min(
      ...stage.ledger.acknowledged.filter(({ server }) => server === files.standby.host).map(({ at }) => at),
    );
    expect(firstNew).toBeGreaterThan(lastOld);
    expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
    const lost = verdict.lost.filter(({ committedAt }) => committedAt < cutAt).length;
    held(
      'partition-primary-recovery',
      'never two that acknowledge',
      `${verdict.acknowledged} writes, ${lost} lost of before the cut`,
    );
  });
});
