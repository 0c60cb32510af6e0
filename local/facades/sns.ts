import { randomBytes, randomUUID } from 'node:crypto';
import {
  type AnonymousAnswer,
  AwsError,
  type CallContext,
  type ConditionValues,
  type Facade,
  type MadeResource,
  type Operation,
  type ResourceContext,
  type ResourceMaker,
  type World,
} from '../facade.ts';
import { readPolicy } from '../iam/policy.ts';
import { encodeQueryError, encodeQueryResult } from '../query.ts';
import { authorizer, page, parseArn } from '../runtime/api.ts';
import { keyUse } from '../runtime/key-use.ts';
import { isTrue, onlyKnown, required } from '../runtime/properties.ts';
import {
  type DeliveredSubscription,
  deliverMessage,
  postToEndpoint,
  retried,
  type SnsOptions,
} from '../runtime/sns-delivery.ts';
import {
  type FilterPolicy,
  type PublishedMessage,
  passesFilter,
  readFilterPolicy,
  readMessage,
} from '../runtime/sns-message.ts';
import { deadLetterQueueOf, defaultPolicy } from '../runtime/sns-policies.ts';
import { readDeliveryPolicy } from '../runtime/sns-retry.ts';
import { createSnsSigner, type SignatureVersion } from '../runtime/sns-signature.ts';

export type { SnsOptions } from '../runtime/sns-delivery.ts';
export type { PublishedMessage } from '../runtime/sns-message.ts';

export interface SnsFacade extends Facade {
  /** The latest messages of all topics, or of one, oldest first. */
  messages(topicArn?: string): readonly PublishedMessage[];
  /** Settles when every delivery that was begun has ended, its retries included. */
  delivered(): Promise<void>;
  /** Publishes as another service (CloudWatch for its alarms), which acts as itself and not as a role. */
  publishFromService(
    topicArn: string,
    message: { readonly subject: string; readonly text: string },
    from: { readonly servicePrincipal: string; readonly sourceArn: string },
  ): Promise<void>;
}

interface Topic {
  readonly arn: string;
  readonly displayName: string;
  readonly kmsMasterKeyId?: string;
  readonly signatureVersion: SignatureVersion;
  /** The document of its AWS::SNS::TopicPolicy. */
  policy?: unknown;
}

interface Subscription extends DeliveredSubscription {
  readonly topicArn: string;
  readonly filterPolicy?: FilterPolicy;
  /** What the endpoint must give back before it receives anything. */
  token?: string;
}

const KEPT_MESSAGES = 1000;
const NAMESPACE = 'http://sns.amazonaws.com/doc/2010-03-31/';
const PENDING = 'PendingConfirmation';
const PROTOCOLS = ['email', 'email-json', 'http', 'https', 'lambda', 'sqs'];
const SUBSCRIPTION = [
  'DeliveryPolicy',
  'Endpoint',
  'FilterPolicy',
  'FilterPolicyScope',
  'Protocol',
  'RawMessageDelivery',
  'RedrivePolicy',
  'TopicArn',
];

