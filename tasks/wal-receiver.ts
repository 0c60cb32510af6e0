import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Client } from '@aws-sdk/client-s3';
import { openLeaseTable } from '../lib/aws/lease.ts';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import { readSecret } from '../lib/aws/secret.ts';
import { toFailure } from '../lib/core/errors.ts';
import { parseReceiverInput, type ReceiverInput } from '../lib/core/physical-settings.ts';
import { parseConnection } from '../lib/postgres/connection.ts';
import { bindLog, log } from './log.ts';
import { startBackupAfterGaps } from './wal/gaps.ts';
import { keepLease } from './wal/lease-keeper.ts';
import { newStreamState, startMonitor } from './wal/monitor.ts';
import { receiveSession } from './wal/session.ts';

/**
 * The receiver of WAL: a service that ECS keeps up. It holds the lease of its database, streams the WAL of the server into
 * the store, and acknowledges nothing that the store does not have. All it needs to go on is in the store, so it may die
 * at any moment. How it works: docs/wal.md.
 */

/** Patience between two connections, milliseconds: from the first to the last. */
const pauses = { first: 500, longest: 5_000 };

/** A chunk is a few megabytes: a request that takes longer than this is better asked anew. */
function openWalStore({ bucket, lock }: ReceiverInput): ObjectStore {
  const requestHandler = { connectionTimeout: 3_000, requestTimeout: 15_000, throwOnRequestTimeout: true };
  const s3 = new S3Client({ maxAttempts: 3, requestHandler });
  return {
    s3,
    bucket,
    // Counted anew for each object: the process may live for months.
    get lock() {
      return { mode: lock.mode, until: new Date(Date.now() + lock.seconds * 1000) };
    },
  };
}

async function main(): Promise<void> {
  const input = parseReceiverInput(JSON.parse(process.env.PGDR_RECEIVER ?? '{}'));
  const { database, physical } = input;
  bindLog({ job: 'wal-receiver', database });
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.once(name, () => stop.abort(new Error(`received ${name}`)));
  const { signal } = stop;

  const lease = await keepLease(openLeaseTable(physical.stateTable), {
    id: `${database}/wal-receiver`,
    holder: `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`,
    ttl: input.leaseMilliseconds,
    signal,
    onLost(error) {
      // Another receiver may be writing by now. Nothing here is worth another moment.
      log('stopped at once', { reason: error.message });
      process.exit(1);
    },
  });
  try {
    const store = openWalStore(input);
    const state = newStreamState();
    // Read anew for every connection: passwords are rotated.
    const connection = async () => parseConnection(await readSecret(physical.secret), physical.secret);
    const { slot, heartbeatSeconds } = physical;
    startMonitor({ connection, database, slot, heartbeatSeconds, state, signal });
    const onGap = startBackupAfterGaps(store, input, { stateMachineArn: input.backupStateMachineArn, signal });
    for (let pause = pauses.first; !signal.aborted; pause = Math.min(pauses.longest, pause * 2)) {
      const began = performance.now();
      try {
        const { assertHolder } = lease;
        await receiveSession({ input, connection: await connection(), store, state, assertHolder, onGap, signal });
      } catch (error) {
        if (signal.aborted) break;
        const { error: name, message } = toFailure(error);
        log('the stream ended and is taken up again', { error: name, reason: message, pause });
      }
      if (performance.now() - began > 60_000) pause = pauses.first;
      await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
    }
  } finally {
    await lease.release();
    log('stopped', { reason: (signal.reason as Error | undefined)?.message ?? null });
  }
}

await main().catch((error) => {
  log('receiver failed', { ...toFailure(error) });
  process.exitCode = 1;
});
process.exit();
