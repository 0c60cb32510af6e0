import { setTimeout as delay } from 'node:timers/promises';
import { AwsError, type World } from '../facade.ts';
import type { LambdaFunction } from './lambda-function.ts';
import type { InvocationResult } from './lambda-pool.ts';
import { sendToQueue } from './signed-request.ts';

/** What AWS::Lambda::EventInvokeConfig sets. */
export interface EventInvokeConfig {
  /** @default 2 */
  readonly maximumRetryAttempts?: number;
  /** SQS queue ARNs. */
  readonly onFailure?: string;
  readonly onSuccess?: string;
}

/**
 * Waits before the second and the third attempt, in milliseconds. Lambda waits one and two minutes: shortened here
 * sixtyfold, so that a failing function shows its end while one looks on.
 */
export const EVENT_RETRY_DELAYS: readonly number[] = [1000, 2000];

/**
 * Carries out an asynchronous event: up to three attempts, then the destination or the dead-letter queue. Never
 * rejects; what cannot be delivered anywhere is noted.
 */
export async function carryOutEvent(
  world: World,
  fn: LambdaFunction,
  config: EventInvokeConfig,
  payload: string,
  requestId: string,
  invoke: (payload: string, requestId: string) => Promise<InvocationResult>,
  signal: AbortSignal,
): Promise<void> {
  const attempts = 1 + (config.maximumRetryAttempts ?? 2);
  let last: InvocationResult | undefined;
  try {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      if (attempt > 1) await delay(EVENT_RETRY_DELAYS[attempt - 2] ?? 2000, undefined, { signal });
      last = await untilNotThrottled(() => invoke(payload, requestId), signal);
      if (!last.failed) break;
    }
    if (last) await settle(world, fn, config, payload, last, attempts);
  } catch (error) {
    if (!signal.aborted) world.note(`lambda ${fn.name}: event ${requestId}: ${(error as Error).message}`);
  }
}

/** A throttled event is no attempt: it goes back to the queue. */
async function untilNotThrottled<T>(invoke: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await invoke();
    } catch (error) {
      if (!(error instanceof AwsError) || error.status !== 429) throw error;
      await delay(1000, undefined, { signal });
    }
  }
}

async function settle(
  world: World,
  fn: LambdaFunction,
  config: EventInvokeConfig,
  payload: string,
  result: InvocationResult,
  attempts: number,
): Promise<void> {
  const { requestId, failed } = result;
  const credentials = world.credentialsFor(fn.roleArn, fn.name, fn.region);
  if (failed)
    world.note(`lambda ${fn.name}: event ${requestId} failed ${attempts} times: ${result.payload.slice(0, 500)}`);
  if (failed && fn.deadLetterQueue) {
    const { errorMessage } = JSON.parse(result.payload);
    await sendToQueue(world, credentials, fn.deadLetterQueue, payload, {
      RequestID: requestId,
      ErrorCode: '200',
      ErrorMessage: String(errorMessage),
    });
  }
  const destination = failed ? config.onFailure : config.onSuccess;
  if (!destination) return;
  const record = {
    version: '1.0',
    timestamp: new Date(world.now()).toISOString(),
    requestContext: {
      requestId,
      functionArn: `${fn.arn}:$LATEST`,
      condition: failed ? 'RetriesExhausted' : 'Success',
      approximateInvokeCount: attempts,
    },
    requestPayload: JSON.parse(payload),
    responseContext: { statusCode: 200, executedVersion: '$LATEST', ...(failed && { functionError: 'Unhandled' }) },
    responsePayload: JSON.parse(result.payload),
  };
  await sendToQueue(world, credentials, destination, JSON.stringify(record));
}
