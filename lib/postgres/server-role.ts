import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import type { StandbyState } from '../core/failover/evidence.ts';
import { bumpedValue } from '../core/failover/measure.ts';
import { heartbeatTable } from './heartbeat.ts';

/** What failovers ask of a server and do to it: heartbeats, promotion, sequences. */

/** The heartbeat's table and its one row. It fails on a standby, and where the role may not. */
export async function prepareHeartbeat(client: Client): Promise<void> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_catalog.pg_attribute
      WHERE attrelid = pg_catalog.to_regclass($1) AND attname = 'epoch' AND NOT attisdropped`,
    [heartbeatTable],
  );
  if (rowCount) return;
  await client.query('CREATE SCHEMA IF NOT EXISTS pgdr');
  await client.query(`CREATE TABLE IF NOT EXISTS ${heartbeatTable} (id int PRIMARY KEY, at timestamptz NOT NULL)`);
  await client.query(`CREATE TABLE IF NOT EXISTS ${roomTable} (page text)`);
  await client.query(`ALTER TABLE ${roomTable} ALTER COLUMN page SET STORAGE PLAIN`);
  await client.query(`ALTER TABLE ${heartbeatTable} ADD COLUMN IF NOT EXISTS epoch bigint`);
}

/** Always empty: a page is written to it and given up, since the heartbeat's own row is updated in the room that it has. */
const roomTable = 'pgdr.room';
const pageBytes = 7_000;

export interface Heartbeat {
  /** By the server's clock, milliseconds. */
  readonly at: number;
  readonly timeline: number;
  readonly lsn: string;
  /** The one standby that commits wait for, if there is exactly one. */
  readonly synchronous: boolean;
}

/** Commits a heartbeat, as an application would commit: a server whose disk is full or that is fenced cannot. */
export async function writeHeartbeat(client: Client, epoch: number): Promise<Heartbeat> {
  const { rows } = await client.query(
    `INSERT INTO ${heartbeatTable} AS h (id, at, epoch) VALUES (1, clock_timestamp(), $1)
     ON CONFLICT (id) DO UPDATE SET at = excluded.at, epoch = excluded.epoch
     RETURNING extract(epoch FROM h.at) * 1000 AS at`,
    [epoch],
  );
  await client.query(`BEGIN; INSERT INTO ${roomTable} VALUES (repeat('x', ${pageBytes})); ROLLBACK`);
  const { rows: state } = await client.query(
    `SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline,
            pg_current_wal_lsn()::text AS lsn,
            (SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) = 1
                    AND count(*) FILTER (WHERE sync_state = 'potential') = 0
               FROM pg_stat_replication) AS synchronous`,
  );
  return { at: Number(rows[0].at), ...(state[0] as { timeline: number; lsn: string; synchronous: boolean }) };
}

/** A receiver that heard nothing for so long hears nothing: twice wal_sender_timeout's usual half. */
const silentSeconds = 30;

export async function readStandby(client: Client): Promise<StandbyState> {
  const { rows } = await client.query(`
    SELECT pg_is_in_recovery() AS "inRecovery",
           CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS "replayPaused",
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() END AS lag,
           (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
           (SELECT status = 'streaming' AND last_msg_receipt_time > now() - interval '${silentSeconds} s'
              FROM pg_stat_wal_receiver) AS streaming,
           (SELECT received_tli FROM pg_stat_wal_receiver) AS received`);
  const row = rows[0];
  const { rows: beat } = await client.query(`SELECT to_regclass('${heartbeatTable}') IS NOT NULL AS there`);
  const age = beat[0].there
    ? (await client.query(`SELECT extract(epoch FROM clock_timestamp() - max("at")) AS age FROM ${heartbeatTable}`))
        .rows[0].age
    : null;
  return {
    reachable: true,
    inRecovery: row.inRecovery,
    streaming: row.streaming ?? false,
    replayLagBytes: row.lag === null ? null : Number(row.lag),
    replayPaused: row.replayPaused,
    timeline: row.received ?? row.timeline,
    heartbeatAgeSeconds: age === null ? null : Number(age),
    detail: row.inRecovery ? 'in recovery' : 'accepts writes',
  };
}

/**
 * When the last transaction that this server recovered was committed, by the old writer's clock; null: unknown.
 *
 * @param epoch the one that it writes under from now on: a heartbeat of that was not recovered
 */
export async function lastRecoveredCommit(client: Client, epoch: number): Promise<number | null> {
  const { rows } = await client.query(
    `SELECT greatest(extract(epoch FROM pg_last_xact_replay_timestamp()),
                     (SELECT extract(epoch FROM max("at")) FROM ${heartbeatTable} AS h
                       WHERE h.epoch IS NULL OR h.epoch < $1)) * 1000 AS at`,
    [epoch],
  );
  return rows[0].at === null ? null : Number(rows[0].at);
}

/**
 * Promotes and waits until the server accepts writes. pg_promote may return false or be cancelled while the promotion
 * goes on, so that it is asked without waiting, looked after, and asked again.
 *
 * @throws PgdrError PromotionFailed
 */
export async function promote(client: Client, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  for (let look = 0; performance.now() < deadline; look++) {
    const { rows } = await client.query('SELECT pg_is_in_recovery() AS recovering');
    if (!rows[0].recovering) return;
    if (look % 50 === 0) await client.query('SELECT pg_promote(false)').catch(() => {});
    await sleep(20);
  }
  throw new PgdrError('PromotionFailed', `the server was still in recovery after ${seconds} s`);
}

/** Takes every sequence ahead by `by` steps; gives how many, and those that have no room for it. */
export async function bumpSequences(client: Client, by: number): Promise<{ bumped: number; exhausted: string[] }> {
  if (by === 0) return { bumped: 0, exhausted: [] };
  const { rows } = await client.query(`
    SELECT format('%I.%I', schemaname, sequencename) AS name, coalesce(last_value, start_value)::text AS last,
           increment_by::text AS increment, min_value::text AS min, max_value::text AS max, cycle
      FROM pg_sequences`);
  const exhausted: string[] = [];
  let bumped = 0;
  for (const { name, last, increment, min, max } of rows) {
    const next = bumpedValue({
      lastValue: BigInt(last),
      increment: BigInt(increment),
      min: BigInt(min),
      max: BigInt(max),
      by: BigInt(by),
    });
    if (next === null) exhausted.push(name);
    else {
      await client.query('SELECT setval($1::regclass, $2::bigint)', [name, String(next)]);
      bumped++;
    }
  }
  return { bumped, exhausted };
}
