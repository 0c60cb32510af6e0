import {
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { GetParametersCommand, SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { callJson, sendSigned } from '../../local/runtime/signed-request.ts';
import { account, allow, as, document, host, make, refusal, region, role, sessionOf } from './iam-host.ts';

describe('a refusal', () => {
  const json = (statement: object[], service: string, target: string, input: object) => async () =>
    callJson(host.world, (await as(...statement)).credentials, { service, region, target, input, version: '1.1' });

  it.each<[string, () => Promise<unknown>, object, string]>([
    [
      'ssm',
      json([], 'ssm', 'AmazonSSM.GetParameter', { Name: '/a' }),
      { code: 'AccessDeniedException', status: 400 },
      `ssm:GetParameter on resource: arn:aws:ssm:${region}:${account}:parameter/a`,
    ],
    [
      'states',
      json([], 'states', 'AWSStepFunctions.StartExecution', {
        stateMachineArn: `arn:aws:states:${region}:${account}:stateMachine:m`,
      }),
      { code: 'AccessDeniedException', status: 400 },
      `states:StartExecution on resource: arn:aws:states:${region}:${account}:stateMachine:m`,
    ],
    [
      'ecs',
      json([], 'ecs', 'AmazonEC2ContainerServiceV20141113.ListTasks', { cluster: 'c' }),
      { code: 'AccessDeniedException', status: 400 },
      'ecs:ListTasks on resource: *',
    ],
    [
      'monitoring',
      json([], 'monitoring', 'GraniteServiceVersion20100801.ListMetrics', {}),
      { code: 'AccessDenied', status: 403 },
      'cloudwatch:ListMetrics on resource: *',
    ],
    [
      'lambda',
      async () =>
        sendSigned(host.world, (await as()).credentials, {
          service: 'lambda',
          region,
          path: '/2015-03-31/functions/f/invocations',
        }),
      { code: 'AccessDeniedException', status: 403 },
      `lambda:InvokeFunction on resource: arn:aws:lambda:${region}:${account}:function:f`,
    ],
  ])('of %s names who, what and on what, in its own shape', async (_, call, shape, words) => {
    const refused = await refusal(call());
    expect(refused).toMatchObject(shape);
    expect(refused.message).toMatch(sessionOf);
    const action = words.split(' ')[0];
    expect(refused.message).toContain(`${words} because no identity-based policy allows the ${action} action`);
  });

  it('of S3 quotes the resource, and says when a policy forbids it outright', async () => {
    const { ref } = await make('AWS::S3::Bucket', {});
    const get = new GetObjectCommand({ Bucket: ref, Key: 'a/b' });
    expect(await refusal(new S3Client(await as()).send(get))).toEqual({
      code: 'AccessDenied',
      status: 403,
      message: expect.stringContaining(
        `s3:GetObject on resource: "arn:aws:s3:::${ref}/a/b" because no identity-based policy allows the s3:GetObject action`,
      ),
    });
    const denied = await as(allow('s3:*'), { Effect: 'Deny', Action: 's3:Get*', Resource: '*' });
    expect((await refusal(new S3Client(denied).send(get))).message).toContain(
      'with an explicit deny in an identity-based policy',
    );
  });

  it('is recorded as an API call and as a permission that nothing allowed', async () => {
    const config = await as();
    await refusal(new SSMClient(config).send(new GetParametersCommand({ Names: ['/recorded'] })));
    expect(host.ledger.calls().at(-1)).toMatchObject({ operation: 'GetParameters', action: 'ssm:GetParameters' });
    expect(host.ledger.usage().at(-1)).toMatchObject({ action: 'ssm:GetParameters', count: 1, allowedBy: [] });
  });

  it('is unknown to who asks who he is, and to the administrator', async () => {
    const ask = async (credentials: Parameters<typeof sendSigned>[1]) =>
      (
        await sendSigned(host.world, credentials, {
          service: 'sts',
          region,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: 'Action=GetCallerIdentity&Version=2011-06-15',
        })
      ).text();
    expect(await ask((await as()).credentials)).toMatch(/assumed-role\/app-/);
    expect(await ask(host.identity.administrator)).toContain(`${account}:root`);
  });
});

describe('a KMS key', () => {
  const owner = allow('kms:*', '*', { Principal: { AWS: `arn:aws:iam::${account}:root` } });
  const key = async (...statements: object[]) => {
    const { attributes } = await make('AWS::KMS::Key', { KeyPolicy: document(...statements) });
    return String(attributes?.Arn);
  };
  const encrypted = async (keyArn: string) =>
    (
      await make('AWS::S3::Bucket', {
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [
            { ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: keyArn } },
          ],
        },
      })
    ).ref;
  const put = (Bucket: string, rest: object = {}) => new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...rest });

  it('is used by S3 in the name of its caller, who needs the permission', async () => {
    const arn = await key(owner);
    const Bucket = await encrypted(arn);
    const get = new GetObjectCommand({ Bucket, Key: 'k' });
    const s3 = allow('s3:*');
    const refused = await refusal(new S3Client(await as(s3)).send(put(Bucket)));
    expect(refused).toMatchObject({ code: 'AccessDenied', status: 403 });
    expect(refused.message).toContain(`kms:GenerateDataKey on resource: ${arn} because no identity-based policy`);
    const writer = new S3Client(await as(s3, allow('kms:GenerateDataKey', arn)));
    await writer.send(put(Bucket));
    expect((await refusal(writer.send(get))).message).toContain(`kms:Decrypt on resource: ${arn}`);
    await writer.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
    const { UploadId } = await writer.send(new CreateMultipartUploadCommand({ Bucket, Key: 'm' }));
    const part = new UploadPartCommand({ Bucket, Key: 'm', UploadId, PartNumber: 1, Body: 'x' });
    expect((await refusal(writer.send(part))).message).toContain('kms:Decrypt');
    await new S3Client(await as(s3, allow('kms:Decrypt', arn))).send(get);
    // AWS's own key asks nobody.
    await new S3Client(await as(s3)).send(
      put(Bucket, { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'alias/aws/s3' }),
    );
  });

  it('can be granted by its alias and through one service alone', async () => {
    const arn = await key(owner);
    const Bucket = await encrypted(arn);
    await make('AWS::KMS::Alias', { AliasName: 'alias/granted', TargetKeyId: arn });
    const grant = (alias: string, service: string) =>
      allow(['kms:GenerateDataKey', 'kms:Decrypt'], `arn:aws:kms:${region}:${account}:key/*`, {
        Condition: {
          'ForAnyValue:StringEquals': { 'kms:ResourceAliases': alias },
          StringEquals: { 'kms:ViaService': `${service}.${region}.amazonaws.com` },
        },
      });
    const s3 = allow('s3:*');
    await new S3Client(await as(s3, grant('alias/granted', 's3'))).send(put(Bucket));
    for (const wrong of [grant('alias/other', 's3'), grant('alias/granted', 'sns')]) {
      expect((await refusal(new S3Client(await as(s3, wrong)).send(put(Bucket)))).message).toContain('kms:');
    }
    const direct = await as(grant('alias/granted', 's3'));
    const call = callJson(host.world, direct.credentials, {
      service: 'kms',
      region,
      target: 'TrentService.GenerateDataKey',
      input: { KeyId: arn },
    });
    expect(await refusal(call)).toMatchObject({ code: 'AccessDeniedException', status: 400 });
  });

  it('that does not name the account is closed to all policies but its own', async () => {
    const friend = await role([allow('s3:*')]);
    const arn = await key(allow('kms:*', '*', { Principal: { AWS: friend } }));
    const Bucket = await encrypted(arn);
    const refused = await refusal(new S3Client(await as(allow(['s3:*', 'kms:*']))).send(put(Bucket)));
    expect(refused.message).toContain(`${arn} because no resource-based policy allows the kms:GenerateDataKey action`);
    const credentials = host.world.credentialsFor(friend, 'session');
    await new S3Client({ ...host.client(region), credentials }).send(put(Bucket));
  });

  it('is needed for what topics, queues and secrets encrypt', async () => {
    const arn = await key(owner);
    const topic = await make('AWS::SNS::Topic', { TopicName: 'sealed', KmsMasterKeyId: arn });
    const queue = await make('AWS::SQS::Queue', { QueueName: 'sealed', KmsMasterKeyId: arn });
    await make('AWS::SecretsManager::Secret', { Name: 'sealed', SecretString: 'x', KmsKeyId: arn });
    const use = allow(['kms:GenerateDataKey', 'kms:Decrypt'], arn);
    const publish = async (...statements: object[]) =>
      sendSigned(host.world, (await as(...statements)).credentials, {
        service: 'sns',
        region,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: String(new URLSearchParams({ Action: 'Publish', TopicArn: topic.ref, Message: 'm' })),
      });
    const send = async (...statements: object[]) =>
      callJson(host.world, (await as(...statements)).credentials, {
        service: 'sqs',
        region,
        target: 'AmazonSQS.SendMessage',
        input: { QueueUrl: queue.ref, MessageBody: 'm' },
      });
    const read = async (...statements: object[]) =>
      new SecretsManagerClient(await as(...statements)).send(new GetSecretValueCommand({ SecretId: 'sealed' }));
    for (const [call, action, code] of [
      [publish, 'sns:Publish', 'KMSAccessDenied'],
      [send, 'sqs:SendMessage', 'KmsAccessDenied'],
      [read, 'secretsmanager:GetSecretValue', 'AccessDeniedException'],
    ] as const) {
      expect((await refusal(call())).message).toContain(action);
      const refused = await refusal(call(allow(action)));
      expect(refused.message).toContain(`on resource: ${arn}`);
      // Errors of the Query protocol come as XML.
      expect(refused.code === code || refused.message.includes(code)).toBe(true);
      await call(allow(action), use);
    }
  });
});

describe('a call with several resources', () => {
  it('takes each of them', async () => {
    for (const Name of ['/a', '/b']) await make('AWS::SSM::Parameter', { Name, Type: 'String', Value: 'x' });
    const client = new SSMClient(await as(allow('ssm:GetParameters', `arn:aws:ssm:${region}:${account}:parameter/a`)));
    await client.send(new GetParametersCommand({ Names: ['/a'] }));
    const refused = await refusal(client.send(new GetParametersCommand({ Names: ['/a', '/b'] })));
    expect(refused.message).toContain('parameter/b ');
  });
});
