import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ConfirmSubscriptionCommand,
  GetTopicAttributesCommand,
  ListSubscriptionsByTopicCommand,
  ListTopicsCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
  UnsubscribeCommand,
} from '@aws-sdk/client-sns';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { AwsError, type ResourceContext } from '../../local/facade.ts';
import { createSns, type SnsFacade } from '../../local/facades/sns.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-central-1';
const root = mkdtempSync(join(tmpdir(), 'sns-test-'));
const about: ResourceContext = { region, stack: 'Stack', logicalId: 'Topic', generatedName: 'made-up', assembly: root };
const topicArn = `arn:aws:sns:${region}:111122223333:news`;
const functionArn = `arn:aws:lambda:${region}:111122223333:function:f`;
const notes: string[] = [];
let invoked: { functionArn: string; event: any; from: object }[] = [];
let refusals = 0;
let host: Host;
let sns: SnsFacade;
let client: SNSClient;
let server: Server;
let posted: { headers: IncomingMessage['headers']; body: any }[] = [];
let status = 200;
let url = '';

const make = (type: string, properties: object) => sns.resources?.[type]?.(properties, about);
const publish = (rest: object) => client.send(new PublishCommand({ TopicArn: topicArn, Message: 'm', ...rest }));

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region], verbose: (line) => void notes.push(line) });
  sns = host.add(
    createSns(host.world, {
      invokeFromService: async (arn, payload, from) => {
        if (refusals-- > 0) throw new AwsError('ServiceException', 'try again', 500);
        invoked.push({ functionArn: arn, event: JSON.parse(payload), from });
      },
    }),
  );
  client = new SNSClient({ ...host.client(region), maxAttempts: 1 });
  make('AWS::SNS::Topic', { TopicName: 'news', DisplayName: 'News' });
  make('AWS::SNS::TopicPolicy', {
    Topics: [topicArn],
    PolicyDocument: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sns:Publish', Resource: topicArn }],
    },
  });
  make('AWS::SNS::Subscription', { TopicArn: topicArn, Protocol: 'lambda', Endpoint: functionArn });
  make('AWS::SNS::Subscription', {
    TopicArn: topicArn,
    Protocol: 'lambda',
    Endpoint: `${functionArn}-filtered`,
    FilterPolicy: { level: ['warn', 'error'] },
  });
  make('AWS::SNS::Subscription', { TopicArn: topicArn, Protocol: 'email', Endpoint: 'someone@example.org' });
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    posted.push({ headers: request.headers, body: JSON.parse(body) });
    response.writeHead(status).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
});

beforeEach(() => {
  invoked = [];
  posted = [];
  refusals = 0;
});

afterAll(async () => {
  client.destroy();
  await host.close();
  await new Promise((closed) => server.close(closed));
  rmSync(root, { recursive: true, force: true });
});

it('gives functions the event that Lambda knows', async () => {
  const { MessageId } = await publish({
    Message: 'hello & <you>',
    Subject: 'Greeting',
    MessageAttributes: { n: { DataType: 'Number', StringValue: '5' } },
  });
  await sns.delivered();
  expect(invoked).toHaveLength(1);
  expect(invoked[0]).toMatchObject({
    functionArn,
    from: { servicePrincipal: 'sns.amazonaws.com', sourceArn: topicArn },
  });
  const [record] = invoked[0]?.event.Records ?? [];
  expect(record).toMatchObject({
    EventSource: 'aws:sns',
    EventVersion: '1.0',
    EventSubscriptionArn: expect.stringContaining(`${topicArn}:`),
  });
  expect(record.Sns).toMatchObject({
    Type: 'Notification',
    MessageId,
    TopicArn: topicArn,
    Subject: 'Greeting',
    Message: 'hello & <you>',
    MessageAttributes: { n: { Type: 'Number', Value: '5' } },
  });
  expect(Object.keys(record.Sns)).toHaveLength(11);
  await publish({});
  await sns.delivered();
  expect(invoked[1]?.event.Records[0].Sns.Subject).toBeNull();
  expect(sns.messages(topicArn).at(-1)).toMatchObject({ texts: { default: 'm' } });
  expect(notes.filter((note) => note.includes('someone@example.org'))).toHaveLength(2);
  expect(host.ledger.calls().at(-1)).toMatchObject({ action: 'sns:Publish', resource: topicArn });
});

