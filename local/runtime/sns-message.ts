import { randomUUID } from 'node:crypto';
import { AwsError } from '../facade.ts';
import type { SignatureVersion, SnsSigner } from './sns-signature.ts';

export interface MessageAttribute {
  readonly DataType: string;
  readonly StringValue?: string;
  readonly BinaryValue?: unknown;
}

/** A message as Publish took it. */
export interface PublishedMessage {
  readonly messageId: string;
  readonly topicArn: string;
  readonly subject?: string;
  /** Text by protocol, with `default` for those not named. */
  readonly texts: Readonly<Record<string, string>>;
  readonly attributes: Readonly<Record<string, MessageAttribute>>;
  readonly timestamp: Date;
}

export interface SubscriptionTraits {
  readonly arn: string;
  readonly protocol: string;
  readonly filterPolicy?: FilterPolicy;
}

/** By attribute: one of these values. */
export type FilterPolicy = Readonly<Record<string, readonly (string | number)[]>>;

const MAX_BYTES = 262_144;

/** Reads Publish's parameters. @throws AwsError InvalidParameter */
export function readMessage(topicArn: string, input: any, now: number): PublishedMessage {
  const invalid = (message: string) => new AwsError('InvalidParameter', `Invalid parameter: ${message}`);
  const message = input.Message;
  if (!message) throw invalid('Empty message');
  if (Buffer.byteLength(message) > MAX_BYTES) throw invalid('Message too long');
  const subject: string | undefined = input.Subject || undefined;
  // Shown to humans in mails: one line of at most 99 characters.
  if (subject !== undefined && (subject.length > 99 || /[\n\r]/.test(subject))) throw invalid('Subject');
  return {
    messageId: randomUUID(),
    topicArn,
    subject,
    texts: input.MessageStructure === 'json' ? textsByProtocol(message, invalid) : { default: message },
    attributes: input.MessageAttributes ?? {},
    timestamp: new Date(now),
  };
}

function textsByProtocol(message: string, invalid: (message: string) => AwsError): Record<string, string> {
  let texts: any;
  try {
    texts = JSON.parse(message);
  } catch {
    throw invalid('Message Structure - JSON message body failed to parse');
  }
  if (typeof texts?.default !== 'string') throw invalid('Message Structure - No default entry in JSON message body');
  return texts;
}

/** Policies of plain values are supported. @throws Error for operators (prefix, numeric, exists, …) */
export function readFilterPolicy(given: unknown): FilterPolicy | undefined {
  if (given === undefined || given === null || given === '') return undefined;
  const policy = typeof given === 'string' ? JSON.parse(given) : given;
  for (const [name, values] of Object.entries(policy)) {
    if (!Array.isArray(values) || values.some((value) => typeof value !== 'string' && typeof value !== 'number')) {
      throw new Error(`the filter policy for ${name} is not a list of plain values: the local cloud knows no other`);
    }
  }
  return policy as FilterPolicy;
}

export function passesFilter(policy: FilterPolicy | undefined, message: PublishedMessage): boolean {
  return Object.entries(policy ?? {}).every(([name, wanted]) => {
    const attribute = message.attributes[name];
    if (attribute?.StringValue === undefined) return false;
    const isArray = attribute.DataType === 'String.Array';
    const values: unknown[] = isArray ? JSON.parse(attribute.StringValue) : [attribute.StringValue];
    return values.some((value) => wanted.some((one) => String(one) === String(value)));
  });
}

export const textFor = ({ texts }: PublishedMessage, protocol: string): string =>
  texts[protocol] ?? texts.default ?? '';

/** How messages are signed, and where their links lead. */
export interface Envelope {
  readonly signer: SnsSigner;
  readonly version: SignatureVersion;
  readonly endpoint: string;
}

/** The event of a Lambda function that is subscribed. */
export function lambdaEvent(message: PublishedMessage, subscription: SubscriptionTraits, envelope: Envelope): string {
  const { SigningCertURL, UnsubscribeURL, MessageAttributes, ...rest } = signed(message, subscription, envelope);
  return JSON.stringify({
    Records: [
      {
        EventSource: 'aws:sns',
        EventVersion: '1.0',
        EventSubscriptionArn: subscription.arn,
        Sns: {
          Subject: null,
          ...rest,
          SigningCertUrl: SigningCertURL,
          UnsubscribeUrl: UnsubscribeURL,
          MessageAttributes: MessageAttributes ?? {},
        },
      },
    ],
  });
}

/** The body that an HTTP endpoint or a queue receives. */
export const notification = (message: PublishedMessage, subscription: SubscriptionTraits, envelope: Envelope): string =>
  JSON.stringify(signed(message, subscription, envelope), null, 2);

function signed(
  message: PublishedMessage,
  { arn, protocol }: SubscriptionTraits,
  { signer, version, endpoint }: Envelope,
): Record<string, unknown> {
  const sealed = signer.seal(
    {
      Type: 'Notification',
      MessageId: message.messageId,
      TopicArn: message.topicArn,
      ...(message.subject !== undefined && { Subject: message.subject }),
      Message: textFor(message, protocol),
      Timestamp: message.timestamp.toISOString(),
    },
    version,
  );
  return {
    ...sealed,
    UnsubscribeURL: `${endpoint}/?${new URLSearchParams({ Action: 'Unsubscribe', SubscriptionArn: arn })}`,
    ...(Object.keys(message.attributes).length > 0 && { MessageAttributes: attributesAsSent(message) }),
  };
}

const attributesAsSent = ({ attributes }: PublishedMessage) =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
      name,
      { Type: DataType, Value: StringValue ?? BinaryValue },
    ]),
  );
