import type { DescribeExecutionOutput } from '@aws-sdk/client-sfn';
import type { Outcome, WorkflowFailure } from '../core/outcome.ts';
import type { ErrorReport } from './errors.ts';

/** What an execution says of its end: its output or its cause, both JSON where they are ours. */
export interface ExecutionEnd {
  readonly ok: boolean;
  readonly status: string;
  readonly outcome?: Outcome;
  readonly error?: ErrorReport;
}

export function endOf({ status: last, output, error, cause }: DescribeExecutionOutput): ExecutionEnd {
  const status = last ?? 'UNKNOWN';
  return status === 'SUCCEEDED'
    ? { ok: true, status, outcome: parse<Outcome>(output) }
    : { ok: false, status, error: errorOf(error, cause, status) };
}

/** The error of an execution that did not succeed, by its cause where that is ours. */
function errorOf(error: string | undefined, cause: string | undefined, status: string): ErrorReport {
  const failure = parse<WorkflowFailure>(cause);
  return {
    name: error ?? status,
    message: failure?.message ?? cause ?? `The execution ended ${status}.`,
    ...(failure && { step: failure.step, intact: failure.intact, tryNext: failure.tryNext, runbook: failure.runbook }),
  };
}

/** Undefined for what is not a JSON object. */
function parse<T>(text: string | undefined): T | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
