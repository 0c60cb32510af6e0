import { describeFailure, type ErrorName, type Failure, isErrorName } from './errors.ts';
import type { ProofSummary, WorkflowFailure } from './outcome.ts';

/** What a `Catch` hands on, with the name of the state that failed. */
export interface StateFailure {
  readonly step: string;
  readonly errorOutput: { readonly Error?: string; readonly Cause?: string };
}

/** Errors of Step Functions and AWS that have a meaning of ours. */
const translations: readonly (readonly [RegExp, ErrorName])[] = [
  [/^States\.(HeartbeatTimeout|Timeout)$/, 'TaskUnresponsive'],
  [/^Ssm\.ParameterNotFound/, 'UnknownDatabase'],
  [/^(States\.TaskFailed|ECS\.|Ecs\.)/, 'TaskFailed'],
  [/^Sandbox\.Timedout$/, 'TaskUnresponsive'],
];

/**
 * The failure behind a caught error, in the catalogue's words. A cause is JSON of ours (a task's {@link Failure}),
 * JSON of Lambda (`errorMessage`), or a sentence of AWS.
 */
export function fromStateFailure({ step, errorOutput }: StateFailure): WorkflowFailure & { proof?: ProofSummary } {
  const raw = errorOutput.Error ?? 'unknown error';
  const cause = parseCause(errorOutput.Cause);
  const name = isErrorName(raw) ? raw : (translations.find(([pattern]) => pattern.test(raw))?.[1] ?? 'Unexpected');
  const said = cause.message ?? cause.errorMessage ?? errorOutput.Cause ?? '';
  const message = isErrorName(raw) ? said : [raw, said].filter(Boolean).join(': ');
  const failure: Failure = describeFailure(name, message);
  return { step, ...failure, ...(cause.proof && { proof: cause.proof }) };
}

function parseCause(cause: string | undefined): { message?: string; errorMessage?: string; proof?: ProofSummary } {
  try {
    const value = JSON.parse(cause ?? '');
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
