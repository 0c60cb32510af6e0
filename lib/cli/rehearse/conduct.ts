import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ImageRoot } from '../../../local/runtime/image-root.ts';
import { describeFailure, isErrorName } from '../../core/errors.ts';
import type { MetricName } from '../../core/metrics.ts';
import { checksOf, type ProofReport, tablesOf, totalRows } from '../../core/proof.ts';
import { tellsOutcome } from '../../core/slack-message.ts';
import { CliError, type ErrorReport, reportOf, toCliError } from '../errors.ts';
import { latestProof, type Metrics, readBackup, readMetrics } from '../evidence.ts';
import type { Output } from '../output.ts';
import type { PostgresBinaries } from '../setup/postgres-binaries.ts';
import { createSteps, type Steps } from '../steps.ts';
import { rehearseFailover } from './failover/rehearse-failover.ts';
import { whyNoSecondHost } from './failover/servers.ts';
import type { Fault } from './faults/fault.ts';
import { runFault } from './faults/index.ts';
import { rehearsePointInTime } from './point-in-time.ts';
import { database, type Rehearsal, startRehearsal, type WorkflowRun } from './rehearsal.ts';
import type { RehearsalResult } from './result.ts';
import { judgeRehearsal } from './verdict.ts';

/** A whole rehearsal, from nothing to a verdict. It never throws for what the rehearsal is there to find out. */

export interface ConductOptions {
  readonly postgres: PostgresBinaries;
  readonly restorePostgres?: PostgresBinaries;
  /** Built images by major; without them tasks run with the tools of this machine. */
  readonly images?: ReadonlyMap<number, ImageRoot>;
  readonly directory: string;
  readonly size: number;
  readonly fault?: Fault;
  readonly output: Output;
  readonly reportPath: string;
  /** Rehearses a failover and a failback too. */
  readonly failover: boolean;
  readonly verbose?: (line: string) => void;
}

type Parts = { -readonly [Key in keyof RehearsalResult]?: RehearsalResult[Key] };

export async function conduct(options: ConductOptions): Promise<RehearsalResult> {
  const began = new Date();
  const steps = createSteps(options.output, began.getTime());
  const parts: Parts = { checks: [], metrics: {}, slack: { messages: [] } };
  let rehearsal: Rehearsal | undefined;
  try {
    rehearsal = await startRehearsal({ ...options, steps });
    parts.sourceBytes = rehearsal.sourceBytes;
    await (options.fault ? rehearseFault(rehearsal, options.fault, parts) : rehearse(rehearsal, parts, steps));
    await readBack(rehearsal, began, parts, steps);
    if (!options.fault) parts.error ??= brokenCheck(parts);
  } catch (thrown) {
    parts.error = reportOf(toCliError(thrown));
    // A fault that cannot be injected here, or a checkout that cannot be used, is no verdict.
    if (thrown instanceof CliError && thrown.exit !== 1) throw thrown;
  } finally {
    if (rehearsal) {
      parts.slack = { messages: [...rehearsal.webhook.messages] };
      await rehearsal.stop();
    }
  }
  if (options.failover && parts.error === undefined) await addFailover(options, parts, steps);
  return {
    schemaVersion: 1,
    ok: parts.error === undefined && options.fault === undefined,
    startedAt: began.toISOString(),
    seconds: (Date.now() - began.getTime()) / 1000,
    postgres: { version: options.postgres.version, major: options.postgres.major },
    restorePostgres: options.restorePostgres && {
      version: options.restorePostgres.version,
      major: options.restorePostgres.major,
    },
    ...(parts as Required<Pick<Parts, 'checks' | 'metrics' | 'slack'>>),
    steps: steps.records,
    reportPath: options.reportPath,
  };
}

/** In a cloud of its own, when the first is gone: two servers, their agents and a load want the machine for themselves. */
async function addFailover(options: ConductOptions, parts: Parts, steps: Steps): Promise<void> {
  const missing = await whyNoSecondHost();
  if (missing !== undefined) {
    parts.failoverOmitted = missing;
    return;
  }
  try {
    parts.failover = await rehearseFailover({ ...options, directory: join(options.directory, 'failover'), steps });
    parts.checks = [...(parts.checks ?? []), ...parts.failover.checks];
    parts.error ??= brokenCheck(parts);
  } catch (thrown) {
    parts.error = reportOf(toCliError(thrown));
  }
}