/** SNS: standard topics, with signed messages. Mail is noted, never sent. */
export function createSns(world: World, options: SnsOptions): SnsFacade {
  const topics = new Map<string, Topic>();
  const subscriptions = new Map<string, Subscription>();
  const messages: PublishedMessage[] = [];
  const deliveries = new Set<Promise<void>>();
  const closing = new AbortController();
  const authorize = authorizer(world, 'sns');
  const signer = createSnsSigner(world.endpoint);

  const topicOf = (arn: unknown, region: string): Topic => {
    const given = parseArn(String(arn));
    if (given.service !== 'sns' || given.region !== region)
      throw new AwsError('InvalidParameter', 'Invalid parameter: TopicArn');
    const topic = topics.get(String(arn));
    if (!topic) throw new AwsError('NotFound', 'Topic does not exist', 404);
    return topic;
  };

  const track = (work: Promise<void>): void => {
    deliveries.add(work);
    void work.finally(() => deliveries.delete(work));
  };

  const versionOf = (topicArn: string): SignatureVersion => topics.get(topicArn)?.signatureVersion ?? '1';

  const dispatch = (message: PublishedMessage): void => {
    messages.push(message);
    if (messages.length > KEPT_MESSAGES) messages.shift();
    const envelope = { signer, version: versionOf(message.topicArn), endpoint: world.endpoint };
    for (const subscription of subscriptions.values()) {
      if (subscription.topicArn !== message.topicArn || subscription.token) continue;
      if (passesFilter(subscription.filterPolicy, message))
        track(deliverMessage(world, options, envelope, subscription, message, closing.signal));
    }
  };

  const publish = async (input: any, context: CallContext, conditions?: ConditionValues) => {
    const topicArn = input.TopicArn ?? input.TargetArn;
    const { Message: _, ...rest } = input;
    const key = topics.get(String(topicArn))?.kmsMasterKeyId;
    const use = { service: 'sns', region: context.region, key: key ?? '' };
    const also = key ? keyUse(world, use, 'GenerateDataKey', 'Decrypt') : [];
    await authorize(context, { operation: 'Publish', resource: topicArn ?? '*', input: rest, conditions, also });
    const topic = topicOf(topicArn, context.region);
    const message = readMessage(topic.arn, input, world.now());
    dispatch(message);
    return { MessageId: message.messageId };
  };

  /** The token is the endpoint's authority: whoever has it may confirm, signed or not. */
  const confirm = (topicArn: unknown, token: unknown): Subscription => {
    const subscription = [...subscriptions.values()].find(
      (one) => one.topicArn === topicArn && one.token !== undefined && one.token === token,
    );
    if (!subscription) throw new AwsError('InvalidParameter', 'Invalid parameter: Token');
    delete subscription.token;
    return subscription;
  };

  const subscribe = (topicArn: string, protocol: string, endpoint: string, traits: any): Subscription => {
    if (!PROTOCOLS.includes(protocol)) throw new Error(`the local cloud does not support the protocol ${protocol}`);
    if (protocol === 'sqs' && !options.sendFromService) throw new Error('queues cannot be subscribed in this cloud');
    if (traits.FilterPolicyScope && traits.FilterPolicyScope !== 'MessageAttributes') {
      throw new Error(`the FilterPolicyScope ${traits.FilterPolicyScope} is not supported`);
    }
    const subscription: Subscription = {
      arn: `${topicArn}:${randomUUID()}`,
      topicArn,
      protocol,
      endpoint,
      raw: isTrue(traits.RawMessageDelivery),
      filterPolicy: readFilterPolicy(traits.FilterPolicy),
      httpRetries: readDeliveryPolicy(traits.DeliveryPolicy),
      deadLetterQueue: deadLetterQueueOf(traits.RedrivePolicy),
    };
    subscriptions.set(subscription.arn, subscription);
    if (protocol.startsWith('http')) {
      subscription.token = randomBytes(32).toString('hex');
      track(askForConfirmation(subscription, subscription.token));
    }
    return subscription;
  };

  const askForConfirmation = async (subscription: Subscription, token: string): Promise<void> => {
    const { topicArn, endpoint } = subscription;
    const messageId = randomUUID();
    const query = new URLSearchParams({ Action: 'ConfirmSubscription', TopicArn: topicArn, Token: token });
    const body = {
      Type: 'SubscriptionConfirmation',
      MessageId: messageId,
      Token: token,
      TopicArn: topicArn,
      Message: `You have chosen to subscribe to the topic ${topicArn}.\nTo confirm the subscription, visit the SubscribeURL included in this message.`,
      SubscribeURL: `${world.endpoint}/?${query}`,
      Timestamp: new Date(world.now()).toISOString(),
    };
    const sealed = JSON.stringify(signer.seal(body, versionOf(topicArn)), null, 2);
    await retried(world, subscription, `the confirmation request for ${topicArn}`, closing.signal, () =>
      postToEndpoint(endpoint, 'SubscriptionConfirmation', { topicArn, messageId }, sealed, closing.signal),
    ).catch(
      (error: Error) =>
        closing.signal.aborted ||
        world.note(`sns: ${endpoint} did not take its confirmation request: ${error.message}`),
    );
  };

  const shown = ({ arn, token, protocol, endpoint, topicArn }: Subscription) => ({
    SubscriptionArn: token ? PENDING : arn,
    Owner: world.account,
    Protocol: protocol,
    Endpoint: endpoint,
    TopicArn: topicArn,
  });

  const operations: Readonly<Record<string, Operation>> = {
    Publish: (input, context) => publish(input, context),

    Subscribe: async (input, context) => {
      await authorize(context, { operation: 'Subscribe', resource: input.TopicArn, input });
      const topic = topicOf(input.TopicArn, context.region);
      let subscription: Subscription;
      try {
        subscription = subscribe(topic.arn, input.Protocol, String(input.Endpoint ?? ''), input.Attributes ?? {});
      } catch (error) {
        throw new AwsError('InvalidParameter', `Invalid parameter: ${(error as Error).message}`);
      }
      const hidden = subscription.token && !isTrue(input.ReturnSubscriptionArn);
      return { SubscriptionArn: hidden ? 'pending confirmation' : subscription.arn };
    },

    ConfirmSubscription: async (input, context) => {
      await authorize(context, {
        operation: 'ConfirmSubscription',
        resource: input.TopicArn,
        input: { TopicArn: input.TopicArn },
      });
      return { SubscriptionArn: confirm(input.TopicArn, input.Token).arn };
    },

    Unsubscribe: async (input, context) => {
      const resource = String(input.SubscriptionArn).replace(/:[^:]+$/, '');
      await authorize(context, { operation: 'Unsubscribe', resource, input });
      subscriptions.delete(input.SubscriptionArn);
    },

    ListTopics: async (input, context) => {
      await authorize(context, { operation: 'ListTopics', resource: '*', input });
      const own = [...topics.keys()].filter((arn) => parseArn(arn).region === context.region);
      const { items, next } = page(own, input.NextToken, 100);
      return { Topics: items.map((TopicArn) => ({ TopicArn })), NextToken: next };
    },

    GetTopicAttributes: async (input, context) => {
      await authorize(context, { operation: 'GetTopicAttributes', resource: input.TopicArn, input });
      const topic = topicOf(input.TopicArn, context.region);
      const own = [...subscriptions.values()].filter(({ topicArn }) => topicArn === topic.arn);
      const attributes = new Map([
        ['TopicArn', topic.arn],
        ['Owner', world.account],
        ['DisplayName', topic.displayName],
        ['SubscriptionsConfirmed', String(own.filter(({ token }) => !token).length)],
        ['SubscriptionsPending', String(own.filter(({ token }) => token).length)],
      ]);
      if (topic.kmsMasterKeyId) attributes.set('KmsMasterKeyId', topic.kmsMasterKeyId);
      return { Attributes: attributes };
    },

    ListSubscriptions: async (input, context) => {
      await authorize(context, { operation: 'ListSubscriptions', resource: '*', input });
      const own = [...subscriptions.values()].filter(({ topicArn }) => parseArn(topicArn).region === context.region);
      const { items, next } = page(own, input.NextToken, 100);
      return { Subscriptions: items.map(shown), NextToken: next };
    },

    ListSubscriptionsByTopic: async (input, context) => {
      await authorize(context, { operation: 'ListSubscriptionsByTopic', resource: input.TopicArn, input });
      const topic = topicOf(input.TopicArn, context.region);
      const own = [...subscriptions.values()].filter(({ topicArn }) => topicArn === topic.arn);
      const { items, next } = page(own, input.NextToken, 100);
      return { Subscriptions: items.map(shown), NextToken: next };
    },
  };

  const subscribeByTemplate = (
    type: string,
    context: ResourceContext,
    topicArn: string,
    properties: any,
  ): MadeResource => {
    const protocol = String(required(type, context, properties, 'Protocol'));
    try {
      const subscription = subscribe(topicArn, protocol, String(properties.Endpoint ?? ''), properties);
      return { ref: subscription.arn, attributes: { Arn: subscription.arn } };
    } catch (error) {
      throw new Error(`${type} ${context.stack}/${context.logicalId}: ${(error as Error).message}`);
    }
  };

  const resources: Readonly<Record<string, ResourceMaker>> = {
    'AWS::SNS::Topic': (properties, context) => {
      const type = 'AWS::SNS::Topic';
      const known = [
        'DisplayName',
        'KmsMasterKeyId',
        'SignatureVersion',
        'Subscription',
        'Tags',
        'TopicName',
        'TracingConfig',
      ];
      onlyKnown(type, context, properties, known, { FifoTopic: 'topics are standard topics here' });
      const name = properties.TopicName ?? context.generatedName;
      const arn = `arn:aws:sns:${context.region}:${world.account}:${name}`;
      if (topics.has(arn)) throw new Error(`${type} ${name} exists already in ${context.region}`);
      const version = String(properties.SignatureVersion ?? '1');
      if (version !== '1' && version !== '2') throw new Error(`${type} ${name}: SignatureVersion must be 1 or 2`);
      topics.set(arn, {
        arn,
        displayName: properties.DisplayName ?? '',
        kmsMasterKeyId: properties.KmsMasterKeyId,
        signatureVersion: version,
      });
      for (const subscription of properties.Subscription ?? []) subscribeByTemplate(type, context, arn, subscription);
      return { ref: arn, attributes: { TopicArn: arn, TopicName: name } };
    },

    'AWS::SNS::Subscription': (properties, context) => {
      const type = 'AWS::SNS::Subscription';
      onlyKnown(type, context, properties, SUBSCRIPTION);
      const topicArn = String(required(type, context, properties, 'TopicArn'));
      if (!topics.has(topicArn))
        throw new Error(`${type} ${context.stack}/${context.logicalId}: there is no topic ${topicArn}`);
      return subscribeByTemplate(type, context, topicArn, properties);
    },

    'AWS::SNS::TopicPolicy': (properties, context) => {
      const type = 'AWS::SNS::TopicPolicy';
      onlyKnown(type, context, properties, ['PolicyDocument', 'Topics']);
      const policy = required(type, context, properties, 'PolicyDocument');
      readPolicy(context.logicalId, policy, 'resource');
      for (const arn of required(type, context, properties, 'Topics') as string[]) {
        const topic = topics.get(arn);
        if (!topic) throw new Error(`${type} ${context.stack}/${context.logicalId}: there is no topic ${arn}`);
        topic.policy = policy;
      }
      return { ref: context.generatedName, attributes: { Id: context.generatedName } };
    },
  };

  const anonymous = (url: URL): AnonymousAnswer | undefined => {
    if (url.pathname === signer.path)
      return { status: 200, type: 'application/x-pem-file', body: signer.certificate() };
    const [action, topicArn, token, arn] = ['Action', 'TopicArn', 'Token', 'SubscriptionArn'].map((name) =>
      url.searchParams.get(name),
    );
    if (url.pathname !== '/' || (action !== 'ConfirmSubscription' && action !== 'Unsubscribe')) return undefined;
    const answer = (status: number, body: string): AnonymousAnswer => ({ status, type: 'text/xml', body });
    if (!world.outages.reachable(undefined, parseArn(String(topicArn ?? arn)).region))
      return answer(503, encodeQueryError({ code: 'ServiceUnavailable', message: 'down', status: 503 }, NAMESPACE, ''));
    try {
      const result = action === 'Unsubscribe' ? undefined : { SubscriptionArn: confirm(topicArn, token).arn };
      if (action === 'Unsubscribe') subscriptions.delete(String(arn));
      return answer(200, encodeQueryResult(action, result, NAMESPACE, randomUUID()));
    } catch (error) {
      const { code, message, status } = error as AwsError;
      return answer(status, encodeQueryError({ code, message, status }, NAMESPACE, randomUUID()));
    }
  };

  return {
    service: 'sns',
    anonymous,
    publishFromService: async (topicArn, { subject, text }, { servicePrincipal, sourceArn }) => {
      const { region } = parseArn(topicArn);
      const principal = { arn: servicePrincipal, service: servicePrincipal };
      await publish(
        { TopicArn: topicArn, Subject: subject, Message: text },
        { region, principal, requestId: randomUUID() },
        { 'aws:SourceArn': sourceArn, 'aws:SourceAccount': world.account },
      );
    },
    xmlNamespace: NAMESPACE,
    operations,
    resources,
    accessOf: (arn) => {
      const topic = topics.get(arn);
      return topic && { policy: topic.policy ?? defaultPolicy(topic.arn, world.account) };
    },
    messages: (topicArn) => messages.filter((message) => !topicArn || message.topicArn === topicArn),
    delivered: async () => {
      while (deliveries.size > 0) await Promise.all(deliveries);
    },
    close: async () => {
      closing.abort();
      await Promise.all(deliveries);
    },
  };
}
