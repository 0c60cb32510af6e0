import { randomUUID } from 'node:crypto';
import { AwsError, type World } from '../facade.ts';
import { parseArn } from './api.ts';
import { callJson, sendSigned, sendToQueue } from './signed-request.ts';

export interface ScheduleTarget {
  readonly Arn: string;
  readonly RoleArn: string;
  readonly Input?: string;
  readonly RetryPolicy?: {
    readonly MaximumRetryAttempts?: number | string;
    readonly MaximumEventAgeInSeconds?: number | string;
  };
  readonly DeadLetterConfig?: { readonly Arn?: string };
}

export interface Delivery {
  readonly scheduleArn: string;
  readonly target: ScheduleTarget;
  readonly scheduledTime: Date;
  /** Told of each thing that happens to it. */
  readonly count: (
    what:
      | 'InvocationAttemptCount'
      | 'TargetErrorCount'
      | 'TargetErrorThrottledCount'
      | 'InvocationDroppedCount'
      | 'InvocationsSentToDeadLetterCount'
      | 'InvocationsFailedToBeSentToDeadLetterCount',
  ) => void;
}

/** A delivery's failure is retried after 1, 2, 4, … seconds, at most this many milliseconds. */
const LONGEST_DELAY = 60_000;

/** The kinds of target that can be reached here. */
export function targetProblem(arn: string): string | undefined {
  const { service, resource } = parseArn(arn);
  if (service === 'states' && resource.startsWith('stateMachine:')) return undefined;
  if (service === 'lambda' && resource.startsWith('function:')) return undefined;
  return `the local cloud delivers to state machines and Lambda functions only, not to ${arn}`;
}

/**
 * Delivers one occurrence of a schedule as its role. Throttling and errors of the target's side are retried as the
 * policy says; other refusals (no permission, no such target) are not, as in AWS. What is not delivered goes to the
 * dead-letter queue, and rejects with the last error.
 */
export async function deliver(
  world: World,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<{ executionArn?: string }> {
  const { target, scheduledTime } = delivery;
  const executionId = randomUUID();
  const retries = Number(target.RetryPolicy?.MaximumRetryAttempts ?? 185);
  const maximumAge = Number(target.RetryPolicy?.MaximumEventAgeInSeconds ?? 86_400) * 1000;
  const began = world.now();
  for (let attempt = 1; ; attempt++) {
    const input = fillIn(target.Input ?? '{}', delivery, executionId, attempt);
    delivery.count('InvocationAttemptCount');
    try {
      return await callTarget(world, delivery, input, executionId);
    } catch (error) {
      const throttled = error instanceof AwsError && error.status === 429;
      delivery.count(throttled ? 'TargetErrorThrottledCount' : 'TargetErrorCount');
      const wait = Math.min(1000 * 2 ** (attempt - 1), LONGEST_DELAY);
      const exhausted =
        attempt > retries
          ? 'MaximumRetryAttempts'
          : world.now() + wait - began > maximumAge
            ? 'MaximumEventAgeInSeconds'
            : undefined;
      const permanent = error instanceof AwsError && error.status < 500 && error.status !== 429;
      if (permanent || exhausted) {
        delivery.count('InvocationDroppedCount');
        await bury(world, delivery, input, error as Error, attempt - 1, permanent ? undefined : exhausted);
        throw error;
      }
      world.note(
        `schedule ${delivery.scheduleArn} at ${scheduledTime.toISOString()}: ${(error as Error).message}; retried`,
      );
      await world.clock.sleep(wait, signal);
    }
  }
}

async function callTarget(
  world: World,
  { scheduleArn, target }: Delivery,
  input: string,
  executionId: string,
): Promise<{ executionArn?: string }> {
  const { service, region } = parseArn(target.Arn);
  const credentials = credentialsOf(world, scheduleArn, target);
  if (service === 'states') {
    const answer = await callJson(world, credentials, {
      service: 'states',
      region,
      target: 'AWSStepFunctions.StartExecution',
      // The same name at every attempt: an execution whose answer was lost is not started twice.
      input: { stateMachineArn: target.Arn, name: executionId, input },
    });
    return { executionArn: answer.executionArn };
  }
  const response = await sendSigned(world, credentials, {
    service: 'lambda',
    region,
    path: `/2015-03-31/functions/${encodeURIComponent(target.Arn)}/invocations`,
    headers: { 'x-amz-invocation-type': 'Event' },
    body: input,
  });
  await response.arrayBuffer();
  return {};
}

function credentialsOf(world: World, scheduleArn: string, target: ScheduleTarget) {
  assertTrusted(world, scheduleArn, target);
  return world.credentialsFor(
    target.RoleArn,
    scheduleArn.split('/').at(-1) ?? 'schedule',
    parseArn(scheduleArn).region,
  );
}

/** A role is taken on for a group of schedules. @throws AwsError AccessDenied when it does not trust the scheduler */
export function assertTrusted(world: World, scheduleArn: string, { RoleArn }: ScheduleTarget): void {
  const { region } = parseArn(scheduleArn);
  const sourceArn = scheduleArn.replace(':schedule/', ':schedule-group/').split('/').slice(0, 2).join('/');
  world.assertTrusted(RoleArn, { service: 'scheduler.amazonaws.com', region, sourceArn });
}

/** Replaces `<aws.scheduler.…>` in the input. */
function fillIn(input: string, { scheduleArn, scheduledTime }: Delivery, executionId: string, attempt: number): string {
  const values: Readonly<Record<string, string>> = {
    'schedule-arn': scheduleArn,
    'scheduled-time': `${scheduledTime.toISOString().slice(0, 19)}Z`,
    'execution-id': executionId,
    'attempt-number': String(attempt),
  };
  return input.replace(/<aws\.scheduler\.([\w-]+)>/g, (whole, name) => values[name] ?? whole);
}

async function bury(
  world: World,
  { scheduleArn, target, scheduledTime, count }: Delivery,
  input: string,
  error: Error,
  retryAttempts: number,
  exhausted: string | undefined,
): Promise<void> {
  world.note(`schedule ${scheduleArn} was not delivered to ${target.Arn}: ${error.name}: ${error.message}`);
  const queue = target.DeadLetterConfig?.Arn;
  if (!queue) return;
  const credentials = credentialsOf(world, scheduleArn, target);
  const attributes = {
    ERROR_CODE: error.name,
    ERROR_MESSAGE: error.message,
    IS_PAYLOAD_TRUNCATED: 'false',
    RETRY_ATTEMPTS: String(retryAttempts),
    SCHEDULED_TIME: `${scheduledTime.toISOString().slice(0, 19)}Z`,
    SCHEDULE_ARN: scheduleArn,
    TARGET_ARN: target.Arn,
    ...(exhausted && { EXHAUSTED_RETRY_CONDITION: exhausted }),
  };
  try {
    await sendToQueue(world, credentials, queue, input, attributes);
    count('InvocationsSentToDeadLetterCount');
  } catch (cause) {
    const { name, message } = cause as Error;
    count('InvocationsFailedToBeSentToDeadLetterCount');
    world.note(`schedule ${scheduleArn}: its dead-letter queue ${queue} took nothing: ${name}: ${message}`);
  }
}
