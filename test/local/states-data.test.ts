import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiCall } from '../../local/facade.ts';
import { createDynamoDb } from '../../local/facades/dynamodb.ts';
import { createS3 } from '../../local/facades/s3.ts';
import type { Host } from '../../local/host.ts';
import type { States as StateDefinitions } from './asl-machines.ts';
import { roleArn, type StatesCloud, startStatesCloud, task } from './states-cloud.ts';

// Tasks and Maps over data that other facades keep.

let cloud: StatesCloud;
let host: Host;

const about: StatesCloud['about'] = (logicalId) => cloud.about(logicalId);
const finish: StatesCloud['finish'] = (definition, input) => cloud.finish(definition, input);

beforeAll(async () => {
  cloud = await startStatesCloud();
  host = cloud.host;
  const s3 = host.add(createS3(host.world));
  await s3.resources?.['AWS::S3::Bucket']?.({ BucketName: 'bucket' }, about('Bucket'));
});

afterAll(() => cloud.close());

describe('dynamodb', () => {
  const item = (id: string) => ({ id: { S: id } });
  const on = (action: string, more: Record<string, unknown>) =>
    task(`arn:aws:states:::dynamodb:${action}`, { TableName: 'table', ...more });

  beforeAll(async () => {
    const dynamoDb = host.add(createDynamoDb(host.world));
    await dynamoDb.resources?.['AWS::DynamoDB::Table']?.(
      {
        TableName: 'table',
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      },
      about('Table'),
    );
  });

  it('puts, updates, gets and deletes items', async () => {
    const Item = { ...item('a'), count: { N: '{% $states.input.n %}' }, list: { L: [{ BOOL: true }, { NULL: true }] } };
    const put = await finish(on('putItem', { Item }), { n: 3 });
    expect(put.outcome).toMatchObject({ status: 'SUCCEEDED', output: {} });
    const ExpressionAttributeValues = { ':one': { N: '1' } };
    const names = { ExpressionAttributeNames: { '#count': 'count' }, ExpressionAttributeValues };
    const UpdateExpression = 'SET #count = #count + :one';
    await finish(on('updateItem', { Key: item('a'), UpdateExpression, ...names }));
    const got = await finish(on('getItem', { Key: item('a'), ConsistentRead: true }));
    expect(got.outcome?.output).toMatchObject({ Item: { ...Item, count: { N: '4' } } });
    await finish(on('deleteItem', { Key: item('a') }));
    expect((await finish(on('getItem', { Key: item('a') }))).outcome?.output).not.toHaveProperty('Item');
  });

  it('fails by name where a condition does not hold', async () => {
    const put = on('putItem', { Item: item('once'), ConditionExpression: 'attribute_not_exists(id)' });
    expect((await finish(put)).outcome?.status).toBe('SUCCEEDED');
    const { outcome } = await finish(put);
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'DynamoDB.ConditionalCheckFailedException' });
    expect(outcome?.cause).toMatch(/\(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: Conditional/);
  });

  it('does the same through aws-sdk, which also transacts', async () => {
    const sdk = (action: string, more: object) => finish(task(`arn:aws:states:::aws-sdk:dynamodb:${action}`, more));
    const holder = (owner: string) => ({
      TableName: 'table',
      Key: item('lease'),
      UpdateExpression: 'SET #owner = :owner ADD epoch :one',
      ConditionExpression: 'attribute_not_exists(#owner) OR #owner = :owner',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: { ':owner': { S: owner }, ':one': { N: '1' } },
    });
    await sdk('updateItem', { ...holder('a'), ReturnValues: 'ALL_NEW' });
    const again = await sdk('updateItem', { ...holder('a'), ReturnValues: 'ALL_NEW' });
    expect(again.outcome?.output).toMatchObject({ Attributes: { owner: { S: 'a' }, epoch: { N: '2' } } });
    const other = await sdk('updateItem', holder('b'));
    expect(other.outcome).toMatchObject({ error: 'DynamoDb.ConditionalCheckFailedException' });
    const transaction = await sdk('transactWriteItems', { TransactItems: [{ Update: holder('b') }] });
    expect(transaction.outcome).toMatchObject({ error: 'DynamoDb.TransactionCanceledException' });
  });
});

describe('a distributed Map', () => {
  const s3 = (action: string, Arguments: Record<string, unknown>) =>
    task(`arn:aws:states:::aws-sdk:s3:${action}`, Arguments);
  const mapOf = (ItemReader: Record<string, unknown>): StateDefinitions => ({
    Each: {
      Type: 'Map',
      ItemReader,
      ItemProcessor: {
        ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
        StartAt: 'One',
        States: { One: { Type: 'Pass', End: true } },
      },
      End: true,
    },
  });

  it('reads its items from S3, as the machine’s role', async () => {
    await finish(s3('putObject', { Bucket: 'bucket', Key: 'items.json', Body: [{ n: 1 }, { n: 2 }] }));
    const calls: ApiCall[] = [];
    const remove = host.intercept((call) => void calls.push(call));
    const Arguments = { Bucket: 'bucket', Key: 'items.json' };
    const { outcome } = await finish(mapOf({ Resource: 'arn:aws:states:::s3:getObject', Arguments }));
    remove();
    expect(outcome).toEqual({ status: 'SUCCEEDED', output: [{ n: 1 }, { n: 2 }] });
    const reads = calls.filter(({ service }) => service === 's3');
    expect(reads).toMatchObject([{ operation: 'GetObject', principal: { roleArn } }]);
  });

  it('maps over the list of objects', async () => {
    for (const Key of ['list/a', 'list/b', 'list/c']) await finish(s3('putObject', { Bucket: 'bucket', Key, Body: 1 }));
    const Arguments = { Bucket: 'bucket', Prefix: 'list/', MaxKeys: 2 };
    const { outcome } = await finish(mapOf({ Resource: 'arn:aws:states:::s3:listObjectsV2', Arguments }));
    expect(outcome?.output).toMatchObject([{ Key: 'list/a', Size: 1 }, { Key: 'list/b' }, { Key: 'list/c' }]);
  });

  it('fails where there is nothing to read', async () => {
    const Arguments = { Bucket: 'bucket', Key: 'missing' };
    const { outcome } = await finish(mapOf({ Resource: 'arn:aws:states:::s3:getObject', Arguments }));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'States.ItemReaderFailed' });
  });
});
