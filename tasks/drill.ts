import { readSecret } from '../lib/aws/secret.ts';
import { loadFailoverSettings } from '../lib/aws/settings.ts';
import { openStateItems, readItem, readRole, type StateItems } from '../lib/aws/state-items.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { type DrillLoss, isolatedPhases, knownSeconds, regressionsOf } from '../lib/core/failover/drill.ts';
import { lossBracket } from '../lib/core/failover/measure.ts';
import type { ProbeItem } from '../lib/core/failover/probe.ts';
import type { FailoverSettings } from '../lib/core/failover-settings.ts';
import { drillKey, timeOrderedId } from '../lib/core/keys.ts';
import type { DrillSummary } from '../lib/core/outcome.ts';
import { type Connection, connect, parseConnection } from '../lib/postgres/connection.ts';
import { bumpSequences, lastRecoveredCommit, promote, readStandby } from '../lib/postgres/server-role.ts';
import { compareWith, standStill, takeReference } from './drill-compare.ts';
import { acquireDrill, watchForFailover } from './drill-flight.ts';
import { copyStandby, promotionSeconds, reach, startReplica } from './drill-replica.ts';
import { keepDrill, lastDrill, openEvidence } from './drill-report.ts';
import type { JobContext } from './job.ts';
import { log } from './log.ts';

/**
 * An isolated drill: a throwaway replica of the standby is cut off at one position of the WAL, promoted, written to, and
 * compared with what the standby held there. The role item, the name, the fences and both servers stay as they are; a
 * failover that begins meanwhile ends it.
 */

/** Of the last part of the WAL, after the copy: a standby that serves it slower than this is no good for more. */
const catchUpSeconds = 600;
const promotionLimit = 60;

export async function drill(context: JobContext): Promise<DrillSummary> {
  const { settings, input, directory, attempt } = context;
  const began = new Date();
  const failover = await loadFailoverSettings(settings.system, settings.database);
  const items = openStateItems(String(input.stateTable ?? ''), settings.database, failover.region);
  const role = await readRole(items);
  if (role.run !== null) throw new PgdrError('DrillYielded', `${role.run.operation} ${role.run.id} is at work`);
  if (role.writer !== 'primary') throw new PgdrError('DrillNotPossible', `the ${role.writer} is the writer`);
  const flight = await acquireDrill(items, `${began.toISOString()}-${attempt}`);
  const watch = watchForFailover(items, context.signal);
  try {
    const { secret } = failover.servers.standby;
    const source = parseConnection(await readSecret(secret), secret);
    const measured = await promoteCopy(source, {
      directory,
      failover,
      items,
      epoch: role.epoch,
      signal: watch.signal,
      timeoutSeconds: settings.tasks.restore.timeoutSeconds,
    });
    const phases = isolatedPhases(failover, {
      decidedSeconds: Number((input.decision as { seconds?: number } | null)?.seconds ?? 0),
      promotedSeconds: measured.promotedSeconds,
    });
    const store = openEvidence(settings);
    const last = await lastDrill(store, settings);
    const id = timeOrderedId(began, attempt);
    const { promotedSeconds: _, ...facts } = measured;
    const figures = { id, kind: 'isolated' as const, phases, rtoSeconds: knownSeconds(phases), loss: facts.loss };
    const summary: DrillSummary = {
      ...figures,
      ...facts,
      reportKey: drillKey(settings, id, 'json'),
      regressions: regressionsOf(figures, last, failover.objectives),
      lastId: last?.id ?? null,
    };
    await context.stillWanted();
    await keepDrill(store, settings, {
      schemaVersion: 1,
      database: settings.database,
      startedAt: began.toISOString(),
      execution: (input.execution as { arn?: string } | undefined)?.arn ?? null,
      objectives: failover.objectives,
      ...summary,
    });
    return summary;
  } catch (error) {
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    watch.end();
    await flight.release();
  }
}

