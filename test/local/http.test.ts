import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { GetTopicAttributesCommand, ListTopicsCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsError, type Facade } from '../../local/facade.ts';
import { createSecretsManager } from '../../local/facades/secrets-manager.ts';
import { createSsm } from '../../local/facades/ssm.ts';
import { createSts } from '../../local/facades/sts.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-north-1';
const role = 'arn:aws:iam::111122223333:role/service/reader';
let directory: string;
let host: Host;
let published: unknown;
const notes: string[] = [];

const echo: Facade = {
  service: 'sns',
  xmlNamespace: 'http://sns.amazonaws.com/doc/2010-03-31/',
  operations: {
    Publish: (input) => {
      published = input;
      return { MessageId: 'a<b>&"c' };
    },
    ListTopics: () => ({ Topics: [{ TopicArn: 'arn:1' }, { TopicArn: 'arn:2' }], NextToken: undefined }),
    GetTopicAttributes: () => ({ Attributes: new Map([['DisplayName', 'x & y']]) }),
    Unsubscribe: () => {
      throw new Error('a defect');
    },
  },
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'http-test-'));
  host = await startHost({ directory, regions: [region], verbose: (line) => notes.push(line) });
  for (const create of [createSsm, createSecretsManager, createSts]) host.add(create(host.world));
  host.add(echo);
});

