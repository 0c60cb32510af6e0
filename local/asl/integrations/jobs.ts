import { setTimeout as delay } from 'node:timers/promises';
import { StatesError } from '../errors.ts';
import type { Json } from '../types.ts';
import type { Clients, Dialect } from './sdk.ts';

/** "Run a job": tasks that end when what they started ends. */

type Members = { [key: string]: Json };

/** Milliseconds between two looks at a job. */
const pollInterval = 250;

export const ecs: Dialect = {
  prefix: 'ECS',
  unmodelled: 'AmazonECSException',
  service: 'AmazonECS',
  optimised: true,
};

export const stepFunctions: Dialect = {
  prefix: 'StepFunctions',
  unmodelled: 'AWSStepFunctionsException',
  service: 'AWSStepFunctions',
  optimised: true,
};

const list = (value: Json | undefined): Members[] => (Array.isArray(value) ? (value as Members[]) : []);

/**
 * RunTask answers 200 with `failures` where nothing could be placed: for a job or a token that is an error.
 * https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html
 */
export function refuseFailures(answer: Json): void {
  if (list((answer as Members).Failures).length > 0) throw new StatesError('AmazonECS.Unknown', JSON.stringify(answer));
}

/** Whose job it is, and what says that nobody waits for it any more. */
export interface Waiting {
  readonly executionArn: string;
  readonly signal: AbortSignal;
}

/** What AWS gives as the reason where it stops a job, in these words. */
const abortedBy = ({ executionArn }: Waiting): string =>
  `The Task state in AWS Step Functions execution [${executionArn}] which was managing this resource was aborted`;

/** Waits until the tasks that RunTask started have stopped; gives the first one, as Step Functions does. */
export async function awaitTask(clients: Clients, cluster: Json | undefined, answer: Json, waiting: Waiting) {
  const arns = list((answer as Members).Tasks).map(({ TaskArn }) => TaskArn as string);
  const where: Members = cluster === undefined ? {} : { Cluster: cluster };
  const look = async () => {
    const described = await clients.call('ecs', 'describeTasks', { ...where, Tasks: arns }, ecs, waiting.signal);
    const tasks = list((described as Members).Tasks);
    return tasks.length > 0 && tasks.every(({ LastStatus }) => LastStatus === 'STOPPED') ? tasks : undefined;
  };
  const stop = async () => {
    const Reason = abortedBy(waiting);
    for (const Task of arns) await clients.call('ecs', 'stopTask', { ...where, Task, Reason }, ecs);
  };
  const tasks = await poll(look, stop, waiting.signal);
  const failed = tasks.find(
    ({ StopCode, Containers }) =>
      StopCode === 'TaskFailedToStart' || list(Containers).some(({ ExitCode }) => ExitCode !== 0),
  );
  if (failed) throw new StatesError('States.TaskFailed', JSON.stringify(failed));
  return tasks[0] as Json;
}

/** Waits for a child execution. With `parse` (`.sync:2`) its input and output come as JSON, else as text. */
export async function awaitExecution(clients: Clients, answer: Json, parse: boolean, waiting: Waiting) {
  const arn = { ExecutionArn: (answer as Members).ExecutionArn as string };
  const look = async () => {
    const described = (await clients.call('sfn', 'describeExecution', arn, stepFunctions, waiting.signal)) as Members;
    return described.Status === 'RUNNING' ? undefined : described;
  };
  const stop = async () => {
    await clients.call('sfn', 'stopExecution', { ...arn, Cause: abortedBy(waiting) }, stepFunctions);
  };
  const execution = await poll(look, stop, waiting.signal);
  if (execution.Status !== 'SUCCEEDED') throw new StatesError('States.TaskFailed', JSON.stringify(execution));
  if (!parse) return execution as Json;
  const parsed = (field: string) => JSON.parse(String(execution[field] ?? 'null')) as Json;
  return { ...execution, Input: parsed('Input'), Output: parsed('Output') };
}

/**
 * Looks until there is something to see. When the task is called off, stops the job: the execution was stopped or ran
 * out of time, a sibling failed, or the task itself ran out of time. That AWS stops it at a timeout too was measured:
 * https://github.com/floci-io/floci/pull/2782
 */
async function poll<T>(look: () => Promise<T | undefined>, stop: () => Promise<void>, signal: AbortSignal): Promise<T> {
  try {
    for (;;) {
      const seen = await look();
      if (seen !== undefined) return seen;
      await delay(pollInterval, undefined, { signal });
    }
  } catch (error) {
    // Best effort, as on AWS; the caller has gone, so there is nobody to tell.
    if (signal.aborted) await stop().catch(() => {});
    throw error;
  }
}
