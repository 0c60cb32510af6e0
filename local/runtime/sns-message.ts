import { randomUUID } from 'node:crypto';
import { AwsError } from '../facade.ts';

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

/** The event of a Lambda function that is subscribed. */
export function lambdaEvent(message: PublishedMessage, subscription: SubscriptionTraits): string {
  return JSON.stringify({
    Records: [
      {
        EventSource: 'aws:sns',
        EventVersion: '1.0',
        EventSubscriptionArn: subscription.arn,
        Sns: {
          Type: 'Notification',
          MessageId: message.messageId,
          TopicArn: message.topicArn,
          Subject: message.subject ?? null,
          Message: textFor(message, 'lambda'),
          Timestamp: message.timestamp.toISOString(),
          SignatureVersion: '1',
          Signature: 'EXAMPLE',
          SigningCertUrl: 'EXAMPLE',
          UnsubscribeUrl: 'EXAMPLE',
          MessageAttributes: attributesAsSent(message),
        },
      },
    ],
  });
}

/** The body that an HTTP endpoint or a queue receives. */
export function notification(message: PublishedMessage, protocol: string): string {
  return JSON.stringify(
    {
      Type: 'Notification',
      MessageId: message.messageId,
      TopicArn: message.topicArn,
      ...(message.subject !== undefined && { Subject: message.subject }),
      Message: textFor(message, protocol),
      Timestamp: message.timestamp.toISOString(),
      SignatureVersion: '1',
      Signature: 'EXAMPLE',
      SigningCertURL: 'EXAMPLE',
      UnsubscribeURL: 'EXAMPLE',
      ...(Object.keys(message.attributes).length > 0 && { MessageAttributes: attributesAsSent(message) }),
    },
    null,
    2,
  );
}

const attributesAsSent = ({ attributes }: PublishedMessage) =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
      name,
      { Type: DataType, Value: StringValue ?? BinaryValue },
    ]),
  );
