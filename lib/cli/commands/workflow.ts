import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { humanBytes, humanSeconds } from '../../core/human.ts';
import type { Outcome, Workflow } from '../../core/outcome.ts';
import { openDeployment } from '../context.ts';
import { readSettings, stateMachineArn } from '../deployed.ts';
import { CliError, type ErrorReport, type ExitCode, exitCode } from '../errors.ts';
import { endOf } from '../execution-end.ts';
import { followExecution } from '../follow.ts';
import { createOutput, formatTable, type Output } from '../output.ts';
import { errorLines } from '../rehearse/summary.ts';
import { createSteps, type StepRecord } from '../steps.ts';
import { watchTask } from '../task-progress.ts';

export interface WorkflowOptions {
  readonly json?: boolean;
  readonly region?: string;
  /** `--no-wait`: false. */
  readonly wait: boolean;
  /** restore-test and verify: a backup other than the latest. */
  readonly backup?: string;
  /** restore-test alone: of base backups and WAL. */
  readonly physical?: boolean;
  /** base-backup alone: no increment. */
  readonly full?: boolean;
  /** restore-test alone: done here, out of this bucket. */
  readonly fromBucket?: string;
}

/** What `pgdr backup` and `pgdr restore-test` print with `--json`; documented in docs/cli.md. */
export interface WorkflowResult {
  readonly ok: boolean;
  readonly workflow: Workflow;
  readonly database: string;
  readonly region: string;
  /** Absent with --from-bucket. */
  readonly executionArn?: string;
  readonly bucket?: string;
  readonly status: string;
  readonly seconds?: number;
  readonly steps?: readonly StepRecord[];
  readonly outcome?: Outcome;
  /** Files that were written, with --from-bucket. */
  readonly reports?: readonly string[];
  readonly error?: ErrorReport;
}

/** Failures that were a refusal, or a search in vain. */
export const exits: Readonly<Record<string, ExitCode>> = {
  BackupNotFound: exitCode.notFound,
  TableNotInBackup: exitCode.notFound,
  RecoveryTargetUnreachable: exitCode.refused,
  RestoreTargetExists: exitCode.refused,
  RestoreTargetUnknown: exitCode.refused,
};

/** Starts a state machine for a database and follows it, as the console with the same input would. */
export async function runWorkflow(
  workflow: Workflow,
  database: string,
  options: WorkflowOptions,
  input: object = {},
): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const { config, clients } = await openDeployment(options.region);
  try {
    const settings = await readSettings(clients, config.name, database);
    const stateMachine = stateMachineArn(settings, clients.region, workflow);
    const executionArn = await start(clients.sfn, stateMachine, {
      database,
      ...(options.backup && { backupId: options.backup }),
      ...(options.full && { full: true }),
      ...(options.physical && { kind: 'physical' }),
      ...input,
    });
    const base = { workflow, database, region: clients.region, executionArn };
    output.line(`${workflow} of ${database} in ${clients.region}: ${executionArn}`);
    if (!options.wait) {
      output.result(
        { ok: true, ...base, status: 'RUNNING' } satisfies WorkflowResult,
        () => 'Started; not waiting for its end.',
      );
      return exitCode.done;
    }

    const steps = createSteps(output);
    const { execution, seconds } = await followExecution(clients.sfn, executionArn, {
      watcher: steps.watch(workflow),
      progress: watchTask(clients, config.name, executionArn),
    });
    const result: WorkflowResult = { ...base, ...endOf(execution), seconds, steps: steps.records };
    output.result(result, () => renderOutcome(result, output));
    if (result.ok) return exitCode.done;
    return exits[execution.error ?? ''] ?? exitCode.failed;
  } finally {
    clients.close();
  }
}

