import { acquire, type Lease, openLeaseTable, release, renew } from '../lib/aws/lease.ts';
import { readRole, type StateItems } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { log } from './log.ts';

/** One drill of a database at a time, and none beside a failover: that one waits for nothing, the drill makes way. */

/** Milliseconds. */
const leaseTime = 30_000;
const lookEvery = 2_000;

/** Waits a little longer than a drill that was killed may be thought alive. @throws PgdrError FailoverInProgress */
export async function acquireDrill({ table, database }: StateItems, holder: string) {
  const leases = openLeaseTable(table);
  const signal = AbortSignal.timeout(leaseTime * 1.5);
  let lease: Lease = await acquire(leases, { id: `${database}/drill`, holder, ttl: leaseTime, signal }).catch(
    (error) => {
      throw signal.aborted ? new PgdrError('FailoverInProgress', `another drill of ${database} is at work`) : error;
    },
  );
  const problem = (what: string) => (error: Error) => log(what, { reason: error.message });
  const renewal = setInterval(() => {
    renew(leases, lease)
      .then((renewed) => {
        lease = renewed;
      })
      .catch(problem('the lease of the drill was not renewed'));
  }, leaseTime / 4);
  return {
    async release(): Promise<void> {
      clearInterval(renewal);
      await release(leases, lease).catch(problem('the lease of the drill was not given back'));
    },
  };
}

/** A signal that aborts with `DrillYielded` as soon as the role item is anybody's, and with the task's own. */
export function watchForFailover(items: StateItems, task: AbortSignal) {
  const found = new AbortController();
  const timer = setInterval(() => {
    readRole(items)
      .then(({ run }) => {
        if (run !== null) found.abort(new PgdrError('DrillYielded', `${run.operation} ${run.id} began`));
      })
      // Without the item no failover begins either.
      .catch((error: Error) => log('the role item does not answer', { reason: error.message }));
  }, lookEvery);
  return { signal: AbortSignal.any([task, found.signal]), end: () => clearInterval(timer) };
}
