import { setTimeout as delay } from 'node:timers/promises';
import type { World } from '../facade.ts';
import { lambdaEvent, notification, type PublishedMessage, type SubscriptionTraits, textFor } from './sns-message.ts';

/** How other services are reached from SNS, which acts as itself and not as a role. */
export interface SnsOptions {
  /** LambdaFacade's: queues an event where a permission allows it. */
  readonly invokeFromService: (
    functionArn: string,
    payload: string,
    from: { servicePrincipal: string; sourceArn: string },
  ) => Promise<void>;
  /** Puts a message into an SQS queue. @default subscriptions of queues are refused */
  readonly sendFromService?: (
    queueArn: string,
    body: string,
    from: { servicePrincipal: string; sourceArn: string },
  ) => Promise<void>;
}

export interface DeliveredSubscription extends SubscriptionTraits {
  readonly endpoint: string;
  readonly raw: boolean;
}

/** Waits before the three retries, in milliseconds; AWS's immediate retries, and its 20 s for HTTP shortened. */
const RETRY_DELAYS = [0, 200, 1000];
const HTTP_TIMEOUT = 15_000;

/** Delivers a message to one subscription, with three retries; what fails in the end is noted. Never rejects. */
export async function deliverMessage(
  world: World,
  options: SnsOptions,
  subscription: DeliveredSubscription,
  message: PublishedMessage,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await deliverOnce(world, options, subscription, message, signal);
    } catch (error) {
      if (signal.aborted) return;
      const wait = RETRY_DELAYS[attempt];
      if (wait === undefined) {
        const { protocol, endpoint } = subscription;
        world.note(
          `sns: message ${message.messageId} of ${message.topicArn} was not delivered to ${protocol} ${endpoint}: ${(error as Error).message}`,
        );
        return;
      }
      await delay(wait, undefined, { signal }).catch(() => {});
    }
  }
}

async function deliverOnce(
  world: World,
  options: SnsOptions,
  subscription: DeliveredSubscription,
  message: PublishedMessage,
  signal: AbortSignal,
): Promise<void> {
  const { protocol, endpoint, raw } = subscription;
  const from = { servicePrincipal: 'sns.amazonaws.com', sourceArn: message.topicArn };
  switch (protocol) {
    case 'lambda':
      return options.invokeFromService(endpoint, lambdaEvent(message, subscription), from);
    case 'sqs':
      return options.sendFromService?.(
        endpoint,
        raw ? textFor(message, protocol) : notification(message, protocol),
        from,
      );
    case 'http':
    case 'https':
      return postToEndpoint(
        endpoint,
        'Notification',
        { topicArn: message.topicArn, messageId: message.messageId, subscriptionArn: subscription.arn, raw },
        raw ? textFor(message, protocol) : notification(message, protocol),
        signal,
      );
    default:
      world.note(
        `sns: a message of ${message.topicArn} by ${protocol} to ${endpoint}: ${message.subject ?? textFor(message, protocol).slice(0, 200)}`,
      );
  }
}

/** One POST of SNS. @throws Error when the endpoint cannot be reached or does not answer 2xx */
export async function postToEndpoint(
  endpoint: string,
  type: 'Notification' | 'SubscriptionConfirmation',
  about: { topicArn: string; messageId: string; subscriptionArn?: string; raw?: boolean },
  body: string,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'text/plain; charset=UTF-8',
      'user-agent': 'Amazon Simple Notification Service Agent',
      'x-amz-sns-message-type': type,
      'x-amz-sns-message-id': about.messageId,
      'x-amz-sns-topic-arn': about.topicArn,
      ...(about.subscriptionArn && { 'x-amz-sns-subscription-arn': about.subscriptionArn }),
      ...(about.raw && { 'x-amz-sns-rawdelivery': 'true' }),
    },
    body,
    signal: AbortSignal.any([signal, AbortSignal.timeout(HTTP_TIMEOUT)]),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
}
