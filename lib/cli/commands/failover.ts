import { StartExecutionCommand } from '@aws-sdk/client-sfn';
import { readRole } from '../../aws/state-items.ts';
import { stateMachineName } from '../../config/names.ts';
import { lossText } from '../../core/failover/drill-page.ts';
import type { Evidence } from '../../core/failover/evidence.ts';
import type { Operation, Role } from '../../core/failover/role.ts';
import { humanBytes, humanSeconds } from '../../core/human.ts';
import type { DrillSummary, Outcome } from '../../core/outcome.ts';
import { CliError, type ErrorReport, type ExitCode, exitCode } from '../errors.ts';
import { endOf } from '../execution-end.ts';
import { type FailoverDeployment, openFailover } from '../failover-deployment.ts';
import { followExecution } from '../follow.ts';
import { createOutput, formatTable, type Output } from '../output.ts';
import { errorLines } from '../rehearse/summary.ts';
import { createSteps, type StepRecord } from '../steps.ts';

export interface FailoverOptions {
  readonly json?: boolean;
  readonly region?: string;
  readonly wait: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly reason?: string;
  readonly maxLoss?: string;
  readonly approval?: boolean;
  readonly attest?: string;
  /** Of a drill: the writer is changed there and back. */
  readonly full?: boolean;
  /** Of a failback: why the writer is not backed up first. */
  readonly skipBackup?: string;
}

/** What `pgdr failover`, `failback` and `drill` print with `--json`; documented in docs/cli.md. */
interface FailoverResult {
  readonly ok: boolean;
  readonly operation: Operation;
  readonly database: string;
  readonly region: string;
  readonly executionArn: string;
  readonly status: string;
  readonly seconds?: number;
  readonly steps?: readonly StepRecord[];
  readonly outcome?: Outcome | Plan;
  readonly error?: ErrorReport;
}

/** What a dry run gives. */
interface Plan {
  readonly dryRun: true;
  readonly decision: { readonly verdict: string; readonly reasons: readonly string[] };
  readonly evidence: Evidence;
}

/** Failures that were a refusal by a safety check. */
const refusals = [
  'FailoverRefused',
  'FailoverInProgress',
  'FenceUnproven',
  'ApprovalDenied',
  'StandbyUnusable',
  'DrillYielded',
  'DrillNotPossible',
];

/** Starts a workflow of the recovery region and follows it, as the console with the same input would. */
export async function changeWriter(
  operation: Operation,
  database: string,
  options: FailoverOptions,
): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const maxLossSeconds = options.maxLoss === undefined ? undefined : Number(options.maxLoss);
  if (maxLossSeconds !== undefined && !(maxLossSeconds >= 0)) {
    throw new CliError('BadUsage', `--max-loss is '${options.maxLoss}': give seconds, 30 say.`, {
      exit: exitCode.usage,
    });
  }
  const deployment = await openFailover(database, options.region);
  const { clients, settings } = deployment;
  try {
    const role = await readRole(deployment.items);
    const executionArn = await start(deployment, operation, role, {
      database,
      reason: options.reason ?? 'by pgdr',
      ...(options.dryRun && { dryRun: true }),
      ...(options.full && { full: true }),
      ...(options.force && { force: true }),
      ...(maxLossSeconds !== undefined && { maxLossSeconds }),
      ...(options.approval && { approval: 'always' }),
      ...(options.attest && { attest: options.attest }),
      ...(options.skipBackup && { skipBackup: options.skipBackup }),
    });
    const base = { operation, database, region: settings.region, executionArn };
    output.line(`${operation} of ${database} in ${settings.region}: ${executionArn}`);
    if (!options.wait) {
      output.result(
        { ok: true, ...base, status: 'RUNNING' } satisfies FailoverResult,
        () => 'Started; not waiting for its end.',
      );
      return exitCode.done;
    }
    const steps = createSteps(output);
    const { execution, seconds } = await followExecution(clients.sfn, executionArn, {
      watcher: steps.watch(operation),
      progress: async () => waitingFor(await readRole(deployment.items), database),
    });
    const result: FailoverResult = { ...base, ...endOf(execution), seconds, steps: steps.records };
    output.result(result, () => render(result, output));
    if (result.ok) return exitCode.done;
    return refusals.includes(execution.error ?? '') ? exitCode.refused : exitCode.failed;
  } finally {
    deployment.close();
  }
}

/** What the operator can do now, shown beside the state that runs. */
function waitingFor({ run }: Role, database: string): string | undefined {
  if (run === null) return undefined;
  if (run.approval) return `waits for: pgdr approve ${database} --run ${run.id}`;
  const isPast = run.phase === 'committed' || run.phase === 'promoted';
  return isPast
    ? `${run.phase}, past the point of no return`
    : `${run.phase}; to abort: pgdr abort ${database} --run ${run.id}`;
}

