import { createHash, randomUUID } from 'node:crypto';
import { AwsError, type CallContext, type ConditionValues, type Facade, type World } from '../facade.ts';
import { readPolicy } from '../iam/policy.ts';
import { authorizer } from '../runtime/api.ts';
import { keyUse } from '../runtime/key-use.ts';
import { isTrue, onlyKnown } from '../runtime/properties.ts';
import { measures, type OnMetric } from '../runtime/service-metrics.ts';

interface Message {
  readonly id: string;
  readonly body: string;
  readonly attributes: unknown;
  readonly sentAt: number;
  /** Milliseconds since the epoch from which it may be received. */
  visibleAt: number;
  receipt: string | undefined;
  receives: number;
}

interface Queue {
  readonly name: string;
  readonly arn: string;
  readonly url: string;
  readonly visibilitySeconds: number;
  readonly delaySeconds: number;
  readonly retentionSeconds: number;
  readonly waitSeconds: number;
  readonly maxBytes: number;
  /** The KMS key that its messages would be encrypted with. */
  readonly key: string | undefined;
  /** The document of its AWS::SQS::QueuePolicy. */
  policy?: unknown;
  messages: Message[];
  /** Milliseconds since the epoch: the last call that named it. */
  usedAt: number;
}

const POLL_MS = 50;
const minute = 60_000;
/** A queue without messages is measured for six hours after its last use. */
const ACTIVE_MS = 6 * 60 * minute;

/** What a caller does with the key of an encrypted queue. A sender decrypts too: SQS checks the key that it was given. */
const KEY_USES: Readonly<Record<string, readonly string[]>> = {
  SendMessage: ['GenerateDataKey', 'Decrypt'],
  ReceiveMessage: ['Decrypt'],
};

export interface SqsFacade extends Facade {
  /** Puts a message into a queue for another service, which acts as itself and not as a role. */
  sendFromService(queueArn: string, body: string, from: { servicePrincipal: string; sourceArn: string }): Promise<void>;
}

