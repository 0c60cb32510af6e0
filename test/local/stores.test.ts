import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import {
  GetParameterCommand,
  GetParametersByPathCommand,
  GetParametersCommand,
  PutParameterCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallContext, Facade, MadeResource, ResourceContext } from '../../local/facade.ts';
import { createIam } from '../../local/facades/iam.ts';
import { createInert } from '../../local/facades/inert.ts';
import { createKms } from '../../local/facades/kms.ts';
import { createSecretsManager } from '../../local/facades/secrets-manager.ts';
import { createSqs } from '../../local/facades/sqs.ts';
import { createSsm } from '../../local/facades/ssm.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-north-1';
const other = 'us-east-1';
let directory: string;
let host: Host;
let secrets: SecretsManagerClient;
let ssm: SSMClient;
let iam: ReturnType<typeof createIam>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'stores-test-'));
  host = await startHost({ directory, regions: [region, other] });
  for (const create of [createSecretsManager, createSsm, createKms, createSqs]) host.add(create(host.world));
  iam = host.add(createIam(host.world));
  host.add(createInert());
  secrets = new SecretsManagerClient(host.client(region));
  ssm = new SSMClient(host.client(region));
});

afterAll(async () => {
  await host.close();
  rmSync(directory, { recursive: true, force: true });
});

const make = async (type: string, properties: object, logicalId = 'It', where = region): Promise<MadeResource> => {
  const facade = host.facades.find(({ resources }) => resources && type in resources) as Facade;
  const context: ResourceContext = {
    region: where,
    stack: 'app',
    logicalId,
    generatedName: `app-${logicalId}-0123456789AB`,
    assembly: directory,
  };
  return (await facade.resources?.[type]?.(properties, context)) as MadeResource;
};

/** An operation called in process, for services whose client is not installed. */
const call = async (service: string, operation: string, input: object, where = region): Promise<any> => {
  const context: CallContext = { region: where, principal: { arn: 'arn:aws:iam::111122223333:root' }, requestId: '1' };
  return host.facades.find((facade) => facade.service === service)?.operations?.[operation]?.(input, context);
};

