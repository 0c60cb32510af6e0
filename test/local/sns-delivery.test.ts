import { createHash, verify, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PublishCommand, SNSClient, SubscribeCommand, type SubscribeCommandInput } from '@aws-sdk/client-sns';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSns, type SnsFacade } from '../../local/facades/sns.ts';
import { createSqs } from '../../local/facades/sqs.ts';
import { type Host, startHost } from '../../local/host.ts';
import { delayBefore, HTTP, MANAGED, readDeliveryPolicy } from '../../local/runtime/sns-retry.ts';

const region = 'eu-central-1';
const root = mkdtempSync(join(tmpdir(), 'sns-delivery-test-'));
const arn = (service: string, name: string) => `arn:aws:${service}:${region}:111122223333:${name}`;
let host: Host;
let sns: SnsFacade;
let client: SNSClient;
let queues: SQSClient;
let server: Server;
let endpoint: string;
let posted: { type: string; at: number; body: any }[] = [];
/** How the endpoint answers next; 200 when there is nothing left. */
let answers: number[] = [];
const events: any[] = [];

beforeAll(async () => {
  // Twenty seconds between the attempts of a delivery become forty milliseconds.
  host = await startHost({ directory: root, regions: [region], clock: { rate: 500 } });
  const sqs = host.add(createSqs(host.world));
  const invokeFromService = async (_arn: string, payload: string) => void events.push(JSON.parse(payload));
  sns = host.add(createSns(host.world, { invokeFromService, sendFromService: sqs.sendFromService }));
  client = new SNSClient({ ...host.client(region), maxAttempts: 1 });
  queues = new SQSClient({ ...host.client(region), maxAttempts: 1 });
  const about = { region, stack: 'Stack', logicalId: 'Made', generatedName: 'made', assembly: root };
  for (const [name, SignatureVersion] of [
    ['one', undefined],
    ['two', '2'],
    ['queued', undefined],
    ['retried', undefined],
  ])
    sns.resources?.['AWS::SNS::Topic']?.({ TopicName: name, SignatureVersion }, about);
  for (const QueueName of ['queue', 'dead']) sqs.resources?.['AWS::SQS::Queue']?.({ QueueName }, about);
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const type = String(request.headers['x-amz-sns-message-type']);
    posted.push({ type, at: host.world.now(), body: JSON.parse(body) });
    response.writeHead(answers.shift() ?? 200).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

beforeEach(() => {
  posted = [];
  answers = [];
});

afterAll(async () => {
  client.destroy();
  queues.destroy();
  await host.close();
  await new Promise((closed) => server.close(closed));
  rmSync(root, { recursive: true, force: true });
});

const subscribe = async (topic: string, input: Partial<SubscribeCommandInput>): Promise<string> => {
  const { SubscriptionArn } = await client.send(
    new SubscribeCommand({
      TopicArn: arn('sns', topic),
      Protocol: 'http',
      Endpoint: endpoint,
      ReturnSubscriptionArn: true,
      ...input,
    }),
  );
  return String(SubscriptionArn);
};
const publish = async (topic: string, rest: object = {}) => {
  await client.send(new PublishCommand({ TopicArn: arn('sns', topic), Message: 'text', ...rest }));
  await sns.delivered();
};
const next = async (type: string) => {
  await expect.poll(() => posted.some((one) => one.type === type)).toBe(true);
  return posted.find((one) => one.type === type)?.body;
};
const received = async (queue: string) => {
  const { Messages } = await queues.send(
    new ReceiveMessageCommand({ QueueUrl: `${host.world.endpoint}/111122223333/${queue}`, MaxNumberOfMessages: 10 }),
  );
  return (Messages ?? []).map(({ Body }) => String(Body));
};

/** As AWS's guide has readers of messages do it. */
async function isGenuine(message: any): Promise<boolean> {
  const names =
    message.Type === 'Notification'
      ? ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']
      : ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'];
  const text = names
    .filter((name) => message[name] !== undefined)
    .map((name) => `${name}\n${message[name]}\n`)
    .join('');
  const response = await fetch(message.SigningCertURL);
  expect(response.status).toBe(200);
  const certificate = new X509Certificate(await response.text());
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(Date.parse(certificate.validTo)).toBeGreaterThan(Date.now());
  const algorithm = { '1': 'sha1', '2': 'sha256' }[String(message.SignatureVersion)];
  return verify(algorithm, Buffer.from(text), certificate.publicKey, Buffer.from(message.Signature, 'base64'));
}

describe('a subscription over HTTP', () => {
  it.each([
    ['one', '1'],
    ['two', '2'],
  ])('is confirmed by its link; messages of %s have signatures of version %s', async (topic, version) => {
    const subscriptionArn = await subscribe(topic, {});
    const request = await next('SubscriptionConfirmation');
    expect(request).toMatchObject({ TopicArn: arn('sns', topic), SignatureVersion: version });
    expect(await isGenuine(request)).toBe(true);
    await publish(topic);
    expect(posted).toHaveLength(1);

    const answer = await fetch(request.SubscribeURL);
    expect([answer.status, await answer.text()]).toEqual([
      200,
      expect.stringContaining(`<SubscriptionArn>${subscriptionArn}</SubscriptionArn>`),
    ]);
    await publish(topic, { Subject: 'About' });
    const message = await next('Notification');
    expect(message).toMatchObject({ Message: 'text', Subject: 'About', SignatureVersion: version });
    expect(await isGenuine(message)).toBe(true);
    expect(await isGenuine({ ...message, Message: 'another text' })).toBe(false);

    expect((await fetch(message.UnsubscribeURL)).status).toBe(200);
    posted = [];
    await publish(topic);
    expect(posted).toEqual([]);
  });

  it('is confirmed by nothing but its own token, and nothing else is open to the unsigned', async () => {
    await subscribe('one', {});
    const { SubscribeURL } = await next('SubscriptionConfirmation');
    const forged = SubscribeURL.replace(/Token=[^&]+/, `Token=${createHash('sha256').digest('hex')}`);
    expect((await fetch(forged)).status).toBe(400);
    expect((await fetch(`${host.world.endpoint}/?Action=ListTopics`)).status).toBe(403);
    await publish('one');
    expect(posted.map(({ type }) => type)).toEqual(['SubscriptionConfirmation']);
  });

  it('is tried three times more, twenty seconds apart, before its dead-letter queue has the message', async () => {
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn('sqs', 'dead') });
    await subscribe('retried', { Attributes: { RedrivePolicy } });
    const { SubscribeURL } = await next('SubscriptionConfirmation');
    await fetch(SubscribeURL);
    posted = [];
    answers = [500, 503, 429];
    await publish('retried');
    expect(posted).toHaveLength(4);
    const [first, second] = posted;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(20_000);
    expect(await received('dead')).toEqual([]);
    answers = [500, 500, 500, 500];
    await publish('retried');
    expect(posted).toHaveLength(8);
    expect((await received('dead')).map((body) => JSON.parse(body))).toMatchObject([
      { Type: 'Notification', Message: 'text' },
    ]);
    answers = [403];
    await publish('retried');
    expect(posted).toHaveLength(9);
    expect(await received('dead')).toHaveLength(1);
  });
});

