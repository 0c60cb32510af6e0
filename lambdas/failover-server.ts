import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { readSecret } from '../lib/aws/secret.ts';
import { changeRole, openStateItems, readItem, readRole, type StateItems, writeItem } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { Evidence, Observation, StandbyState } from '../lib/core/failover/evidence.ts';
import { lossBracket } from '../lib/core/failover/measure.ts';
import type { AgentReport } from '../lib/core/failover/orders.ts';
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
    const here = await readItem<ProbeItem>(items, `probe-${settings.region}`);
    const [standby, own] = await Promise.all([
      connectionOf(settings, target)
        .then((connection) => using(connection, servers.readStandby))
        .catch((error: Error) => unreachable(error.message)),
      observe(settings, old, items, hasJustFailed(here) ? 1 : 3),
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
    const role = await readRole(items).catch(askAgain);
    if (role.run?.id !== run || !['committed', 'promoted'].includes(role.run.phase)) {
      throw new PgdrError('FailoverSuperseded', `${run} does not hold the role item past its point of no return`);
    }
    const probe = await readItem<ProbeItem>(items, `probe-${settings.region}`).catch(askAgain);
    const nothing =
      role.run.fence?.fence === 'clean-stop'
        ? 'the writer was stopped in order, and its last word replayed'
        : probe?.lastGood?.synchronous
          ? 'the standby was synchronous: lost is only what somebody cancelled out of its wait for it'
          : null;
    const connection = await connectionOf(settings, target);
    await promoteServer(connection);
    const promotedAt = Date.now();
    return using(connection, async (client) => {
      const lastRecoveredAt = await servers
        .lastRecoveredCommit(client, role.run?.epoch ?? role.epoch)
        .catch(() => null);
      const loss = lossBracket({
        lastGoodAt: probe?.lastGood?.at ?? null,
        firstFailedAt: probe?.failingSince ?? role.run?.marks.began ?? null,
        lastRecoveredAt,
        leaseOverAt: role.run?.fence?.fence === 'lease' ? role.run.marks.fenced : undefined,
        nothing,
      });
      const sequences = await servers.bumpSequences(client, nothing === null ? settings.sequenceBump : 0);
      await changeRole(items, (before) => roles.recordPromotion(before, run, promotedAt));
      // So that a rewind of the old writer sees the new timeline; nobody waits for it.
      await client.query('CHECKPOINT').catch((error: Error) => logger.warn('no checkpoint', error));
      return { promotedAt, loss: finite(loss), lastRecoveredAt, sequences };
    }).catch(askAgain);
  },

  /**
   * Makes the target a standby of the writer: its agent is told once for an execution, and then waited for until it
   * streams on the writer's timeline with next to nothing to catch up.
   *
   * @throws PgdrError StandbyUnusable when that takes longer; asked again it waits on. RejoinFailed
   */
  async rejoin({ settings, items, run, target }: Step) {
    await changeRole(items, (role) => roles.stillMine(role, run, Date.now()));
    const deadline = performance.now() + 140_000;
    const id = `${run}/rejoin`;
    const follows = () => follow(settings, target).catch((error: Error) => ({ close: false, detail: error.message }));
    let detail = 'it followed already';
    if (!(await follows()).close) {
      if ((await readItem<{ id: string }>(items, `order-${target}`))?.id !== id) {
        const source = roles.otherServer(target);
        // A rewind looks at the timeline of the last checkpoint: without one it sees no divergence at all.
        await using(await connectionOf(settings, source), (client) => client.query('CHECKPOINT'), 120);
        await writeItem(items, `order-${target}`, { id, kind: 'rejoin', source, rewind: true });
      }
      detail = await answerOf(items, target, id, deadline);
    }
    for (;;) {
      const { close, detail: state } = await follows();
      if (close) return { detail, state };
      if (performance.now() > deadline) throw new PgdrError('StandbyUnusable', `${target}: ${state}`);
      await sleep(250);
    }
  },

  /**
   * After a clean stop of the writer: the target has to have replayed its last word, the checkpoint of the shutdown.
   * Only then nothing that was acknowledged is missing.
   */
  async caughtUp({ settings, items, run, target }: Step) {
    const role = await readRole(items);
    const proof = role.run?.id === run ? role.run.fence : null;
    const position = /last checkpoint ([0-9A-F]+\/[0-9A-F]+)/.exec(proof?.evidence ?? '')?.[1];
    if (proof?.fence !== 'clean-stop' || position === undefined) return { waited: false };
    const connection = await connectionOf(settings, target);
    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      const there = await using(connection, async (client) => {
        const { rows } = await client.query('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there', [position]);
        return rows[0].there as boolean;
      });
      if (there) return { waited: true, position };
      await sleep(20);
    }
    throw new PgdrError('StandbyUnusable', `${target} has not replayed the shutdown of the writer at ${position}`);
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
          // A run that found everything done holds no item to mark.
          if (role.run?.id === run) {
            await changeRole(items, (before) =>
              roles.mark(roles.mark(before, run, 'name-moved', movedAt ?? Date.now()), run, 'first-write', Date.now()),
            );
          }
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

/** Past the point of no return there is only forward: whatever ended a step, the machine asks for it again by this name. */
function askAgain(error: Error): never {
  throw error instanceof PgdrError ? error : new PgdrError('PromotionFailed', error.message, { cause: error });
}

const promotionSeconds = 60;

/**
 * Whoever cancels or ends our session does not cancel the promotion: it goes on, or is asked for again.
 *
 * @throws PgdrError PromotionFailed
 */
async function promoteServer(connection: Connection): Promise<void> {
  const deadline = performance.now() + promotionSeconds * 1000;
  for (;;) {
    try {
      return await using(connection, (client) => servers.promote(client, (deadline - performance.now()) / 1000));
    } catch (error) {
      if (performance.now() > deadline) throw new PgdrError('PromotionFailed', (error as Error).message);
      logger.warn('asked again for the promotion', error as Error);
    }
    await sleep(50);
  }
}

/** What a standby may have to catch up with before the writer is stopped for it: less than a second of most loads. */
const catchUpBytes = 4 * 1024 * 1024;

/** Waits until the agent has carried out an order. @throws RejoinFailed, StandbyUnusable */
async function answerOf(items: StateItems, server: roles.ServerName, id: string, deadline: number): Promise<string> {
  for (;;) {
    const report = await readItem<AgentReport>(items, `agent-${server}`);
    if (report?.orderId === id && report.order === 'done') return report.detail;
    if (report?.orderId === id && report.order === 'failed') throw new PgdrError('RejoinFailed', report.detail);
    if (performance.now() > deadline)
      throw new PgdrError(
        'StandbyUnusable',
        `the agent of the ${server} is not done: ${report?.detail ?? 'it never answered'}`,
      );
    await sleep(200);
  }
}

/** How closely a server follows the other one. */
async function follow(
  settings: FailoverSettings,
  server: roles.ServerName,
): Promise<{ close: boolean; detail: string }> {
  const writer = await using(await connectionOf(settings, roles.otherServer(server)), readWal, 3);
  const connection = await connectionOf(settings, server);
  const [state, replayed] = await using(
    connection,
    async (client) => [await servers.readStandby(client), await readReplay(client)] as const,
    3,
  );
  const lagBytes = Number(BigInt(writer.position) - BigInt(replayed.position));
  const close = state.streaming && replayed.timeline === writer.timeline && lagBytes < catchUpBytes;
  return {
    close,
    detail: `streaming: ${state.streaming}, timeline ${replayed.timeline} of ${writer.timeline}, ${lagBytes} bytes behind`,
  };
}

/** Positions in the WAL as bytes from its beginning. */
async function readWal(client: Client): Promise<{ timeline: number; position: string }> {
  const { rows } = await client.query(`
    SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline,
           (pg_current_wal_lsn() - '0/0')::text AS position`);
  return rows[0];
}

async function readReplay(client: Client): Promise<{ timeline: number | null; position: string }> {
  const { rows } = await client.query(`
    SELECT (SELECT received_tli FROM pg_stat_wal_receiver) AS timeline,
           (pg_last_wal_replay_lsn() - '0/0')::text AS position`);
  return rows[0];
}

/** Who a server is, as far as two connections can be compared: clones share all but when they started. */
async function identity(client: Client): Promise<string> {
  const { rows } = await client.query(`
    SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time()) AS who`);
  return rows[0].who;
}

/** The probe of this region has tried often enough a moment ago: one more try is the confirmation. */
const hasJustFailed = (probe: ProbeItem | undefined): boolean =>
  probe !== undefined && probe.failures >= 3 && Date.now() - probe.at < 5_000;

/** Tries at a write from this region. */
async function observe(
  settings: FailoverSettings,
  old: roles.ServerName,
  items: StateItems,
  tries: number,
): Promise<Observation> {
  const name = 'recovery-region';
  try {
    const role = await readRole(items);
    const connection = await connectionOf(settings, old);
    for (let attempt = 1; ; attempt++) {
      try {
        await using(connection, (client) => servers.writeHeartbeat(client, role.epoch), 2);
        return { name, sees: 'up', detail: 'a write was taken' };
      } catch (error) {
        if (attempt === tries) return { name, sees: 'down', detail: (error as Error).message };
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
