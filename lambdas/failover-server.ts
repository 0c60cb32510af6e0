import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { readSecret } from '../lib/aws/secret.ts';
import { changeRole, openStateItems, readItem, readRole, type StateItems } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Evidence, Observation, StandbyState } from '../lib/core/failover/evidence.ts';
import { lossBracket } from '../lib/core/failover/measure.ts';
import type { ProbeItem } from '../lib/core/failover/probe.ts';
import * as roles from '../lib/core/failover/role.ts';
import { type FailoverSettings, parseFailoverSettings } from '../lib/core/failover-settings.ts';
import { type Connection, connect, parseConnection } from '../lib/postgres/connection.ts';
import * as servers from '../lib/postgres/server-role.ts';
import { defineHandler, logger } from './define-handler.ts';

/** The steps of a failover that speak to PostgreSQL. It runs in the recovery region's network. */

interface Event {
  readonly verb: string;
  readonly settings: FailoverSettings;
  readonly run: string;
  readonly target: roles.ServerName;
}

interface Step extends Event {
  readonly items: StateItems;
}

const connectionOf = async (settings: FailoverSettings, server: roles.ServerName): Promise<Connection> => {
  const { secret } = settings.servers[server];
  return parseConnection(await readSecret(secret), secret);
};

async function using<T>(connection: Connection, work: (client: Client) => Promise<T>, limitSeconds = 5): Promise<T> {
  const client = await connect(connection, 'pgdr failover', { timeoutSeconds: limitSeconds });
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

const unreachable = (detail: string): StandbyState => ({
  reachable: false,
  inRecovery: false,
  streaming: false,
  replayLagBytes: null,
  replayPaused: false,
  timeline: null,
  heartbeatAgeSeconds: null,
  detail,
});

const verbs = {
  /** Looks at both servers from here, and asks those who looked before. */
  async assess({ settings, items, target }: Step): Promise<Evidence> {
    const old = roles.otherServer(target);
    const [standby, own, here] = await Promise.all([
      connectionOf(settings, target)
        .then((connection) => using(connection, servers.readStandby))
        .catch((error: Error) => unreachable(error.message)),
      observe(settings, old, items),
      readItem<ProbeItem>(items, `probe-${settings.region}`),
    ]);
    const lastGood = here?.lastGood;
    const now = Date.now();
    // What the standby holds is at least as new as the heartbeat that it replayed.
    const heldUntil = standby.heartbeatAgeSeconds === null ? null : now - standby.heartbeatAgeSeconds * 1000;
    const failingSince = own.sees === 'up' ? now : (here?.failingSince ?? now);
    return {
      observers: [own, linkOf(standby)],
      standby,
      lossSeconds: heldUntil === null ? null : Math.max(0, (failingSince - heldUntil) / 1000),
      synchronous: settings.fences.includes('synchronous') && (lastGood?.synchronous ?? false),
      fences: settings.fences.filter((fence) => fence !== 'synchronous'),
    };
  },

  /**
   * Promotes, then reads what was recovered, and takes sequences beyond what the old writer may have given out, before
   * anybody is led here. Only past the point of no return.
   */
  async promote({ settings, items, run, target }: Step) {
    const role = await readRole(items);
    if (role.run?.id !== run || !['committed', 'promoted'].includes(role.run.phase)) {
      throw new PgdrError('FailoverSuperseded', `${run} does not hold the role item past its point of no return`);
    }
    const probe = await readItem<ProbeItem>(items, `probe-${settings.region}`);
    const synchronous = role.run.fence?.fence === 'clean-stop' || (probe?.lastGood?.synchronous ?? false);
    return using(await connectionOf(settings, target), async (client) => {
      await servers.promote(client, 60);
      const promotedAt = Date.now();
      const lastRecoveredAt = await servers.lastRecoveredCommit(client).catch(() => null);
      const loss = lossBracket({
        lastGoodAt: probe?.lastGood?.at ?? null,
        firstFailedAt: probe?.failingSince ?? role.run?.marks.began ?? null,
        lastRecoveredAt,
        synchronous,
      });
      const sequences = await servers.bumpSequences(client, synchronous ? 0 : settings.sequenceBump);
      await changeRole(items, (before) => roles.recordPromotion(before, run, promotedAt));
      // So that a rewind of the old writer sees the new timeline; nobody waits for it.
      await client.query('CHECKPOINT').catch((error: Error) => logger.warn('no checkpoint', error));
      return { promotedAt, loss: finite(loss), lastRecoveredAt, sequences };
    });
  },

  /** Writes through the name until the write arrives at the new writer. */
  async verifyWrite({ settings, items, run, target }: Step) {
    const role = await readRole(items);
    const itself = await connectionOf(settings, target);
    const connection = { ...itself, host: settings.endpoint.name };
    let here: string | undefined;
    const deadline = performance.now() + 100_000;
    let last = 'nothing was tried';
    let movedAt: number | null = null;
    while (performance.now() < deadline) {
      try {
        const [byName, direct] = await Promise.all([lookup(connection.host), lookup(itself.host)]);
        if (byName.address === direct.address) movedAt ??= Date.now();
        const [beat, there] = await using(
          connection,
          async (client) => [await servers.writeHeartbeat(client, role.epoch), await identity(client)] as const,
          2,
        );
        here ??= await using(itself, identity, 2);
        if (here === there) {
          await changeRole(items, (before) =>
            roles.mark(roles.mark(before, run, 'name-moved', movedAt ?? Date.now()), run, 'first-write', Date.now()),
          );
          return { at: beat.at, timeline: beat.timeline, name: settings.endpoint.name, address: byName.address };
        }
        last = 'the name leads to another server that accepts writes';
      } catch (error) {
        last = (error as Error).message;
      }
      await sleep(100);
    }
    throw new PgdrError('WriteNotVerified', `${settings.endpoint.name}: ${last}`);
  },

  /** The old writer must not accept a write: unreachable, in recovery, or refusing it. */
  async verifyOld({ settings, target }: Step) {
    const old = roles.otherServer(target);
    try {
      const connection = await connectionOf(settings, old);
      const recovering = await using(
        connection,
        async (client) => {
          const { rows } = await client.query('SELECT pg_is_in_recovery() AS recovering');
          if (rows[0].recovering) return true;
          // A table that lives for this transaction: proves that a write would be taken, and leaves nothing.
          await client.query('CREATE TEMP TABLE pgdr_writable ON COMMIT DROP AS SELECT pg_current_xact_id()');
          return false;
        },
        3,
      );
      if (recovering) return { writable: false, detail: 'in recovery' };
    } catch (error) {
      return { writable: false, detail: (error as Error).message };
    }
    throw new PgdrError('OldPrimaryWritable', `${old} took a write`);
  },
} satisfies Record<string, (step: Step) => Promise<unknown>>;

/** Who a server is, as far as two connections can be compared: clones share all but when they started. */
async function identity(client: Client): Promise<string> {
  const { rows } = await client.query(`
    SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time()) AS who`);
  return rows[0].who;
}

/** Three tries at a write from this region. */
async function observe(settings: FailoverSettings, old: roles.ServerName, items: StateItems): Promise<Observation> {
  const name = 'recovery-region';
  try {
    const role = await readRole(items);
    const connection = await connectionOf(settings, old);
    for (let attempt = 1; ; attempt++) {
      try {
        await using(connection, (client) => servers.writeHeartbeat(client, role.epoch), 2);
        return { name, sees: 'up', detail: 'a write was taken' };
      } catch (error) {
        if (attempt === 3) return { name, sees: 'down', detail: (error as Error).message };
        await sleep(150);
      }
    }
  } catch (error) {
    return { name, sees: 'unknown', detail: (error as Error).message };
  }
}

/** The standby's own line to the writer. */
function linkOf(standby: StandbyState): Observation {
  const name = 'replication';
  if (!standby.reachable) return { name, sees: 'unknown', detail: standby.detail };
  return standby.streaming
    ? { name, sees: 'up', detail: 'the standby receives WAL' }
    : { name, sees: 'down', detail: 'the standby receives nothing' };
}

/** JSON has no infinity: an open end is null. */
const finite = (loss: ReturnType<typeof lossBracket>) =>
  loss && { ...loss, upperSeconds: Number.isFinite(loss.upperSeconds) ? loss.upperSeconds : null };

export const handler = defineHandler(async (event: Event): Promise<unknown> => {
  const settings = parseFailoverSettings(event.settings);
  const verb = (verbs as Record<string, (step: Step) => Promise<unknown>>)[event.verb];
  if (!verb) throw new PgdrError('RequestInvalid', `no such step: ${event.verb}`);
  const items = openStateItems(process.env.STATE_TABLE ?? '', settings.database, settings.region);
  return verb({ ...event, settings, items });
});