/** Both workflows by their schedules, then what the cloud shows of them. */
async function rehearse(rehearsal: Rehearsal, parts: Parts, steps: Steps): Promise<void> {
  const commitsBefore = rehearsal.writeLoad?.commits() ?? 0;
  const backup = await rehearsal.run('backup-logical');
  const commitsDuringBackup = (rehearsal.writeLoad?.commits() ?? 0) - commitsBefore;
  await describeBackup(rehearsal, backup, parts);
  if (!backup.succeeded) {
    parts.error = errorOf(backup);
    return;
  }
  const restore = await rehearsal.run('restore-test');
  const proof = await describeProof(rehearsal, restore, parts);
  if (!restore.succeeded) parts.error = errorOf(restore);

  const { clients, settings, webhook } = rehearsal;
  await steps.run('Publish posture', async (say) => {
    await rehearsal.publishPosture();
    const { BackupAgeSeconds: age } = await waitForMetric(clients, 'BackupAgeSeconds', backup.startedAt);
    if (age !== undefined) say(`the newest verified backup is ${Math.round(age)} s old`);
  });
  const stored = await readBackup(clients, settings.bucket, backup.outcome?.backup?.manifestKey ?? '');
  parts.checks = judgeRehearsal({
    backup: { status: backup.execution.status ?? '', ...stored },
    restore: { status: restore.execution.status ?? '', proof },
    metrics: await readMetrics(clients, database, backup.startedAt),
    slackMessages: webhook.messages.filter(
      (message) => tellsOutcome(message, 'backup-logical') || tellsOutcome(message, 'restore-test'),
    ).length,
    slackRefused: webhook.refused,
    commitsDuringBackup,
  });
  // With encryption of our own there are no base backups.
  if (settings.logical.clientKey !== undefined || parts.error) return;
  const { failure, checks, recovery } = await rehearsePointInTime(rehearsal, steps);
  parts.checks = [...(parts.checks ?? []), ...checks];
  parts.pointInTime = recovery;
  if (failure) parts.error = { name: failure.error, message: failure.message, step: failure.step };
}

/** The metrics, as soon as this one is among them; without it after twenty seconds. */
async function waitForMetric(clients: Rehearsal['clients'], name: MetricName, from: Date): Promise<Metrics> {
  const until = Date.now() + 20_000;
  for (;;) {
    const metrics = await readMetrics(clients, database, from);
    if (metrics[name] !== undefined || Date.now() > until) return metrics;
    await delay(100);
  }
}

async function rehearseFault(rehearsal: Rehearsal, fault: Fault, parts: Parts): Promise<void> {
  if (fault.workflow === 'restore-test') {
    const backup = await rehearsal.run('backup-logical');
    await describeBackup(rehearsal, backup, parts);
    if (!backup.succeeded) {
      parts.error = errorOf(backup);
      return;
    }
  }
  const { run, result } = await runFault(rehearsal, fault);
  parts.fault = result;
  parts.error = errorOf(run) ?? {
    name: 'FaultUnnoticed',
    message: `${run.workflow} succeeded in spite of the fault ${fault.name}.`,
  };
  if (run.workflow === 'restore-test') await describeProof(rehearsal, run, parts);
}

/** Metrics and the write load are read at the very end, whatever came of the workflows. */
async function readBack(rehearsal: Rehearsal, began: Date, parts: Parts, steps: Steps): Promise<void> {
  parts.metrics = await readMetrics(rehearsal.clients, database, began);
  const { rpoSeconds, rtoSeconds } = rehearsal.settings.objectives;
  parts.objectives = { rpoSeconds, rtoSeconds };
  const { writeLoad } = rehearsal;
  if (writeLoad)
    parts.writeLoad = await steps.run('Stop the write load', async () => {
      const commits = await writeLoad.stop();
      return { commits, perSecond: commits / writeLoad.seconds() };
    });
}

async function describeBackup({ clients, settings }: Rehearsal, { outcome }: WorkflowRun, parts: Parts): Promise<void> {
  if (!outcome?.backup) return;
  const { verification } = await readBackup(clients, settings.bucket, outcome.backup.manifestKey);
  parts.backup = { ...outcome.backup, verifiedAt: verification?.verifiedAt ?? null };
}

async function describeProof(
  { clients, settings }: Rehearsal,
  run: WorkflowRun,
  parts: Parts,
): Promise<ProofReport | undefined> {
  const { key, report } = (await latestProof(clients, settings, run.startedAt)) ?? {};
  if (key === undefined || report === undefined) return undefined;
  const { id, backupId, level, holds, restoreSeconds, proofSeconds } = report;
  const tables = tablesOf(report);
  parts.proof = {
    id,
    reportKey: key,
    backupId,
    level,
    holds,
    databases: report.databases.map(({ name }) => name),
    partial: report.databases[0]?.partial ?? null,
    tables: tables.length,
    rows: totalRows(tables),
    restoreSeconds,
    proofSeconds,
    perTable: tables,
    checks: checksOf(report),
  };
  parts.rpoSeconds = report.rpoSeconds;
  parts.rtoSeconds = report.rtoSeconds;
  return report;
}

function errorOf(run: WorkflowRun): ErrorReport | undefined {
  if (run.succeeded) return undefined;
  const { failure, execution } = run;
  const name = execution.error ?? execution.status ?? 'Unexpected';
  const words = isErrorName(name) ? describeFailure(name, '') : undefined;
  return {
    name,
    message: failure?.message ?? execution.cause ?? `${run.workflow} ended ${execution.status}`,
    ...(failure?.step && { step: failure.step }),
    ...(words && { intact: words.intact, tryNext: words.tryNext, runbook: words.runbook }),
  };
}

/** Both executions succeeded, and yet something does not hold. */
function brokenCheck({ checks = [] }: Parts): ErrorReport | undefined {
  const broken = checks.filter((check) => !check.ok);
  if (checks.length > 0 && broken.length === 0) return undefined;
  return {
    name: 'RehearsalCheckFailed',
    message: broken.map(({ name, detail }) => `${name}: ${detail}`).join('; ') || 'Nothing was checked.',
    tryNext: 'Run again with --keep and look at the logs below the directory that it names.',
  };
}
