import { setTimeout as sleep } from 'node:timers/promises';
import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { scheduleName } from '../../config/names.ts';
import { parseWalKey, walPrefix } from '../../core/keys.ts';
import { formatLsn, parseLsn } from '../../core/lsn.ts';
import type { RestoreSummary, WorkflowFailure } from '../../core/outcome.ts';
import { contiguousEnd, readArchive } from '../../core/wal-archive.ts';
import { stateMachineArn } from '../deployed.ts';
import { CliError } from '../errors.ts';
import { listKeys, type Metrics, readMetrics } from '../evidence.ts';
import { followExecution } from '../follow.ts';
import type { Steps } from '../steps.ts';
import { watchTask } from '../task-progress.ts';
import { database, type Rehearsal, region, restoreSecret, system } from './rehearsal.ts';
import type { RehearsalCheck } from './verdict.ts';

/** Somebody updates every customer by mistake, while the shop goes on; the rows of the moment before come back beside. */

const side = 'rescued';
const content = (schema: string) =>
  `SELECT count(*)::int AS rows, coalesce(sum(hashtextextended(c::text, 0)), 0)::text AS hash FROM ${schema}.customers c`;

interface Accident {
  /** A moment before it, when every earlier change of the table was committed. */
  readonly at: string;
  /** WAL up to here tells of it. */
  readonly lsn: string;
  readonly before: { readonly rows: number; readonly hash: string };
  readonly after: { readonly rows: number; readonly names: number };
}

export interface PointInTime {
  readonly failure?: WorkflowFailure;
  readonly checks: readonly RehearsalCheck[];
  readonly recovery?: RestoreSummary['recovery'];
}

export async function rehearsePointInTime(rehearsal: Rehearsal, steps: Steps): Promise<PointInTime> {
  await steps.run('Wait for the receiver of WAL', async () => waitForReceiver(rehearsal));
  const base = await rehearsal.run('backup-physical');
  if (!base.succeeded)
    return { failure: base.failure, checks: [check('base backup', false, base.failure?.message ?? '')] };
  const commitsBefore = rehearsal.writeLoad?.commits() ?? 0;
  const accident = await steps.run('UPDATE without WHERE, under load', async (say) => {
    const made = await makeAccident(rehearsal);
    say(`${made.before.rows} customers lost their names at ${made.at}`);
    return made;
  });
  await steps.run('Wait until its WAL is stored', async () => waitForWal(rehearsal, accident.lsn));
  const { summary, failure } = await restoreTable(rehearsal, accident.at, steps);
  if (!summary)
    return { failure, checks: [check('rows of the moment before', false, failure?.message ?? 'no outcome')] };
  const commits = (rehearsal.writeLoad?.commits() ?? 0) - commitsBefore;
  const checks = await compare(rehearsal, accident, commits);
  await steps.run('Audit the stored WAL', async () => checks.push(await audit(rehearsal)));
  return { recovery: summary.recovery, checks };
}

async function audit({ cloud, clients }: Rehearsal): Promise<RehearsalCheck> {
  const began = new Date();
  await cloud.scheduler.fire(region, scheduleName(system, database, 'audit-wal'));
  let metrics: Metrics = {};
  await until('The audit of WAL published nothing.', async () => {
    metrics = await readMetrics(clients, database, began);
    return metrics.WalGaps !== undefined && metrics.RecoverableWindowSeconds !== undefined;
  });
  const { WalGaps: findings, RecoverableWindowSeconds: seconds = 0 } = metrics;
  return check(
    'the stored WAL is whole',
    findings === 0 && seconds > 0,
    `${findings} findings; every moment of ${seconds.toFixed(1)} s can be recovered`,
  );
}

const check = (name: string, ok: boolean, detail: string): RehearsalCheck => ({ name, ok, detail });

/** Long enough for a service to place its task and to connect. */
const patience = 60_000;

async function waitForReceiver({ source }: Rehearsal): Promise<void> {
  const client = await source.server.connect('postgres');
  try {
    await until('The receiver of WAL did not begin to stream.', async () => {
      const { rows } = await client.query('SELECT FROM pg_replication_slots WHERE active AND slot_type = $1', [
        'physical',
      ]);
      return rows.length > 0;
    });
  } finally {
    await client.end();
  }
}

/** The lock makes the moment exact: whoever changed the table before has committed, nobody else can until the end. */
async function makeAccident({ source }: Rehearsal): Promise<Accident> {
  const client = await source.server.connect(source.name);
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE customers IN EXCLUSIVE MODE');
    const { rows } = await client.query(
      `SELECT c.*, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM (${content('public')}) c`,
    );
    const { at, ...before } = rows[0];
    await client.query("UPDATE customers SET name = 'N. N.'");
    await client.query('COMMIT');
    const after = await client.query(
      'SELECT count(*)::int AS rows, count(DISTINCT name)::int AS names, pg_current_wal_flush_lsn()::text AS lsn FROM customers',
    );
    const { lsn, ...left } = after.rows[0];
    return { at, lsn, before, after: left };
  } finally {
    await client.end();
  }
}

/** The load goes on, so there will be a commit behind it, by which a recovery sees that it has arrived. */
async function waitForWal({ clients, settings }: Rehearsal, lsn: string): Promise<void> {
  const wanted = parseLsn(lsn) + 1n;
  await until(`The WAL up to ${formatLsn(wanted)} did not come into the store.`, async () => {
    const keys = (await listKeys(clients, settings.bucket, walPrefix(settings))).filter((key) => parseWalKey(key));
    return contiguousEnd(readArchive(keys, 2 ** 24), 1, parseLsn(lsn)) > wanted;
  });
}

async function until(otherwise: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new CliError('RehearsalCheckFailed', otherwise);
    await sleep(250);
  }
}

async function restoreTable(
  { clients, settings, source }: Rehearsal,
  time: string,
  steps: Steps,
): Promise<{ summary?: RestoreSummary; failure?: WorkflowFailure }> {
  const { executionArn } = await clients.sfn.send(
    new StartExecutionCommand({
      stateMachineArn: stateMachineArn(settings, region, 'restore'),
      input: JSON.stringify({
        database,
        at: { kind: 'time', time },
        tables: ['public.customers'],
        fromDatabase: source.name,
        toDatabase: source.name,
        toSchema: side,
        targetSecret: restoreSecret,
      }),
    }),
  );
  const { execution } = await followExecution(clients.sfn, executionArn as string, {
    watcher: steps.watch('restore'),
    interval: 100,
    progress: watchTask(clients, system, executionArn as string),
  });
  if (execution.output !== undefined) return { summary: JSON.parse(execution.output).restore };
  return { failure: execution.cause === undefined ? undefined : JSON.parse(execution.cause) };
}

async function compare(
  { source }: Rehearsal,
  { at, before, after }: Accident,
  commits: number,
): Promise<RehearsalCheck[]> {
  const client = await source.server.connect(source.name);
  try {
    const rescued = (await client.query(content(side))).rows[0];
    const live = (
      await client.query('SELECT count(*)::int AS rows, count(DISTINCT name)::int AS names FROM public.customers')
    ).rows[0];
    const equal = rescued.rows === before.rows && rescued.hash === before.hash;
    const untouched = live.rows === after.rows && live.names === after.names;
    return [
      check('rows of the moment before', equal, `${rescued.rows} customers as they were at ${at}, in schema ${side}`),
      check('nothing else moved', untouched, `the live table is as the accident left it, ${commits} commits went on`),
    ];
  } finally {
    await client.end();
  }
}
