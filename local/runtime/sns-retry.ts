/** How SNS retries, by protocol: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html */
export type RetryDelays = readonly { readonly times: number; readonly seconds: number }[];

/** Lambda and SQS: 100 015 attempts over 23 days. Backoff is from 1 to 20 seconds. */
export const MANAGED: RetryDelays = [
  { times: 3, seconds: 0 },
  { times: 2, seconds: 1 },
  ...[1, 2, 3, 5, 7, 9, 12, 15, 18, 20].map((seconds) => ({ times: 1, seconds })),
  { times: 100_000, seconds: 20 },
];

/** HTTP and HTTPS, unless a delivery policy says otherwise. */
export const HTTP: RetryDelays = [{ times: 3, seconds: 20 }];

/** The wait before a retry (the first is number 1), in milliseconds; undefined when there is to be none. */
export function delayBefore(retry: number, delays: RetryDelays): number | undefined {
  let left = retry;
  for (const { times, seconds } of delays) {
    if (left <= times) return seconds * 1000;
    left -= times;
  }
  return undefined;
}

const POLICY = [
  'backoffFunction',
  'maxDelayTarget',
  'minDelayTarget',
  'numMaxDelayRetries',
  'numMinDelayRetries',
  'numNoDelayRetries',
  'numRetries',
];

/**
 * A subscription's DeliveryPolicy: its healthyRetryPolicy, with linear backoff whatever the function named.
 *
 * @throws Error for what is no such policy
 */
export function readDeliveryPolicy(given: unknown): RetryDelays {
  if (given === undefined || given === '') return HTTP;
  const policy = (typeof given === 'string' ? JSON.parse(given) : given)?.healthyRetryPolicy ?? {};
  const unknown = Object.keys(policy).find((name) => !POLICY.includes(name));
  if (unknown) throw new Error(`DeliveryPolicy: ${unknown} is not known`);
  const number = (name: string, fallback: number): number => Number(policy[name] ?? fallback);
  const [least, most] = [number('minDelayTarget', 20), number('maxDelayTarget', 20)];
  const retries = number('numRetries', 3);
  const none = number('numNoDelayRetries', 0);
  const before = number('numMinDelayRetries', 0);
  const after = number('numMaxDelayRetries', 0);
  const between = retries - none - before - after;
  if (!(retries >= 0 && retries <= 100) || between < 0 || !(least >= 1 && least <= most && most <= 3600))
    throw new Error(
      'DeliveryPolicy: retries are 0 to 100, delays 1 to 3600 seconds, the phases no more than numRetries',
    );
  const backoff = Array.from({ length: between }, (_, index) => ({
    times: 1,
    seconds: between === 1 ? least : least + ((most - least) * index) / (between - 1),
  }));
  return [{ times: none, seconds: 0 }, { times: before, seconds: least }, ...backoff, { times: after, seconds: most }];
}
