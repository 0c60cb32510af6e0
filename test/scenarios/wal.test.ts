import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gapsOf } from '../../lib/core/wal-archive.ts';
import { lossOf, startWriters } from './ledger.ts';
import { startWalWorld, type WalWorld } from './wal-world.ts';

/** Chunk interval of the receivers here, seconds, and what an upload on this machine may take beside it. */
const chunkSeconds = 1;
const uploadSeconds = 2;

describe('the receiver of WAL', () => {
  let world: WalWorld;
  beforeEach(async () => {
    world = await startWalWorld();
  });
  afterEach(() => world.close());

  it('goes on from the store alone after kill -9 at any moment, and the store can be restored from', async () => {
    await world.server.query('CREATE TABLE ledger (id bigint PRIMARY KEY, filler text)');
    let receiver = world.startReceiver();
    await receiver.said(/^streaming$/);
    world.baseBackup('base');
    const ledger = await startWriters(() => world.server);
    for (let i = 0; i < 4; i++) {
      await sleep(1_000 + Math.random() * 1_500);
      await receiver.kill();
      receiver = world.startReceiver();
      await receiver.said(/^streaming$/);
    }
    await sleep(2_000);
    await world.server.kill();
    const at = performance.now();
    await ledger.stop();
    const recovered = await world.recover('base');
    const loss = await lossOf(ledger, recovered, at);
    console.log(`acknowledged ${ledger.acknowledged.size}, lost ${loss.lost.length}, ${loss.seconds.toFixed(2)} s`);
    expect(ledger.acknowledged.size).toBeGreaterThan(500);
    expect(loss.seconds).toBeLessThanOrEqual(chunkSeconds + uploadSeconds);
    expect(gapsOf(await world.archive(), 1)).toEqual([]);
  });
});