/** SQS, as far as dead-letter queues need it: standard queues in memory. */
export function createSqs(world: World, options: { readonly onMetric?: OnMetric } = {}): SqsFacade {
  const authorize = authorizer(world, 'sqs');
  const queues = new Map<string, Queue>();
  const measure = measures(world, 'AWS/SQS', options.onMetric);
  let closed = false;

  const queueOf = (context: CallContext, input: { QueueUrl?: string }): Queue | undefined =>
    queues.get(`${context.region} ${input.QueueUrl?.split('/').at(-1)}`);
  const checked = async (
    operation: string,
    input: any,
    context: CallContext,
    conditions?: ConditionValues,
  ): Promise<Queue> => {
    const queue = queueOf(context, input);
    const { MessageBody: _, ...shown } = input;
    const uses = KEY_USES[operation];
    const key = uses && queue?.key;
    const also = key ? keyUse(world, { service: 'sqs', region: context.region, key }, ...uses) : [];
    await authorize(context, { operation, resource: queue?.arn ?? '*', input: shown, conditions, also });
    if (queue === undefined)
      throw new AwsError('QueueDoesNotExist', `The specified queue does not exist: ${input.QueueUrl}.`);
    queue.usedAt = world.now();
    return queue;
  };
  const send = async (input: any, context: CallContext, conditions?: ConditionValues) => {
    const queue = await checked('SendMessage', input, context, conditions);
    if (Buffer.byteLength(String(input.MessageBody)) > queue.maxBytes)
      throw new AwsError('InvalidParameterValue', `A message may have ${queue.maxBytes} bytes at most.`);
    const sentAt = world.now();
    const delay = Number(input.DelaySeconds ?? queue.delaySeconds);
    const message: Message = {
      id: randomUUID(),
      body: String(input.MessageBody),
      attributes: input.MessageAttributes,
      sentAt,
      visibleAt: sentAt + delay * 1000,
      receipt: undefined,
      receives: 0,
    };
    queue.messages.push(message);
    return { MessageId: message.id, MD5OfMessageBody: md5(message.body) };
  };
  const visible = (queue: Queue): Message[] => {
    const now = world.now();
    queue.messages = queue.messages.filter((message) => now - message.sentAt < queue.retentionSeconds * 1000);
    return queue.messages.filter((message) => message.visibleAt <= now);
  };

  /** Every minute, as long as it is active. */
  const watch = (queue: Queue, region: string): void => {
    world.clock.timer(minute, () => {
      if (closed) return;
      const ready = visible(queue);
      const { messages, name } = queue;
      if (messages.length > 0 || world.now() - queue.usedAt < ACTIVE_MS)
        measure(region, name, {
          ApproximateNumberOfMessagesVisible: ready.length,
          ApproximateNumberOfMessagesNotVisible: messages.length - ready.length,
          ApproximateAgeOfOldestMessage: messages[0] ? (world.now() - messages[0].sentAt) / 1000 : 0,
        });
      watch(queue, region);
    });
  };

  return {
    service: 'sqs',
    accessOf: (arn) => {
      const queue = [...queues.values()].find((candidate) => candidate.arn === arn);
      return queue && { policy: queue.policy };
    },
    close: async () => {
      closed = true;
    },
    sendFromService: async (queueArn, body, { servicePrincipal, sourceArn }) => {
      const [, , , region = '', account, name] = queueArn.split(':');
      const principal = { arn: servicePrincipal, service: servicePrincipal };
      const conditions = { 'aws:SourceArn': sourceArn, 'aws:SourceAccount': world.account };
      const input = { QueueUrl: `${world.endpoint}/${account}/${name}`, MessageBody: body };
      await send(input, { region, principal, requestId: randomUUID() }, conditions);
    },
    operations: {
      SendMessage: (input, context) => send(input, context),
      ReceiveMessage: async (input, context) => {
        const queue = await checked('ReceiveMessage', input, context);
        const until = world.now() + Number(input.WaitTimeSeconds ?? queue.waitSeconds) * 1000;
        while (visible(queue).length === 0 && world.now() < until && !closed)
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        const received = visible(queue).slice(0, Number(input.MaxNumberOfMessages ?? 1));
        for (const message of received) {
          message.visibleAt = world.now() + Number(input.VisibilityTimeout ?? queue.visibilitySeconds) * 1000;
          message.receipt = randomUUID();
          message.receives += 1;
        }
        return received.length === 0 ? {} : { Messages: received.map(describe) };
      },
      DeleteMessage: async (input, context) => {
        const queue = await checked('DeleteMessage', input, context);
        queue.messages = queue.messages.filter((message) => message.receipt !== input.ReceiptHandle);
        return {};
      },
      PurgeQueue: async (input, context) => {
        (await checked('PurgeQueue', input, context)).messages = [];
        return {};
      },
      GetQueueUrl: async (input: { QueueName: string }, context) => {
        const queue = await checked('GetQueueUrl', { QueueUrl: input.QueueName }, context);
        return { QueueUrl: queue.url };
      },
      GetQueueAttributes: async (input, context) => {
        const queue = await checked('GetQueueAttributes', input, context);
        const ready = visible(queue).length;
        return {
          Attributes: {
            QueueArn: queue.arn,
            ApproximateNumberOfMessages: String(ready),
            ApproximateNumberOfMessagesNotVisible: String(queue.messages.length - ready),
            VisibilityTimeout: String(queue.visibilitySeconds),
            MessageRetentionPeriod: String(queue.retentionSeconds),
          },
        };
      },
      ListQueues: async (input, context) => {
        await authorize(context, { operation: 'ListQueues', resource: '*', input });
        const urls = [...queues.entries()]
          .filter(([key, queue]) => key === `${context.region} ${queue.name}`)
          .filter(([, queue]) => queue.name.startsWith(input.QueueNamePrefix ?? ''))
          .map(([, queue]) => queue.url);
        return { QueueUrls: urls };
      },
    },
    resources: {
      'AWS::SQS::Queue': (properties, context) => {
        onlyKnown('AWS::SQS::Queue', context, properties, QUEUE_PROPERTIES, REFUSED_PROPERTIES);
        if (isTrue(properties.FifoQueue)) throw new Error('FIFO queues are not supported');
        const name: string = properties.QueueName ?? context.generatedName;
        const queue: Queue = {
          name,
          arn: `arn:aws:sqs:${context.region}:${world.account}:${name}`,
          url: `${world.endpoint}/${world.account}/${name}`,
          visibilitySeconds: Number(properties.VisibilityTimeout ?? 30),
          delaySeconds: Number(properties.DelaySeconds ?? 0),
          retentionSeconds: Number(properties.MessageRetentionPeriod ?? 345_600),
          waitSeconds: Number(properties.ReceiveMessageWaitTimeSeconds ?? 0),
          maxBytes: Number(properties.MaximumMessageSize ?? 1_048_576),
          key: properties.KmsMasterKeyId,
          messages: [],
          usedAt: world.now(),
        };
        queues.set(`${context.region} ${name}`, queue);
        watch(queue, context.region);
        return { ref: queue.url, attributes: { Arn: queue.arn, QueueName: name, QueueUrl: queue.url } };
      },
      'AWS::SQS::QueuePolicy': (properties, context) => {
        onlyKnown('AWS::SQS::QueuePolicy', context, properties, ['PolicyDocument', 'Queues']);
        readPolicy(context.logicalId, properties.PolicyDocument, 'resource');
        for (const url of properties.Queues as string[]) {
          const queue = queues.get(`${context.region} ${url.split('/').at(-1)}`);
          if (queue === undefined) throw new Error(`there is no queue ${url}`);
          queue.policy = properties.PolicyDocument;
        }
        return { ref: context.generatedName, attributes: { Id: context.generatedName } };
      },
    },
  };
}

const QUEUE_PROPERTIES = [
  'QueueName',
  'FifoQueue',
  'VisibilityTimeout',
  'DelaySeconds',
  'MessageRetentionPeriod',
  'ReceiveMessageWaitTimeSeconds',
  'MaximumMessageSize',
  // Messages are held in memory only.
  'KmsMasterKeyId',
  'KmsDataKeyReusePeriodSeconds',
  'SqsManagedSseEnabled',
  'RedriveAllowPolicy',
  'Tags',
];
const REFUSED_PROPERTIES = { RedrivePolicy: 'messages are not moved to a dead-letter queue' };

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

const describe = (message: Message): Record<string, unknown> => ({
  MessageId: message.id,
  ReceiptHandle: message.receipt,
  MD5OfBody: md5(message.body),
  Body: message.body,
  Attributes: { SentTimestamp: String(message.sentAt), ApproximateReceiveCount: String(message.receives) },
  ...(message.attributes !== undefined && { MessageAttributes: message.attributes }),
});
