import { setTimeout as sleep } from 'node:timers/promises';
import { openStateItems, readItem, readRole, renewServerLease, writeItem } from '../lib/aws/state-items.ts';
import type { AgentReport, Order } from '../lib/core/failover/orders.ts';
import type { ServerName } from '../lib/core/failover/role.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import { divergenceItem } from './agent-divergence.ts';
import { carryOut } from './agent-orders.ts';
import { createPostgres, type Postgres } from './agent-postgres.ts';
import { log } from './log.ts';

/**
 * Runs a PostgreSQL server on behalf of failovers: beside its data directory, as the container's program or the host's
 * service. Three rules, in this order:
 *
 * - a server that would accept writes runs only while the role item names it, and, where the lease is a fence, only as
 *   long as that could be confirmed within the lease;
 * - a standby always runs;
 * - a server that was the writer and is not any more waits, stopped, for the order to rejoin.
 *
 * Environment: PGDR_FAILOVER_SETTINGS (the parameter of the database's failovers), PGDR_STATE_TABLE, PGDR_SERVER
 * (primary or standby), PGDATA, and optionally PGHOST, PGPORT and PGDR_POSTGRES_OPTIONS (JSON).
 */

/** Milliseconds between two looks: the second while something is under way, when every one of them counts. */
const tick = { idle: 500, busy: 50 } as const;
/** How much of the lease is kept for stopping the server. */
const stopShare = 0.3;

async function main(): Promise<void> {
  const server = (process.env.PGDR_SERVER ?? '') as ServerName;
  const settings = parseFailoverSettings(JSON.parse(process.env.PGDR_FAILOVER_SETTINGS ?? 'null'));
  const items = openStateItems(process.env.PGDR_STATE_TABLE ?? '', settings.database, settings.region);
  const postgres = createPostgres(process.env);
  const leaseIsFence = settings.fences.includes('lease');
  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    log('told to stop');
    await postgres.stop('fast');
    process.exit(0);
  };
  process.once('SIGTERM', () => void stop());
  process.once('SIGINT', () => void stop());

  /** `performance.now()` up to which the last confirmation holds. */
  let validUntil = Number.NEGATIVE_INFINITY;
  let allowed: boolean | null = null;
  let isBusy = false;
  let isPlanned = false;
  let report: AgentReport = { server, at: Date.now(), state: 'starting', orderId: null, order: null, detail: '' };
  const tell = async (changes: Partial<AgentReport>) => {
    report = { ...report, ...changes, at: Date.now() };
    await writeItem(items, `agent-${server}`, report).catch((error: Error) =>
      log('not reported', { reason: error.message }),
    );
  };

  while (!isStopping) {
    const asked = performance.now();
    try {
      const { run } = await readRole(items);
      isBusy = run !== null;
      isPlanned = run?.operation === 'failback';
      allowed = await renewServerLease(items, server, Date.now());
      if (allowed) validUntil = asked + settings.leaseSeconds * 1000 * (1 - stopShare);
    } catch (error) {
      log('the state table does not answer', { reason: (error as Error).message });
    }
    const isConfirmed = allowed === true && (!leaseIsFence || performance.now() < validUntil);
    if (
      postgres.isWriter() &&
      postgres.isRunning() &&
      (allowed === false || (leaseIsFence && performance.now() >= validUntil))
    ) {
      // In a planned change there is time to stop cleanly, so that the other server gets all that was acknowledged.
      const mode = allowed === false && isPlanned ? 'fast' : 'immediate';
      log('this server may not accept writes any more: stopping it', { allowed, mode });
      await postgres.stop(mode);
      await tell({ state: 'fenced', detail: allowed === false ? 'not the writer' : 'the lease ran out' });
    }
    if (!postgres.isRunning()) {
      if (postgres.hasFailed()) {
        log('the server ended by itself', { code: postgres.exitCode() });
        await tell({ state: 'failed', detail: `the server ended with ${postgres.exitCode()}` });
        process.exit(1);
      }
      if (!postgres.isWriter() || isConfirmed) {
        await postgres.start();
        await tell({ state: postgres.isWriter() ? 'writer' : 'standby', detail: 'started' });
      }
    }
    await obey(items, server, settings, postgres, report, tell);
    await sleep(Math.max(0, (isBusy ? tick.busy : tick.idle) - (performance.now() - asked)));
  }
}

async function obey(
  items: ReturnType<typeof openStateItems>,
  server: ServerName,
  settings: FailoverSettings,
  postgres: Postgres,
  report: AgentReport,
  tell: (changes: Partial<AgentReport>) => Promise<void>,
): Promise<void> {
  let order: Order | undefined;
  try {
    order = await readItem<Order>(items, `order-${server}`);
  } catch {
    return;
  }
  if (order === undefined || order.id === report.orderId) return;
  // One that was carried out before this process began is not carried out again.
  const earlier = await readItem<AgentReport>(items, `agent-${server}`).catch(() => undefined);
  if (earlier?.orderId === order.id && earlier.order !== 'working') {
    await tell({ orderId: order.id, order: earlier.order });
    return;
  }
  await tell({ orderId: order.id, order: 'working', detail: order.kind });
  try {
    const { id } = order;
    const detail = await carryOut(order, postgres, settings, log, (divergence) =>
      writeItem(items, `diverged-${server}`, divergenceItem(id, divergence)),
    );
    await tell({ order: 'done', detail, state: postgres.isWriter() ? 'writer' : 'standby' });
  } catch (error) {
    log('an order could not be carried out', { order: order.kind, reason: (error as Error).message });
    await tell({ order: 'failed', detail: (error as Error).message });
  }
}

await main();