describe('Secrets Manager', () => {
  it('keeps versions, found by name, ARN and partial ARN', async () => {
    const created = await secrets.send(new CreateSecretCommand({ Name: 'db/primary', SecretString: 'one' }));
    expect(created.ARN).toMatch(/^arn:aws:secretsmanager:eu-north-1:111122223333:secret:db\/primary-[A-Za-z0-9]{6}$/);
    await secrets.send(new PutSecretValueCommand({ SecretId: 'db/primary', SecretString: 'two' }));
    const partial = created.ARN?.slice(0, -7);
    for (const SecretId of ['db/primary', created.ARN, partial])
      expect((await secrets.send(new GetSecretValueCommand({ SecretId }))).SecretString).toBe('two');
    const previous = new GetSecretValueCommand({ SecretId: 'db/primary', VersionStage: 'AWSPREVIOUS' });
    expect((await secrets.send(previous)).SecretString).toBe('one');
    await secrets.send(new PutSecretValueCommand({ SecretId: 'db/primary', SecretString: 'three' }));
    expect((await secrets.send(previous)).SecretString).toBe('two');
    const { VersionIdsToStages } = await secrets.send(new DescribeSecretCommand({ SecretId: 'db/primary' }));
    expect(
      Object.values(VersionIdsToStages ?? {})
        .flat()
        .sort(),
    ).toEqual(['AWSCURRENT', 'AWSPREVIOUS']);
  });

  it('keeps bytes', async () => {
    const SecretBinary = Uint8Array.of(0, 255, 128);
    await secrets.send(new CreateSecretCommand({ Name: 'bytes', SecretBinary }));
    const { SecretBinary: read } = await secrets.send(new GetSecretValueCommand({ SecretId: 'bytes' }));
    expect(Buffer.from(read ?? [])).toEqual(Buffer.from(SecretBinary));
  });

  it('refuses what is not there or exists, and does not see other regions', async () => {
    await expect(secrets.send(new GetSecretValueCommand({ SecretId: 'none' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    await expect(secrets.send(new CreateSecretCommand({ Name: 'db/primary' }))).rejects.toMatchObject({
      name: 'ResourceExistsException',
    });
    const elsewhere = new SecretsManagerClient(host.client(other));
    expect((await elsewhere.send(new ListSecretsCommand({}))).SecretList).toEqual([]);
  });

  it('makes secrets from templates: generated passwords, replicas', async () => {
    const { ref } = await make('AWS::SecretsManager::Secret', {
      Name: 'made',
      GenerateSecretString: {
        SecretStringTemplate: '{"username":"u"}',
        GenerateStringKey: 'password',
        PasswordLength: 20,
        ExcludePunctuation: true,
      },
      ReplicaRegions: [{ Region: other }],
    });
    const replica = await new SecretsManagerClient(host.client(other)).send(
      new GetSecretValueCommand({ SecretId: 'made' }),
    );
    expect(JSON.parse(replica.SecretString ?? '')).toEqual({
      username: 'u',
      password: expect.stringMatching(/^\w{20}$/),
    });
    expect(replica.ARN).toBe(ref.replace(region, other));
    await expect(make('AWS::SecretsManager::Secret', { Rotation: 1 })).rejects.toThrow(/Secret app\/It: .*Rotation/);
  });

  it('records calls without the secrets', () => {
    const recorded = host.ledger.calls().filter(({ service }) => service === 'secretsmanager');
    expect(recorded.length).toBeGreaterThan(5);
    expect(JSON.stringify(recorded)).not.toMatch(/"two"|SecretString|SecretBinary/);
  });
});

describe('Parameter Store', () => {
  it('keeps versions', async () => {
    await ssm.send(new PutParameterCommand({ Name: '/a/b', Value: '1', Type: 'String' }));
    await expect(ssm.send(new PutParameterCommand({ Name: '/a/b', Value: '2', Type: 'String' }))).rejects.toMatchObject(
      {
        name: 'ParameterAlreadyExists',
      },
    );
    await ssm.send(new PutParameterCommand({ Name: '/a/b', Value: '2', Overwrite: true }));
    const read = async (Name: string) => (await ssm.send(new GetParameterCommand({ Name }))).Parameter?.Value;
    expect(await read('/a/b')).toBe('2');
    expect(await read('/a/b:1')).toBe('1');
    expect(await read('arn:aws:ssm:eu-north-1:111122223333:parameter/a/b')).toBe('2');
  });

  it('lists by path, in pages, and names what is not there', async () => {
    for (const name of ['/p/1', '/p/2', '/p/sub/3', '/px'])
      await make('AWS::SSM::Parameter', { Name: name, Type: 'String', Value: 'v' });
    const page1 = await ssm.send(new GetParametersByPathCommand({ Path: '/p', Recursive: true, MaxResults: 2 }));
    const page2 = await ssm.send(
      new GetParametersByPathCommand({ Path: '/p', Recursive: true, MaxResults: 2, NextToken: page1.NextToken }),
    );
    const names = [...(page1.Parameters ?? []), ...(page2.Parameters ?? [])].map(({ Name }) => Name);
    expect(names).toEqual(['/p/1', '/p/2', '/p/sub/3']);
    expect(page2.NextToken).toBeUndefined();
    expect((await ssm.send(new GetParametersByPathCommand({ Path: '/p/' }))).Parameters).toHaveLength(2);
    const some = await ssm.send(new GetParametersCommand({ Names: ['/p/1', '/p/9'] }));
    expect([some.Parameters?.length, some.InvalidParameters]).toEqual([1, ['/p/9']]);
  });

  it('refuses values that do not fit the tier', async () => {
    const Value = 'x'.repeat(5000);
    await expect(make('AWS::SSM::Parameter', { Name: '/big', Type: 'String', Value })).rejects.toThrow(/4096/);
    await expect(
      make('AWS::SSM::Parameter', { Name: '/big', Type: 'String', Value, Tier: 'Advanced' }),
    ).resolves.toMatchObject({ ref: '/big' });
  });
});

describe('KMS', () => {
  const keyPolicy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'kms:*', Resource: '*' }],
  };
  const encrypt = (KeyId: string, EncryptionContext?: object, where = region) =>
    call('kms', 'Encrypt', { KeyId, Plaintext: Buffer.from('secret').toString('base64'), EncryptionContext }, where);
  const decrypt = async (blob: Buffer, EncryptionContext?: object, where = region): Promise<string> => {
    const input = { CiphertextBlob: blob.toString('base64'), EncryptionContext };
    return (await call('kms', 'Decrypt', input, where)).Plaintext.toString();
  };

  it('encrypts under the key and the encryption context', async () => {
    const { ref, attributes } = await make('AWS::KMS::Key', { EnableKeyRotation: true });
    await make('AWS::KMS::Alias', { AliasName: 'alias/own', TargetKeyId: attributes?.Arn });
    const { CiphertextBlob, KeyId } = await encrypt('alias/own', { a: '1', b: '2' });
    expect(KeyId).toBe(attributes?.Arn);
    expect(CiphertextBlob.includes('secret')).toBe(false);
    expect(await decrypt(CiphertextBlob, { b: '2', a: '1' })).toBe('secret');
    await expect(decrypt(CiphertextBlob, { a: '1' })).rejects.toMatchObject({ code: 'InvalidCiphertextException' });
    const altered = Buffer.from(CiphertextBlob);
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    await expect(decrypt(altered, { a: '1', b: '2' })).rejects.toMatchObject({ code: 'InvalidCiphertextException' });
    const { KeyMetadata } = await call('kms', 'DescribeKey', { KeyId: ref });
    expect(KeyMetadata).toMatchObject({ Arn: attributes?.Arn, MultiRegion: false, KeyState: 'Enabled' });
  });

  it('shares a multi-region key with its replica only', async () => {
    const primary = await make('AWS::KMS::Key', { MultiRegion: true });
    const { CiphertextBlob } = await encrypt(primary.ref);
    await expect(decrypt(CiphertextBlob, undefined, other)).rejects.toMatchObject({ code: 'NotFoundException' });
    const replica = await make(
      'AWS::KMS::ReplicaKey',
      { PrimaryKeyArn: primary.attributes?.Arn, KeyPolicy: keyPolicy },
      'R',
      other,
    );
    expect(replica.ref).toBe(primary.ref);
    expect(await decrypt(CiphertextBlob, undefined, other)).toBe('secret');
  });

  it('gives data keys that it can open', async () => {
    const { Plaintext, CiphertextBlob } = await call('kms', 'GenerateDataKey', {
      KeyId: 'alias/aws/s3',
      KeySpec: 'AES_256',
    });
    expect(Plaintext).toHaveLength(32);
    const opened = await call('kms', 'Decrypt', { CiphertextBlob: CiphertextBlob.toString('base64') });
    expect(opened.Plaintext.equals(Plaintext)).toBe(true);
  });
});

describe('IAM', () => {
  const document = (Action: string) => ({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action, Resource: '*' }],
  });
  const AssumeRolePolicyDocument = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' }],
  };

  it('keeps the policies of a role: inline, attached, managed by AWS', async () => {
    const { ref, attributes } = await make('AWS::IAM::Role', {
      RoleName: 'worker',
      AssumeRolePolicyDocument,
      Policies: [{ PolicyName: 'inline', PolicyDocument: document('s3:GetObject') }],
      ManagedPolicyArns: ['arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole'],
    });
    await make('AWS::IAM::Policy', { PolicyName: 'default', PolicyDocument: document('s3:PutObject'), Roles: [ref] });
    expect(iam.policiesOf(attributes?.Arn as string)?.map(({ name }) => name)).toEqual([
      'inline',
      'AWSLambdaBasicExecutionRole',
      'default',
    ]);
    expect(iam.policiesOf('arn:aws:iam::111122223333:role/none')).toBeUndefined();
  });

  it('refuses what would silently grant nothing', async () => {
    await expect(make('AWS::IAM::Role', { RoleName: 'worker', AssumeRolePolicyDocument })).rejects.toThrow(
      /exists already/,
    );
    await expect(
      make('AWS::IAM::Role', { AssumeRolePolicyDocument, ManagedPolicyArns: ['arn:aws:iam::aws:policy/Odd'] }),
    ).rejects.toThrow(/Odd is not known/);
    await expect(make('AWS::IAM::Policy', { PolicyName: 'p', PolicyDocument: {}, Roles: ['none'] })).rejects.toThrow(
      /no role none/,
    );
    await expect(make('AWS::IAM::Policy', { PolicyName: 'p', PolicyDocument: {}, Users: ['u'] })).rejects.toThrow(
      /users/,
    );
  });
});