type Measured = Omit<DrillSummary, 'id' | 'kind' | 'phases' | 'rtoSeconds' | 'reportKey' | 'regressions' | 'lastId'> & {
  readonly promotedSeconds: number;
};

interface Stage {
  readonly directory: string;
  readonly failover: FailoverSettings;
  readonly items: StateItems;
  /** Under which the writer writes. */
  readonly epoch: number;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

async function promoteCopy(source: Connection, stage: Stage): Promise<Measured> {
  const { directory, failover, items, signal, timeoutSeconds } = stage;
  const copy = await copyStandby(source, directory, signal);
  const standby = await connect(source, 'pgdr drill');
  const { lsn, at: cutAt } = await standStill(standby, signal).catch(async (error) => {
    await standby.end().catch(() => {});
    throw error;
  });
  // It ends the session on the standby whatever becomes of the rest: an open snapshot holds replay back.
  const reference = takeReference(standby, signal);
  reference.catch(() => {});
  const probe = await readItem<ProbeItem>(items, `probe-${failover.region}`);
  const followBegan = performance.now();
  const replica = await startReplica(copy, directory, lsn, { timeoutSeconds, signal });
  try {
    const client = await connect({ ...replica.connection, dbname: source.dbname }, 'pgdr drill');
    try {
      await reach(client, lsn, catchUpSeconds, signal);
      const caughtUpSeconds = (performance.now() - followBegan) / 1000;
      const before = (await readStandby(client)).timeline ?? 0;
      const held = await reference;
      const promoteBegan = performance.now();
      await promote(client, promotionLimit);
      const promotedAt = performance.now();
      const sequences = await bumpSequences(client, failover.sequenceBump);
      // The first write of an application would be the next thing.
      await client.query('CREATE TABLE public.pgdr_drill AS SELECT clock_timestamp() AS at');
      const untilWritten = (performance.now() - promotedAt) / 1000;
      const promotion = promotionSeconds(replica.said()) ?? (promotedAt - promoteBegan) / 1000;
      const promotedSeconds = promotion + untilWritten;
      log('replica promoted', { seconds: promotedSeconds, lsn });
      const lastRecoveredAt = await lastRecoveredCommit(client, stage.epoch + 1).catch(() => null);
      await compareWith(held, client, signal);
      const { rows } = await client.query(
        `SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline`,
      );
      return {
        cutAt: new Date(cutAt).toISOString(),
        lsn,
        serverVersion: replica.version,
        bytes: copy.cluster.bytes,
        copySeconds: copy.seconds,
        catchUpSeconds: caughtUpSeconds,
        timelines: [before, rows[0].timeline],
        sequences,
        compared: {
          tables: held.tables.length,
          of: held.of,
          rows: held.tables.reduce((sum, table) => sum + BigInt(table.rows), 0n).toString(),
          note: held.note,
        },
        loss: lossAt(cutAt, probe, lastRecoveredAt),
        promotedSeconds,
      };
    } finally {
      await client.end().catch(() => {});
    }
  } finally {
    await replica.stop();
  }
}

/** What would have been lost, had the primary died when the replica was cut off. */
function lossAt(cutAt: number, probe: ProbeItem | undefined, lastRecoveredAt: number | null): DrillLoss | null {
  const lastGood = probe?.lastGood;
  // The writer's clock, as far as the probe tells it from this one.
  const skew = lastGood ? lastGood.at - lastGood.seenAt : 0;
  const loss = lossBracket({
    lastGoodAt: lastGood && lastGood.seenAt <= cutAt ? lastGood.at : null,
    firstFailedAt: cutAt + skew,
    lastRecoveredAt,
    nothing: lastGood?.synchronous ? 'the standby was synchronous' : null,
  });
  return loss && { ...loss, upperSeconds: Number.isFinite(loss.upperSeconds) ? loss.upperSeconds : null };
}