describe('a subscription of a queue', () => {
  it('puts messages into it, raw where that was asked for', async () => {
    const Endpoint = arn('sqs', 'queue');
    await subscribe('queued', { Protocol: 'sqs', Endpoint });
    await subscribe('queued', { Protocol: 'sqs', Endpoint, Attributes: { RawMessageDelivery: 'true' } });
    await publish('queued');
    const [wrapped = '', raw] = (await received('queue')).sort((a, b) => b.length - a.length);
    expect(raw).toBe('text');
    expect(await isGenuine(JSON.parse(wrapped))).toBe(true);
  });
});

describe('a subscription of a function', () => {
  it('has a signed event', async () => {
    await subscribe('two', { Protocol: 'lambda', Endpoint: arn('lambda', 'function:f') });
    await publish('two');
    const { SigningCertUrl, ...message } = events[0].Records[0].Sns;
    expect(await isGenuine({ ...message, Subject: undefined, SigningCertURL: SigningCertUrl })).toBe(true);
  });
});

describe('retries', () => {
  const delays = (policy: Parameters<typeof delayBefore>[1], count: number) =>
    Array.from({ length: count }, (_, index) => delayBefore(index + 1, policy));

  it('follow the policies that AWS has', () => {
    expect(delays(HTTP, 4)).toEqual([20_000, 20_000, 20_000, undefined]);
    expect(delays(MANAGED, 6)).toEqual([0, 0, 0, 1000, 1000, 1000]);
    expect([delayBefore(100_015, MANAGED), delayBefore(100_016, MANAGED)]).toEqual([20_000, undefined]);
  });

  it('follow a delivery policy', () => {
    const policy = { numRetries: 5, numNoDelayRetries: 1, numMaxDelayRetries: 1, minDelayTarget: 1, maxDelayTarget: 9 };
    expect(delays(readDeliveryPolicy({ healthyRetryPolicy: policy }), 6)).toEqual([
      0,
      1000,
      5000,
      9000,
      9000,
      undefined,
    ]);
    expect(() => readDeliveryPolicy({ healthyRetryPolicy: { numRetries: 101 } })).toThrow(/0 to 100/);
    expect(() => readDeliveryPolicy({ healthyRetryPolicy: { attempts: 1 } })).toThrow(/attempts is not known/);
  });
});