/** `fo-<database>-<epoch>-<attempt>`: the name says what it is about, and no two are alike. */
async function start(
  { clients, settings, account }: FailoverDeployment,
  operation: Operation,
  role: Role,
  input: object,
): Promise<string> {
  const prefix = { failover: 'fo', failback: 'fb', drill: 'dr' }[operation];
  const stateMachineArn = `arn:${account.partition}:states:${settings.region}:${account.id}:stateMachine:${stateMachineName(settings.system, operation)}`;
  const attempt = Date.now().toString(36);
  const name = `${prefix}-${settings.database}-${role.epoch}-${attempt}`;
  const { executionArn } = await clients.sfn.send(
    new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }),
  );
  return executionArn as string;
}

function render({ ok, outcome, error, seconds = 0, status }: FailoverResult, output: Output): string {
  if (!ok) {
    const lines = errorLines(error as ErrorReport, output);
    return ['', ...lines, '', output.paint('bad', `${status} after ${humanSeconds(seconds)}.`)].join('\n');
  }
  const rows = outcome && 'dryRun' in outcome ? planRows(outcome) : outcomeRows(outcome as Outcome);
  return ['', formatTable(['Measured', ''], rows), '', output.paint('good', `Done in ${humanSeconds(seconds)}.`)].join(
    '\n',
  );
}

function planRows({ decision, evidence }: Plan): string[][] {
  const verdicts = { go: 'would fail over', approve: 'would wait for an approval', refuse: 'would refuse' };
  return [
    ['Plan', verdicts[decision.verdict as 'go'] ?? decision.verdict],
    ...decision.reasons.map((reason) => ['Because', reason]),
    ...evidence.observers.map(({ name, sees, detail }) => [`Seen by ${name}`, `${sees}: ${detail}`]),
    ['Standby', evidence.standby.detail],
    ['Would be lost', evidence.lossSeconds === null ? 'unknown' : `up to ${humanSeconds(evidence.lossSeconds)}`],
  ];
}

function drillRows(drill: DrillSummary, objectives: Outcome['objectives']): string[][] {
  const { compared, timelines } = drill;
  const known = { measured: '', bounded: ' at most', unknown: '' };
  return [
    ['Copied', `${humanBytes(drill.bytes)} in ${humanSeconds(drill.copySeconds)}`],
    ['Promoted', `PostgreSQL ${drill.serverVersion} at ${drill.lsn}, timeline ${timelines[0]} → ${timelines[1]}`],
    [
      'Content',
      `${compared.tables} of ${compared.of} tables equal to the standby's${compared.note ? `; ${compared.note}` : ''}`,
    ],
    ...drill.phases.map(({ phase, seconds, how, note }) => [
      `RTO, ${phase}`,
      seconds === null ? `not known: ${note}` : `${humanSeconds(seconds)}${known[how]}: ${note}`,
    ]),
    ['RTO', `${humanSeconds(drill.rtoSeconds)} of what is known, objective ${humanSeconds(objectives.rtoSeconds)}`],
    ['Would be lost', `${lossText(drill.loss)}, objective ${humanSeconds(objectives.rpoSeconds)}`],
    ...drill.regressions.map((one) => ['Worse', one]),
    ['Evidence', drill.reportKey],
  ];
}

export function outcomeRows({ failover, drill, objectives }: Outcome): string[][] {
  if (drill) return drillRows(drill, objectives);
  if (!failover) return [];
  const { loss, diverged } = failover;
  const took = failover.operation === 'failback' ? 'Without a writer' : 'RTO';
  const upper = loss?.upperSeconds;
  return [
    ['Writer', `${failover.from} → ${failover.to}, epoch ${failover.epoch}`],
    ['Name', failover.name],
    ['Fence', failover.fence ? `${failover.fence.fence}: ${failover.fence.evidence}` : 'none was needed'],
    ...(failover.operation === 'failback' ? failover.reasons.map((reason) => ['Before', reason]) : []),
    ...failover.phases.map(({ phase, seconds }) => [`${took}, ${phase}`, humanSeconds(seconds)]),
    [
      took,
      failover.operation === 'failback'
        ? humanSeconds(failover.rtoSeconds)
        : `${humanSeconds(failover.rtoSeconds)}, objective ${humanSeconds(objectives.rtoSeconds)}`,
    ],
    [
      'Lost',
      loss ? `${humanSeconds(loss.lowerSeconds)} to ${upper == null ? 'unknown' : humanSeconds(upper)}` : 'unknown',
    ],
    ['Old writer', failover.oldWriter],
    ...(diverged
      ? [
          [
            'Undone',
            `${diverged.transactions} transactions that only it had: ${diverged.xids.join(', ')}; ${diverged.key}`,
          ],
        ]
      : []),
    ...failover.applications.map(({ service, restarted }) => [service, restarted ? 'restarted' : 'NOT restarted']),
  ];
}
