import { publishEmbedded, publishPhases } from '../lib/aws/embedded-metrics.ts';
import type {
  BackupSummary,
  DrillSummary,
  FailoverSummary,
  Outcome,
  ProofSummary,
  RestoreSummary,
  Workflow,
} from '../lib/core/outcome.ts';
import { metricsOf, phaseMetricsOf } from '../lib/core/outcome-metrics.ts';
import type { RetentionSummary } from '../lib/core/retention/summary.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { fromStateFailure, type StateFailure } from '../lib/core/state-failure.ts';
import type { VerificationSummary } from '../lib/core/verification.ts';
import { defineHandler } from './define-handler.ts';

interface Event {
  readonly workflow: Workflow;
  readonly database: string;
  /** null when the failure is that there are none. */
  readonly settings: Pick<DatabaseSettings, 'objectives'> | null;
  readonly execution: { readonly arn: string; readonly startedAt: string };
  readonly backup: BackupSummary | null;
  readonly proof: ProofSummary | null;
  /** Of the workflow `restore` alone. */
  readonly restore?: RestoreSummary | null;
  /** Of the workflow `retention` alone. */
  readonly retention?: RetentionSummary | null;
  /** Of the workflow `verify` alone. */
  readonly verification?: VerificationSummary | null;
  /** Of the workflow `drill` alone. */
  readonly drill?: DrillSummary | null;
  readonly failover?: FailoverSummary | null;
  readonly failure: StateFailure | null;
  /** The selection that the execution was asked for, if any. */
  readonly select?: unknown;
}

/** States how an execution ended: publishes its metrics and gives the outcome that is announced. */
export const handler = defineHandler(async (event: Event): Promise<Outcome> => {
  const endedAt = new Date();
  const region = event.execution.arn.split(':')[3] ?? '';
  const failure = event.failure ? fromStateFailure(event.workflow, event.failure) : undefined;
  const { proof: failedProof, ...ownFailure } = failure ?? {};
  const proof = event.proof ?? failedProof;
  const outcome: Outcome = {
    schemaVersion: 1,
    workflow: event.workflow,
    database: event.database,
    ...(event.select != null && { adhoc: true as const }),
    ok: !failure,
    startedAt: event.execution.startedAt,
    endedAt: endedAt.toISOString(),
    durationSeconds: (endedAt.getTime() - Date.parse(event.execution.startedAt)) / 1000,
    region,
    executionArn: event.execution.arn,
    executionUrl: `https://${region}.console.aws.amazon.com/states/home?region=${region}#/v2/executions/details/${event.execution.arn}`,
    objectives: event.settings?.objectives ?? { rpoSeconds: 0, rtoSeconds: 0 },
    ...(event.backup && { backup: event.backup }),
    ...(proof && { proof }),
    ...(event.restore && { restore: event.restore }),
    ...(event.retention && { retention: event.retention }),
    ...(event.verification && { verification: event.verification }),
    ...(event.drill && { drill: event.drill }),
    ...(event.failover && { failover: event.failover }),
    ...(failure && { failure: ownFailure as Outcome['failure'] }),
  };
  const metrics = metricsOf(outcome);
  publishEmbedded(event.database, metrics);
  publishPhases(event.database, phaseMetricsOf(outcome));
  return outcome;
});