afterAll(async () => {
  await host.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A request whose only AWS part is the credential scope: signatures are not verified. */
const post = (service: string, headers: Record<string, string>, body: string, key?: string): Promise<Response> =>
  fetch(host.world.endpoint, {
    method: 'POST',
    headers: {
      authorization: `AWS4-HMAC-SHA256 Credential=${key ?? host.identity.administrator.accessKeyId}/20260101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
      ...headers,
    },
    body,
  });
const json = async (answer: Response): Promise<Record<string, string>> =>
  (await answer.json()) as Record<string, string>;
const form = { 'content-type': 'application/x-www-form-urlencoded' };

describe('JSON protocols', () => {
  it('carry input, output and timestamps', async () => {
    const ssm = new SSMClient(host.client(region));
    await ssm.send(new PutParameterCommand({ Name: '/time', Value: '{"ü":1}', Type: 'String' }));
    const { Parameter } = await ssm.send(new GetParameterCommand({ Name: '/time' }));
    expect(Parameter).toMatchObject({ Name: '/time', Value: '{"ü":1}', Version: 1 });
    expect(Math.abs(Date.now() - (Parameter?.LastModifiedDate?.getTime() ?? 0))).toBeLessThan(60_000);
  });

  it('carry errors by name', async () => {
    const ssm = new SSMClient(host.client(region));
    await expect(ssm.send(new GetParameterCommand({ Name: '/none' }))).rejects.toMatchObject({
      name: 'ParameterNotFound',
      $metadata: { httpStatusCode: 400, requestId: expect.stringMatching(/^[\da-f-]{36}$/) },
    });
  });

  it('refuse an operation that is not there, and one of the prototype', async () => {
    for (const operation of ['RunCommand', 'constructor']) {
      const answer = await post('ssm', { 'x-amz-target': `AmazonSSM.${operation}` }, '{}');
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({
        __type: 'UnknownOperationException',
        message: expect.stringContaining(operation),
      });
    }
  });

  it('refuse a body that is not JSON', async () => {
    const answer = await post('ssm', { 'x-amz-target': 'AmazonSSM.GetParameter' }, '{"Name"');
    expect(await answer.json()).toMatchObject({ __type: 'SerializationException' });
  });
});

describe('the Query protocol', () => {
  it('reads lists and maps, and writes XML that clients understand', async () => {
    const sns = new SNSClient(host.client(region));
    const { MessageId } = await sns.send(
      new PublishCommand({
        TopicArn: 'arn:1',
        Message: 'a&b=c +ü',
        MessageAttributes: {
          ok: { DataType: 'String', StringValue: 'no' },
          n: { DataType: 'Number', StringValue: '1' },
        },
      }),
    );
    expect(MessageId).toBe('a<b>&"c');
    expect(published).toEqual({
      TopicArn: 'arn:1',
      Message: 'a&b=c +ü',
      MessageAttributes: { ok: { DataType: 'String', StringValue: 'no' }, n: { DataType: 'Number', StringValue: '1' } },
    });
    expect((await sns.send(new ListTopicsCommand({}))).Topics).toEqual([{ TopicArn: 'arn:1' }, { TopicArn: 'arn:2' }]);
    const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn: 'arn:1' }));
    expect(Attributes).toEqual({ DisplayName: 'x & y' });
  });

  it('keeps the order of long lists', async () => {
    const members = Array.from({ length: 12 }, (_, i) => `Tags.member.${i + 1}.Key=k${i + 1}`);
    await post('sns', form, `Action=Publish&Version=2010-03-31&${members.reverse().join('&')}`);
    expect(published).toEqual({ Tags: Array.from({ length: 12 }, (_, i) => ({ Key: `k${i + 1}` })) });
  });

  it('tells who calls, and answers errors as XML', async () => {
    const { accessKeyId } = host.world.credentialsFor(role, 'night shift');
    const answer = await (await post('sts', form, 'Action=GetCallerIdentity', accessKeyId)).text();
    expect(answer).toContain('<Arn>arn:aws:sts::111122223333:assumed-role/reader/night-shift</Arn>');
    const refused = await post('sts', form, 'Action=AssumeRole');
    expect(await refused.text()).toMatch(/<ErrorResponse.*<Code>UnknownOperationException<\/Code>.*AssumeRole/s);
  });

  it('answers a defect as InternalFailure and reports it', async () => {
    const answer = await post('sns', form, 'Action=Unsubscribe');
    expect(answer.status).toBe(500);
    expect(await answer.text()).toContain('<Code>InternalFailure</Code>');
    expect(notes.join('\n')).toContain('a defect');
  });
});

describe('callers', () => {
  it('are refused without a signature, with an unknown key, and at a service that is not there', async () => {
    const unsigned = await fetch(host.world.endpoint, { method: 'POST', body: '{}' });
    expect([unsigned.status, unsigned.headers.get('x-amzn-errortype')]).toEqual([
      403,
      'MissingAuthenticationTokenException',
    ]);
    const stranger = await post('ssm', { 'x-amz-target': 'AmazonSSM.GetParameter' }, '{}', 'AKIANOBODY');
    expect([stranger.status, (await json(stranger)).__type]).toEqual([403, 'UnrecognizedClientException']);
    expect(await (await post('sts', form, 'Action=GetCallerIdentity', 'AKIANOBODY')).text()).toContain(
      'InvalidClientTokenId',
    );
    const elsewhere = await post('glacier', {}, '');
    expect((await json(elsewhere)).message).toContain('glacier');
  });

  it('get a container its credentials, at an address that nobody can guess', async () => {
    const path = host.identity.containerCredentialsPath(role, 'task-1');
    const answer = await json(await fetch(host.world.endpoint + path));
    expect(answer).toMatchObject({ RoleArn: role, Token: expect.any(String) });
    expect(Date.parse(String(answer.Expiration))).toBeGreaterThan(Date.now() + 3_600_000);
    const identity = await post('sts', form, 'Action=GetCallerIdentity', answer.AccessKeyId);
    expect(await identity.text()).toContain('assumed-role/reader/task-1');
    expect((await fetch(`${host.world.endpoint}/_container/credentials/1`)).status).toBe(404);
  });

  it('are refused with a key that has expired, and a container gets another in time', async () => {
    const path = host.identity.containerCredentialsPath(role, 'task-2');
    const ask = async () => {
      const answer = await fetch(host.world.endpoint + path);
      return answer.ok ? String((await json(answer)).AccessKeyId) : answer.status;
    };
    host.identity.setTerms({ seconds: 1, renewed: true });
    const first = await ask();
    expect(await ask()).toBe(first);
    await expect.poll(ask).not.toBe(first);
    const who = async () => (await post('sts', form, 'Action=GetCallerIdentity', String(first))).text();
    await expect.poll(who).toContain('ExpiredToken');
    host.identity.setTerms({ seconds: 1, renewed: false });
    await expect.poll(ask).toBe(404);
    host.identity.setTerms({ seconds: 6 * 3600, renewed: true });
    expect(await ask()).toEqual(expect.any(String));
  });
});

describe('every call', () => {
  it('passes interceptors, until they are removed, and is recorded either way', async () => {
    const secrets = new SecretsManagerClient({ ...host.client(region), maxAttempts: 1 });
    const { accessKeyId, secretAccessKey, sessionToken } = host.world.credentialsFor(role, 's');
    const asRole = new SecretsManagerClient({
      ...host.client(region),
      credentials: { accessKeyId, secretAccessKey, sessionToken },
      maxAttempts: 1,
    });
    const remove = host.intercept((call) => {
      if (call.principal.roleArn === role && call.action === 'secretsmanager:GetSecretValue')
        throw new AwsError('AccessDeniedException', 'Not you.', 400);
    });
    const get = new GetSecretValueCommand({ SecretId: 'one' });
    await expect(asRole.send(get)).rejects.toMatchObject({ name: 'AccessDeniedException' });
    await expect(secrets.send(get)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    remove();
    await expect(asRole.send(get)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    const resource = `arn:aws:secretsmanager:${region}:111122223333:secret:one`;
    expect(host.ledger.usage().filter((usage) => usage.resource === resource)).toMatchObject([
      { principal: role, action: 'secretsmanager:GetSecretValue', resource, count: 2 },
      { principal: 'arn:aws:iam::111122223333:root', action: 'secretsmanager:GetSecretValue', resource, count: 1 },
    ]);
    expect(host.ledger.calls().at(-1)).toMatchObject({
      operation: 'GetSecretValue',
      input: { SecretId: 'one' },
      region,
    });
  });
});
