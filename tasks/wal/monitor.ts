import type { Client } from 'pg';
import { formatLsn } from '../../lib/core/lsn.ts';
import { type Connection, connect } from '../../lib/postgres/connection.ts';
import { writeHeartbeat } from '../../lib/postgres/heartbeat.ts';
import { readSlot } from '../../lib/postgres/slot.ts';
import { log } from '../log.ts';
import { publishMetrics } from '../metrics.ts';

/** What the stream knows, for those who look at it from outside. */
export interface StreamState {
  timeline: number | undefined;
  received: bigint | undefined;
  durable: bigint | undefined;
  /** Time of the newest commit that is stored; microseconds since 1970, the server's clock. */
  durableCommitAt: number | undefined;
  /** The server's clock, and `performance.now()` before it was asked for: counted on from there it is never behind. */
  serverClock: { readonly at: number; readonly told: number } | undefined;
}

export const newStreamState = (): StreamState => ({
  timeline: undefined,
  received: undefined,
  durable: undefined,
  durableCommitAt: undefined,
  serverClock: undefined,
});

/**
 * Seconds by which the store is behind the server, or a little more, never less: the age of the newest stored commit, by
 * the server's own clock, which goes on by ours while the server is silent. Undefined before the first commit.
 */
export function lagSeconds(state: StreamState): number | undefined {
  const { serverClock, durableCommitAt } = state;
  if (!serverClock || durableCommitAt === undefined) return undefined;
  const now = serverClock.at + (performance.now() - serverClock.told) * 1000;
  return Math.max(0, (now - durableCommitAt) / 1e6);
}

export interface MonitorOptions {
  readonly connection: () => Promise<Connection>;
  readonly database: string;
  readonly slot: string;
  readonly heartbeatSeconds: number;
  readonly state: StreamState;
  readonly signal: AbortSignal;
}

const metricsSeconds = 15;

/**
 * Commits a heartbeat every few seconds, looks after the slot, and publishes what it sees. It has a connection of its own,
 * and its failures stop nothing: the stream goes on without it.
 */
export function startMonitor(options: MonitorOptions): void {
  const { database, slot, state, signal } = options;
  let client: Client | undefined;
  const withClient = async <T>(work: (client: Client) => Promise<T>): Promise<T | undefined> => {
    try {
      client ??= await connect(await options.connection(), 'pgdr heartbeat');
      return await work(client);
    } catch (error) {
      await client?.end().catch(() => {});
      client = undefined;
      log('the server does not answer the heartbeat', { reason: (error as Error).message });
      return undefined;
    }
  };
  const every = (seconds: number, work: () => Promise<void>) => {
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      void work().finally(() => {
        busy = false;
      });
    }, seconds * 1000);
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  };
  signal.addEventListener('abort', () => void client?.end().catch(() => {}), { once: true });

  every(options.heartbeatSeconds, async () => {
    await withClient(writeHeartbeat);
  });
  every(metricsSeconds, async () => {
    const answer = await withClient(async (connected) => {
      // Asked, rather than taken from the stream: what waited to be read tells of a time that is over.
      const told = performance.now();
      const { rows } = await connected.query('SELECT extract(epoch FROM clock_timestamp())::float8 * 1e6 AS at');
      state.serverClock = { at: rows[0].at, told };
      return { slot: await readSlot(connected, slot) };
    });
    const found = answer?.slot;
    const lag = lagSeconds(state);
    publishMetrics(database, {
      ...(lag !== undefined && { WalLagSeconds: lag }),
      // A slot that somebody dropped promises nothing.
      ...(answer && { WalRetainedBytes: found?.retainedBytes ?? 0, WalSlotHealthy: found?.isHealthy ? 1 : 0 }),
    });
    log('stream', {
      timeline: state.timeline,
      received: state.received === undefined ? null : formatLsn(state.received),
      durable: state.durable === undefined ? null : formatLsn(state.durable),
      lagSeconds: lag ?? null,
      slot: found ? { status: found.walStatus, active: found.active, safeBytes: found.safeBytes } : null,
    });
  });
}
