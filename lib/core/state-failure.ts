import { describeFailure, type ErrorName, type Failure, isErrorName } from './errors.ts';
import type { ProofSummary, Workflow, WorkflowFailure } from './outcome.ts';

/** What a `Catch` hands on, with the name of the state that failed. */
export interface StateFailure {
  readonly step: string;
  readonly errorOutput: { readonly Error?: string; readonly Cause?: string };
}

/** Errors of Step Functions and AWS that have a meaning of ours. */
const translations: readonly (readonly [RegExp, ErrorName, string?])[] = [
  [
    /^States\.(HeartbeatTimeout|Timeout)$/,
    'TaskUnresponsive',
    'no heartbeat came within heartbeatTimeout, or the state ran over its timeout',
  ],
  [/^Ssm\.ParameterNotFound/, 'UnknownDatabase'],
  [/^(States\.TaskFailed|ECS\.|Ecs\.|AmazonECS\.)/, 'TaskFailed'],
  [/^Sandbox\.Timedout$/, 'TaskUnresponsive'],
];

/**
 * The failure behind a caught error, in the catalogue's words. A cause is JSON of ours (a task's {@link Failure}),
 * JSON of Lambda (`errorMessage`), or a sentence of AWS.
 */
export function fromStateFailure(
  workflow: Workflow,
  { step, errorOutput: given }: StateFailure,
): WorkflowFailure & { proof?: ProofSummary } {
  const errorOutput = ofChild(given);
  const raw = errorOutput.Error ?? 'unknown error';
  const cause = parseCause(errorOutput.Cause);
  const [, name, words] = isErrorName(raw) ? [raw, raw] : (translate(step, raw) ?? [raw, 'Unexpected' as const]);
  const said = cause.message ?? cause.errorMessage ?? errorOutput.Cause ?? words ?? '';
  const message = isErrorName(raw) ? said : [raw, said].filter(Boolean).join(': ');
  const failure: Failure = describeFailure(name, message);
  return { step, ...failure, runbook: runbookOf(workflow, failure), ...(cause.proof && { proof: cause.proof }) };
}

/** A child execution that failed is described by its own error and cause. */
function ofChild(errorOutput: StateFailure['errorOutput']): StateFailure['errorOutput'] {
  if (errorOutput.Error !== 'States.TaskFailed') return errorOutput;
  const { ExecutionArn, Error: error, Cause: cause } = parseCause(errorOutput.Cause) as Record<string, string>;
  return ExecutionArn && error ? { Error: error, Cause: cause } : errorOutput;
}

function translate(step: string, raw: string) {
  // The first state evaluates nothing but the input.
  if (step === 'Read settings' && raw === 'States.QueryEvaluationError')
    return [raw, 'InputInvalid', undefined] as const;
  if (step === 'Read physical settings' && /^Ssm\.ParameterNotFound/.test(raw))
    return [raw, 'PhysicalNotConfigured', undefined] as const;
  return translations.find(([pattern]) => pattern.test(raw));
}

/** The same error, an altered object say, is met by a backup's verification and by a restore test: other work follows. */
function runbookOf(workflow: Workflow, { runbook }: Failure): string {
  const ofTests = 'docs/runbooks/restore-test-failed.md';
  const ofBackups = 'docs/runbooks/backup-failed.md';
  if (workflow === 'retention' && (runbook === ofTests || runbook === ofBackups))
    return 'docs/runbooks/retention-failed.md';
  if (workflow === 'backup-logical' && runbook === ofTests) return ofBackups;
  if (workflow === 'restore-test' && runbook === ofBackups) return ofTests;
  return runbook;
}

function parseCause(cause: string | undefined): { message?: string; errorMessage?: string; proof?: ProofSummary } {
  try {
    const value = JSON.parse(cause ?? '');
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
