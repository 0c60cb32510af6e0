import { setTimeout as sleep } from 'node:timers/promises';
import { acquire, isValid, type Lease, LeaseLost, type LeaseTable, release, renew } from '../../lib/aws/lease.ts';
import { log } from '../log.ts';

export interface LeaseKeeper {
  readonly epoch: number;
  /** Throws `LeaseLost` when this process may not act any more. */
  assertHolder(): void;
  release(): Promise<void>;
}

/**
 * Waits for the lease, then renews it until it is released. `onLost` is called when it was taken over, or could not be
 * renewed in time: whatever is going on has to end.
 */
export async function keepLease(
  table: LeaseTable,
  options: { id: string; holder: string; ttl: number; signal: AbortSignal; onLost: (error: LeaseLost) => void },
): Promise<LeaseKeeper> {
  const { id, holder, ttl, signal, onLost } = options;
  let lease: Lease = await acquire(table, {
    id,
    holder,
    ttl,
    signal,
    onWait: (record) => log('another receiver holds the lease', { lease: id, of: record.holder, epoch: record.epoch }),
  });
  log('lease taken', { lease: id, epoch: lease.epoch });
  const stop = new AbortController();
  const over = () => new LeaseLost(`the lease ${id} (epoch ${lease.epoch}) ran out`);

  const beat = async () => {
    while (!stop.signal.aborted) {
      await sleep(ttl / 4, undefined, { signal: stop.signal });
      try {
        lease = await renew(table, lease);
      } catch (error) {
        if (error instanceof LeaseLost) return onLost(error);
        log('the lease was not renewed', { lease: id, reason: (error as Error).message });
      }
      if (!isValid(lease)) return onLost(over());
    }
  };
  void beat().catch(() => {});
  // Whatever the requests above are waiting for, time ends by itself.
  const watch = setInterval(() => {
    if (isValid(lease)) return;
    clearInterval(watch);
    onLost(over());
  }, ttl / 10);
  return {
    epoch: lease.epoch,
    assertHolder() {
      if (!isValid(lease)) throw over();
    },
    async release() {
      stop.abort();
      clearInterval(watch);
      await release(table, lease).catch(() => {});
    },
  };
}