it('heeds filter policies and texts by protocol', async () => {
  const MessageAttributes = { level: { DataType: 'String', StringValue: 'warn' } };
  await publish({
    Message: JSON.stringify({ default: 'd', lambda: 'for functions' }),
    MessageStructure: 'json',
    MessageAttributes,
  });
  await sns.delivered();
  expect(invoked.map(({ functionArn: arn }) => arn).sort()).toEqual([functionArn, `${functionArn}-filtered`]);
  expect(invoked[0]?.event.Records[0].Sns.Message).toBe('for functions');
  expect(() =>
    make('AWS::SNS::Subscription', {
      TopicArn: topicArn,
      Protocol: 'lambda',
      Endpoint: 'x',
      FilterPolicy: { a: [{ prefix: 'b' }] },
    }),
  ).toThrow(/plain values/);
});

it('tries again what may pass, at once at first', async () => {
  refusals = 3;
  await publish({});
  await sns.delivered();
  expect(invoked).toHaveLength(1);
  expect(notes.at(-1)).toMatch(/is tried again by lambda: try again/);
});

it('delivers over HTTP once the endpoint has confirmed', async () => {
  const { SubscriptionArn } = await client.send(
    new SubscribeCommand({ TopicArn: topicArn, Protocol: 'http', Endpoint: url, ReturnSubscriptionArn: true }),
  );
  await expect.poll(() => posted.length).toBe(1);
  expect(posted[0]?.headers['x-amz-sns-message-type']).toBe('SubscriptionConfirmation');
  await publish({});
  await sns.delivered();
  expect(posted).toHaveLength(1);
  await expect(client.send(new ConfirmSubscriptionCommand({ TopicArn: topicArn, Token: 'wrong' }))).rejects.toThrow(
    /Token/,
  );
  const confirmed = await client.send(
    new ConfirmSubscriptionCommand({ TopicArn: topicArn, Token: posted[0]?.body.Token }),
  );
  expect(confirmed.SubscriptionArn).toBe(SubscriptionArn);
  await publish({ Message: 'by http' });
  await sns.delivered();
  expect(posted[1]?.headers).toMatchObject({
    'x-amz-sns-message-type': 'Notification',
    'x-amz-sns-topic-arn': topicArn,
  });
  expect(posted[1]?.body).toMatchObject({ Type: 'Notification', Message: 'by http', TopicArn: topicArn });
  status = 404;
  await publish({});
  await sns.delivered();
  expect(posted).toHaveLength(3);
  expect(notes.at(-1)).toMatch(/was not delivered to http .*: HTTP 404/);
  status = 200;
  await client.send(new UnsubscribeCommand({ SubscriptionArn }));
  await publish({});
  await sns.delivered();
  expect(posted).toHaveLength(3);
});

it('lists, describes and refuses', async () => {
  expect((await client.send(new ListTopicsCommand({}))).Topics).toEqual([{ TopicArn: topicArn }]);
  const { Subscriptions } = await client.send(new ListSubscriptionsByTopicCommand({ TopicArn: topicArn }));
  expect(Subscriptions?.map(({ Protocol }) => Protocol)).toEqual(['lambda', 'lambda', 'email']);
  const { Attributes } = await client.send(new GetTopicAttributesCommand({ TopicArn: topicArn }));
  expect(Attributes).toMatchObject({ DisplayName: 'News', SubscriptionsConfirmed: '3' });
  await expect(publish({ TopicArn: `${topicArn}-other` })).rejects.toMatchObject({ name: 'NotFoundException' });
  await expect(publish({ Subject: 'x'.repeat(100) })).rejects.toMatchObject({ name: 'InvalidParameterException' });
  await expect(publish({ MessageStructure: 'json' })).rejects.toThrow(/failed to parse/);
  expect(() => make('AWS::SNS::Topic', { TopicName: 'x', FifoTopic: true })).toThrow(/FifoTopic: topics are standard/);
  expect(() => make('AWS::SNS::Subscription', { TopicArn: topicArn, Protocol: 'sms', Endpoint: '1' })).toThrow(
    /protocol sms/,
  );
});
