import { AwsError } from '../facade.ts';
import { machineArnOf } from './api-checks.ts';
import type { Execution } from './executions.ts';

/** Executions as the API shows them. */

/** Milliseconds after its end in which an execution can be redriven: 14 days. */
const redrivablePeriod = 14 * 24 * 3_600_000;
/** The history must have room for ExecutionRedriven and one more event. */
const mostEvents = 24_999;

export const statusOf = ({ outcome }: Execution) => outcome?.status ?? 'RUNNING';

export const isRedriven = ({ redriveCount }: Execution): boolean => redriveCount > 0;

export const summaryOf = (execution: Execution) => ({
  executionArn: execution.arn,
  stateMachineArn: machineArnOf(execution.arn),
  ...(execution.mapRunArn !== undefined && { mapRunArn: execution.mapRunArn }),
  name: execution.name,
  status: statusOf(execution),
  startDate: new Date(execution.started),
  ...(execution.stopped !== undefined && { stopDate: new Date(execution.stopped) }),
  redriveCount: execution.redriveCount,
  ...(execution.redriven !== undefined && { redriveDate: new Date(execution.redriven) }),
});

export function describeExecution(execution: Execution, now: number): Record<string, unknown> {
  const { outcome } = execution;
  // As on AWS, only a failure and a stop have error and cause: TIMED_OUT says it all.
  const explained = outcome?.status === 'FAILED' || outcome?.status === 'ABORTED';
  const reason = whyNotRedrivable(execution, now);
  return {
    ...summaryOf(execution),
    input: execution.input,
    inputDetails: { included: true },
    ...(outcome?.status === 'SUCCEEDED' && {
      output: JSON.stringify(outcome.output),
      outputDetails: { included: true },
    }),
    ...(explained && outcome.error !== undefined && { error: outcome.error }),
    ...(explained && outcome.cause !== undefined && { cause: outcome.cause }),
    redriveStatus: reason === undefined ? 'REDRIVABLE' : 'NOT_REDRIVABLE',
    ...(reason !== undefined && { redriveStatusReason: reason }),
  };
}

/** https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html#redrive-eligibility */
function whyNotRedrivable(execution: Execution, now: number): string | undefined {
  const status = statusOf(execution);
  if (status === 'RUNNING' || status === 'SUCCEEDED') return `Execution is ${status} and cannot be redriven`;
  if (execution.events.length >= mostEvents) return 'Execution history event limit exceeded';
  const ended = execution.stopped ?? now;
  return now - ended > redrivablePeriod ? 'Execution has exceeded the redrivable period' : undefined;
}

export function requireRedrivable(execution: Execution, now: number): void {
  const reason = whyNotRedrivable(execution, now);
  if (reason !== undefined) throw new AwsError('ExecutionNotRedrivable', reason);
}
