import { AwsError, type World } from '../facade.ts';
import { parseArn } from './api.ts';
import {
  type Envelope,
  lambdaEvent,
  notification,
  type PublishedMessage,
  type SubscriptionTraits,
  textFor,
} from './sns-message.ts';
import { delayBefore, MANAGED, type RetryDelays } from './sns-retry.ts';

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
  /** What is tried again for endpoints over HTTP. */
  readonly httpRetries: RetryDelays;
  /** The queue that takes what could not be delivered. */
  readonly deadLetterQueue?: string;
}

const HTTP_TIMEOUT = 15_000;

/** A failure of the caller's making, by AWS's account: there is no use in trying again. */
class Refused extends Error {}

/**
 * Delivers a message to one subscription, retrying on the cloud's clock; what fails in the end goes to the
 * subscription's dead-letter queue, and is noted. Never rejects.
 */
export async function deliverMessage(
  world: World,
  options: SnsOptions,
  envelope: Envelope,
  subscription: DeliveredSubscription,
  message: PublishedMessage,
  signal: AbortSignal,
): Promise<void> {
  const { protocol, endpoint } = subscription;
  const what = `message ${message.messageId} of ${message.topicArn}`;
  try {
    await retried(world, subscription, what, signal, () =>
      deliverOnce(world, options, envelope, subscription, message, signal),
    );
  } catch (error) {
    if (signal.aborted) return;
    world.note(`sns: ${what} was not delivered to ${protocol} ${endpoint}: ${(error as Error).message}`);
    if (!subscription.deadLetterQueue) return;
    const body = notification(message, subscription, envelope);
    await options
      .sendFromService?.(subscription.deadLetterQueue, body, sourceOf(message.topicArn))
      .catch((failure: Error) => world.note(`sns: ${subscription.deadLetterQueue} took nothing: ${failure.message}`));
  }
}

const sourceOf = (topicArn: string) => ({ servicePrincipal: 'sns.amazonaws.com', sourceArn: topicArn });

/** Carries something out until it succeeds, is refused, or the protocol's retries are used up. */
export async function retried(
  world: World,
  { protocol, httpRetries }: Pick<DeliveredSubscription, 'protocol' | 'httpRetries'>,
  what: string,
  signal: AbortSignal,
  carryOut: () => Promise<void> | undefined,
): Promise<void> {
  const delays = protocol.startsWith('http') ? httpRetries : MANAGED;
  for (let retry = 1; ; retry++) {
    try {
      return await carryOut();
    } catch (error) {
      const wait = delayBefore(retry, delays);
      const isRefused =
        error instanceof Refused || (error instanceof AwsError && error.status < 500 && error.status !== 429);
      if (signal.aborted || isRefused || wait === undefined) throw error;
      if (retry === 1) world.note(`sns: ${what} is tried again by ${protocol}: ${(error as Error).message}`);
      if (wait > 0) await world.clock.sleep(wait, signal);
    }
  }
}

async function deliverOnce(
  world: World,
  options: SnsOptions,
  envelope: Envelope,
  subscription: DeliveredSubscription,
  message: PublishedMessage,
  signal: AbortSignal,
): Promise<void> {
  const { protocol, endpoint, raw } = subscription;
  const from = sourceOf(message.topicArn);
  const { region } = parseArn(message.topicArn);
  const body = () => (raw ? textFor(message, protocol) : notification(message, subscription, envelope));
  if (world.outages.state(region) === 'down') throw new Error(`${region} is down`);
  if ((protocol === 'lambda' || protocol === 'sqs') && !world.outages.reachable(region, parseArn(endpoint).region))
    throw new Error(`${parseArn(endpoint).region} cannot be reached from ${region}`);
  switch (protocol) {
    case 'lambda':
      return options.invokeFromService(endpoint, lambdaEvent(message, subscription, envelope), from);
    case 'sqs':
      return options.sendFromService?.(endpoint, body(), from);
    case 'http':
    case 'https':
      if (world.outages.state(region) === 'cut-off') throw new Error(`${region} is cut off`);
      return postToEndpoint(
        endpoint,
        'Notification',
        { topicArn: message.topicArn, messageId: message.messageId, subscriptionArn: subscription.arn, raw },
        body(),
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
  if (response.ok) return;
  const isTheirs = response.status >= 500 || response.status === 429;
  throw isTheirs ? new Error(`HTTP ${response.status}`) : new Refused(`HTTP ${response.status}`);
}