async function start(
  client: { send(command: StartExecutionCommand): Promise<{ executionArn?: string }> },
  stateMachineArn: string,
  input: object,
) {
  try {
    const { executionArn } = await client.send(
      new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) }),
    );
    return executionArn as string;
  } catch (cause) {
    if ((cause as Error).name !== 'StateMachineDoesNotExist') throw cause;
    throw new CliError('StateMachineMissing', `${stateMachineArn} does not exist.`, {
      exit: exitCode.notFound,
      intact: 'Nothing was started.',
      tryNext: 'Deploy the platform stack of this region with this version of pgdr.',
      cause,
    });
  }
}

export function renderOutcome(
  { ok, outcome, error, seconds = 0, status, reports }: WorkflowResult,
  output: Output,
): string {
  if (!ok)
    return [
      '',
      ...errorLines(error as ErrorReport, output),
      '',
      output.paint('bad', `${status} after ${humanSeconds(seconds)}.`),
    ].join('\n');
  const rows: string[][] = [];
  const { backup, proof, restore, retention, verification, objectives } = outcome ?? {};
  if (backup) {
    rows.push(['Backup', backup.id], ['Taken', backup.takenAt]);
    rows.push(['Size', `${humanBytes(backup.bytes)} stored of ${humanBytes(backup.rawBytes)} dumped`]);
    if (backup.partial !== null) rows.push(['Partial', `not of everything: ${backup.partial}`]);
    rows.push(['Content', `${backup.tables} tables in ${backup.objects} objects`]);
  }
  if (proof) {
    rows.push(['Backup', proof.backupId], ['Proof', `${proof.level}, ${proof.tables} tables, ${proof.rows} rows`]);
    if (proof.partial !== null) rows.push(['Partial', `a proof of this part alone: ${proof.partial}`]);
    rows.push(['RTO', `${humanSeconds(proof.rtoSeconds)}, objective ${humanSeconds(objectives?.rtoSeconds ?? 0)}`]);
    rows.push(['RPO', `${humanSeconds(proof.rpoSeconds)}, objective ${humanSeconds(objectives?.rpoSeconds ?? 0)}`]);
    rows.push(['Report', reports?.find((path) => path.endsWith('.html')) ?? proof.reportKey]);
  }
  if (restore) {
    const { toDatabase, toSchema, host } = restore;
    rows.push(['Backup', `${restore.backupId}, taken ${restore.takenAt}`]);
    if (restore.partial !== null) rows.push(['Partial', `the backup is not of everything: ${restore.partial}`]);
    rows.push(['Into', `${toDatabase}${toSchema === null ? '' : `, schema ${toSchema}`} on ${host}`]);
    rows.push(['Compared', `${restore.tables} tables, ${restore.rows} rows, equal to the backup`]);
    rows.push(['Read', `${humanBytes(restore.bytes)} in ${restore.objects} objects`]);
    for (const { what, why } of restore.omitted) rows.push(['Not restored', `${what}: ${why}`]);
    if (restore.moreOmitted > 0) rows.push(['Not restored', `and ${restore.moreOmitted} more`]);
  }
  if (verification) {
    const { backupId, bytes, objects, recorded } = verification;
    rows.push(['Backup', backupId], ['Read', `${humanBytes(bytes)} in ${objects} objects, as the manifest says`]);
    if (recorded) rows.push(['Recorded', 'it was not verified before, and is from now on']);
  }
  if (retention) {
    for (const { why, backups } of retention.keeps) rows.push(['Kept', `${backups}: ${why}`]);
    const verb = retention.dryRun ? 'Would go' : 'Expired';
    for (const { id, why } of retention.expires) rows.push([verb, `${id}: ${why}`]);
    const more = retention.expired - retention.expires.length;
    if (more > 0) rows.push([verb, `and ${more} more`]);
    const counted = `${retention.objects} objects, ${humanBytes(retention.bytes)}`;
    rows.push([retention.dryRun ? 'Would be removed' : 'Removed', counted], ['Plan', retention.planKey]);
  }
  return ['', formatTable(['Measured', ''], rows), '', output.paint('good', `Done in ${humanSeconds(seconds)}.`)].join(
    '\n',
  );
}
