import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { now } from '../../lib/cli/rehearse/failover/ledger.ts';
import { expectBracketHolds, held, openStage, type Stage, until } from './failover-harness.ts';

/** A primary whose file system is full: it runs, answers SELECT 1, and takes no write. Small file systems, as root. */

const megabytes = 1024 * 1024;
let stage: Stage;
beforeAll(async () => {
  stage = await openStage('failover-disk', {
    disks: { data: 160 * megabytes, wal: 128 * megabytes },
    serverOptions: { min_wal_size: '32MB', max_wal_size: '48MB', wal_keep_size: '16MB' },
  });
});
afterAll(() => stage?.close());

/** Fills what is left of a file system; gives its undoing. */
function fill(directory: string): () => void {
  const file = join(directory, '..', directory.endsWith('wal') ? 'orders-1-wal' : 'orders-1', 'ballast');
  const descriptor = openSync(file, 'w');
  for (const size of [megabytes, 4096]) {
    try {
      for (;;) writeSync(descriptor, Buffer.alloc(size));
    } catch {}
  }
  closeSync(descriptor);
  return () => rmSync(file, { force: true });
}

/** An abandoned slot holds back every segment, so that none can be used again. */
async function useUpSegments({ pair }: Stage): Promise<void> {
  const client = await pair.connect('primary');
  try {
    await client.query(`SELECT pg_create_physical_replication_slot('abandoned', true)`);
    for (let n = 0; n < 20; n++) await client.query(`SELECT pg_switch_wal(), txid_current()`);
  } catch {
    // The server is gone with the last of them.
  } finally {
    void client.end().catch(() => {});
  }
}

describe.each([
  ['disk-full-data', (data: string) => data],
  ['disk-full-wal', (data: string) => `${data}-wal`],
])('%s', (scenario, directoryOf) => {
  it(`${scenario}: a probe that writes sees it, and the standby takes over`, async () => {
    if (scenario === 'disk-full-wal') await stage.nextAct();
    const empty = fill(directoryOf(stage.pair.files.primary.data));
    try {
      if (scenario === 'disk-full-wal') await useUpSegments(stage);
      // What is left in pages and segments is used up by the clients.
      await until('the primary takes no write', () => {
        const last = stage.ledger.acknowledged.at(-1)?.at ?? 0;
        return now() - last > 1500;
      });
      const fullAt = now();
      const { outcome } = await stage.failover({ dryRun: true });
      expect(JSON.stringify(outcome)).toMatch(/No space left on device|ECONNREFUSED|recovery mode|starting up/);
      held(scenario, 'a probe that writes sees it');
      const run = await stage.failover({ force: true, reason: scenario });
      expect(run.failure).toBeUndefined();
      await stage.moreWrites(100, 'standby');
      const verdict = await stage.judge('standby');
      expect(verdict).toMatchObject({ switches: 1, repeatedIds: 0 });
      held(
        scenario,
        'the reported loss bracket holds the truth',
        expectBracketHolds(stage, run, verdict, fullAt + 60_000),
      );
    } finally {
      empty();
    }
    if (scenario === 'disk-full-data') await stage.failback();
  });
});