describe('SQS', () => {
  it('hides a received message until it is deleted or its time is over', async () => {
    const { ref: QueueUrl } = await make('AWS::SQS::Queue', { QueueName: 'dead', VisibilityTimeout: 1 });
    await call('sqs', 'SendMessage', { QueueUrl, MessageBody: 'lost' });
    const first = await call('sqs', 'ReceiveMessage', { QueueUrl });
    expect(first.Messages).toMatchObject([{ Body: 'lost', Attributes: { ApproximateReceiveCount: '1' } }]);
    expect(await call('sqs', 'ReceiveMessage', { QueueUrl })).toEqual({});
    const again = await call('sqs', 'ReceiveMessage', { QueueUrl, WaitTimeSeconds: 3 });
    expect(again.Messages).toMatchObject([{ Body: 'lost', Attributes: { ApproximateReceiveCount: '2' } }]);
    await call('sqs', 'DeleteMessage', { QueueUrl, ReceiptHandle: again.Messages[0].ReceiptHandle });
    const { Attributes } = await call('sqs', 'GetQueueAttributes', { QueueUrl });
    expect(Attributes).toMatchObject({ ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' });
    await expect(call('sqs', 'SendMessage', { QueueUrl: 'http://x/none', MessageBody: 'm' })).rejects.toMatchObject({
      code: 'QueueDoesNotExist',
    });
  });
});

describe('resources without behaviour', () => {
  it('have the ids and attributes that others refer to, the same at every start', async () => {
    const vpc = await make('AWS::EC2::VPC', { CidrBlock: '10.0.0.0/16' }, 'Vpc');
    expect(vpc).toMatchObject({
      ref: expect.stringMatching(/^vpc-[\da-f]{17}$/),
      attributes: { CidrBlock: '10.0.0.0/16' },
    });
    expect(await make('AWS::EC2::VPC', {}, 'Vpc')).toMatchObject({ ref: vpc.ref });
    expect((await make('AWS::EC2::SecurityGroup', { VpcId: vpc.ref }, 'Sg')).attributes).toMatchObject({
      VpcId: vpc.ref,
      GroupId: expect.stringMatching(/^sg-/),
    });
  });
});
