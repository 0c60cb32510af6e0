import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  TransactGetItemsCommand,
  TransactWriteItemsCommand,
  type TransactWriteItemsCommandInput,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Facade, ResourceContext } from '../../local/facade.ts';
import { createDynamoDb } from '../../local/facades/dynamodb.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-central-1';
const other = 'eu-north-1';
const root = mkdtempSync(join(tmpdir(), 'dynamodb-test-'));
const about: ResourceContext = { region, stack: 'Stack', logicalId: 'Table', generatedName: 'made-up', assembly: root };
const TableName = 'roles';
let host: Host;
let dynamodb: Facade;
let client: DynamoDBClient;
let elsewhere: DynamoDBClient;

const SIMPLE = {
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
  BillingMode: 'PAY_PER_REQUEST',
};
const make = async (properties: object, type = 'Table', context = about) =>
  dynamodb.resources?.[`AWS::DynamoDB::${type}`]?.(properties, context);
const put = (id: string, rest: object = {}, more: object = {}) =>
  client.send(new PutItemCommand({ TableName, Item: { id: { S: id }, ...rest }, ...more }));
const get = async (id: string, more: object = {}) =>
  (await client.send(new GetItemCommand({ TableName, Key: { id: { S: id } }, ConsistentRead: true, ...more }))).Item;
const transact = (...TransactItems: NonNullable<TransactWriteItemsCommandInput['TransactItems']>) =>
  client.send(new TransactWriteItemsCommand({ TransactItems }));

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region, other] });
  dynamodb = host.add(createDynamoDb(host.world));
  client = new DynamoDBClient({ ...host.client(region), maxAttempts: 1 });
  elsewhere = new DynamoDBClient({ ...host.client(other), maxAttempts: 1 });
  const ttl = { TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true } };
  expect(await make({ ...SIMPLE, ...ttl, TableName, SSESpecification: { SSEEnabled: true } })).toMatchObject({
    ref: 'roles',
    attributes: { Arn: `arn:aws:dynamodb:${region}:111122223333:table/roles` },
  });
  await make({ ...SIMPLE, TableName }, 'Table', { ...about, region: other });
  await make({
    TableName: 'events',
    AttributeDefinitions: ['db', 'at', 'kind'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    KeySchema: [
      { AttributeName: 'db', KeyType: 'HASH' },
      { AttributeName: 'at', KeyType: 'RANGE' },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'by-kind',
        KeySchema: [{ AttributeName: 'kind', KeyType: 'HASH' }],
        Projection: { ProjectionType: 'ALL' },
      },
    ],
    BillingMode: 'PAY_PER_REQUEST',
  });
});

afterAll(async () => {
  client.destroy();
  elsewhere.destroy();
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

describe('an item', () => {
  it('is put, read, updated by expressions and deleted', async () => {
    await put('a', { n: { N: '1' }, m: { M: { x: { L: [{ S: 'y' }] } } }, b: { B: new Uint8Array([1, 2]) } });
    expect(await get('a')).toEqual({
      id: { S: 'a' },
      n: { N: '1' },
      m: { M: { x: { L: [{ S: 'y' }] } } },
      b: { B: new Uint8Array([1, 2]) },
    });
    expect(await get('a', { ProjectionExpression: '#m.x[0]', ExpressionAttributeNames: { '#m': 'm' } })).toEqual({
      m: { M: { x: { L: [{ S: 'y' }] } } },
    });
    const { Attributes } = await client.send(
      new UpdateItemCommand({
        TableName,
        Key: { id: { S: 'a' } },
        UpdateExpression:
          'SET n = n + :one, t = if_not_exists(t, :now), m.x = list_append(m.x, :more) REMOVE b ADD tags :tags',
        ExpressionAttributeValues: {
          ':one': { N: '1' },
          ':now': { S: 'now' },
          ':more': { L: [{ S: 'z' }] },
          ':tags': { SS: ['red'] },
        },
        ReturnValues: 'ALL_NEW',
      }),
    );
    expect(Attributes).toEqual({
      id: { S: 'a' },
      n: { N: '2' },
      t: { S: 'now' },
      m: { M: { x: { L: [{ S: 'y' }, { S: 'z' }] } } },
      tags: { SS: ['red'] },
    });
    await client.send(new DeleteItemCommand({ TableName, Key: { id: { S: 'a' } } }));
    expect(await get('a')).toBeUndefined();
  });

  it('is written under a condition only while that holds, and shows what was there instead', async () => {
    const Item = { epoch: { N: '4' }, holder: { S: 'x' } };
    const absent = { ConditionExpression: 'attribute_not_exists(id)' };
    await put('lease', Item, absent);
    await expect(put('lease', Item, absent)).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' });
    const take = (holder: string, epoch: number) =>
      client.send(
        new UpdateItemCommand({
          TableName,
          Key: { id: { S: 'lease' } },
          UpdateExpression: 'SET holder = :holder, epoch = epoch + :one',
          ConditionExpression: 'epoch = :epoch AND (holder IN (:old, :holder) OR NOT begins_with(holder, :old))',
          ExpressionAttributeValues: {
            ':holder': { S: holder },
            ':epoch': { N: String(epoch) },
            ':one': { N: '1' },
            ':old': { S: 'x' },
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        }),
      );
    const taken = await Promise.allSettled(['a', 'b', 'c', 'd'].map((holder) => take(holder, 4)));
    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const [refused] = taken.filter((one) => one.status === 'rejected');
    expect(refused?.reason).toMatchObject({
      name: 'ConditionalCheckFailedException',
      Item: { id: { S: 'lease' }, epoch: { N: '5' } },
    });
    expect((await get('lease'))?.epoch).toEqual({ N: '5' });
  });

  it('is refused when it is malformed, in a table that is not there, or by parameters of old', async () => {
    await expect(put('x', { n: { N: 'not a number' } })).rejects.toMatchObject({ name: 'ValidationException' });
    await expect(put('x', {}, { TableName: 'none' })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(put('x', {}, { Expected: { id: { Exists: false } } })).rejects.toThrow(/does not know Expected/);
    await expect(put('x', {}, { ConditionExpression: 'a ==' })).rejects.toThrow(/Syntax error|Invalid/);
  });

  it('is in its own region only', async () => {
    await put('here');
    const { Item } = await elsewhere.send(new GetItemCommand({ TableName, Key: { id: { S: 'here' } } }));
    expect(Item).toBeUndefined();
    const byArn = await get('here', { TableName: `arn:aws:dynamodb:${region}:111122223333:table/roles` });
    expect(byArn).toEqual({ id: { S: 'here' } });
  });
});

describe('many items', () => {
  it('are queried by key and index, in order, page by page', async () => {
    const days = ['01', '02', '03', '04', '05'];
    const requests = days.map((day) => ({
      PutRequest: { Item: { db: { S: 'orders' }, at: { S: day }, kind: { S: Number(day) % 2 ? 'odd' : 'even' } } },
    }));
    await client.send(new BatchWriteItemCommand({ RequestItems: { events: requests } }));
    const query = (more: object) =>
      client.send(
        new QueryCommand({
          TableName: 'events',
          KeyConditionExpression: 'db = :db AND #at BETWEEN :from AND :to',
          ExpressionAttributeNames: { '#at': 'at' },
          ExpressionAttributeValues: { ':db': { S: 'orders' }, ':from': { S: '02' }, ':to': { S: '05' } },
          ...more,
        }),
      );
    const at = (items: any[] | undefined) => items?.map((item) => item.at.S);
    const first = await query({ ScanIndexForward: false, Limit: 3 });
    expect(at(first.Items)).toEqual(['05', '04', '03']);
    const second = await query({ ScanIndexForward: false, Limit: 3, ExclusiveStartKey: first.LastEvaluatedKey });
    expect([at(second.Items), second.LastEvaluatedKey]).toEqual([['02'], undefined]);
    const odd = await client.send(
      new QueryCommand({
        TableName: 'events',
        IndexName: 'by-kind',
        KeyConditionExpression: 'kind = :kind',
        FilterExpression: '#at > :one',
        ExpressionAttributeNames: { '#at': 'at' },
        ExpressionAttributeValues: { ':kind': { S: 'odd' }, ':one': { S: '01' } },
      }),
    );
    expect(at(odd.Items)?.sort()).toEqual(['03', '05']);
    expect((await client.send(new ScanCommand({ TableName: 'events', Select: 'COUNT' }))).Count).toBe(5);
    const key = { db: { S: 'orders' }, at: { S: '01' } };
    const { Responses } = await client.send(new BatchGetItemCommand({ RequestItems: { events: { Keys: [key] } } }));
    expect(at(Responses?.events)).toEqual(['01']);
    const indexed = host.ledger.calls().find(({ input }) => input.IndexName);
    expect(indexed).toMatchObject({
      action: 'dynamodb:Query',
      resource: `arn:aws:dynamodb:${region}:111122223333:table/events/index/by-kind`,
    });
  });
});

describe('a transaction', () => {
  const raise = (id: string, ConditionExpression?: string) => ({
    Update: {
      TableName,
      Key: { id: { S: id } },
      UpdateExpression: 'ADD n :one',
      ExpressionAttributeValues: { ':one': { N: '1' } },
      ConditionExpression,
    },
  });

  it('does everything', async () => {
    await put('t1', { n: { N: '1' } });
    await put('t2');
    await transact(
      raise('t1'),
      { Delete: { TableName, Key: { id: { S: 't2' } } } },
      { Put: { TableName, Item: { id: { S: 't3' } } } },
      {
        ConditionCheck: { TableName, Key: { id: { S: 'here' } }, ConditionExpression: 'attribute_exists(id)' },
      },
    );
    expect([await get('t1'), await get('t2'), await get('t3'), await get('here')]).toEqual([
      { id: { S: 't1' }, n: { N: '2' } },
      undefined,
      { id: { S: 't3' } },
      { id: { S: 'here' } },
    ]);
    const call = host.ledger.calls().at(-5);
    expect(call).toMatchObject({ operation: 'TransactWriteItems', action: 'dynamodb:UpdateItem' });
    expect(call?.needs?.map(({ action }) => action)).toEqual([
      'dynamodb:UpdateItem',
      'dynamodb:DeleteItem',
      'dynamodb:PutItem',
      'dynamodb:ConditionCheckItem',
    ]);
  });

  it('does nothing when one condition fails, and says which', async () => {
    await put('u1', { n: { N: '1' } });
    await put('u2', { n: { N: '7' } });
    await expect(
      transact(
        raise('u1'),
        { Put: { TableName, Item: { id: { S: 'u3' } } } },
        {
          Delete: {
            TableName,
            Key: { id: { S: 'u2' } },
            ConditionExpression: 'attribute_not_exists(id)',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
        },
      ),
    ).rejects.toMatchObject({
      name: 'TransactionCanceledException',
      message: expect.stringContaining('[None, None, ConditionalCheckFailed]'),
      CancellationReasons: [
        { Code: 'None' },
        { Code: 'None' },
        { Code: 'ConditionalCheckFailed', Item: { id: { S: 'u2' }, n: { N: '7' } } },
      ],
    });
    expect([await get('u1'), await get('u2'), await get('u3')]).toEqual([
      { id: { S: 'u1' }, n: { N: '1' } },
      { id: { S: 'u2' }, n: { N: '7' } },
      undefined,
    ]);
  });

  it('is alone: of many that compete, none sees half of another', async () => {
    await put('v1', { n: { N: '0' } });
    await put('v2', { n: { N: '0' } });
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        await transact(raise('v1'), raise('v2'));
        const { Responses } = await client.send(
          new TransactGetItemsCommand({
            TransactItems: ['v1', 'v2'].map((id) => ({ Get: { TableName, Key: { id: { S: id } } } })),
          }),
        );
        const [one, two] = Responses ?? [];
        expect(one?.Item?.n).toEqual(two?.Item?.n);
      }),
    );
    expect((await get('v2'))?.n).toEqual({ N: '10' });
  });

  it('is carried out once under one token', async () => {
    await put('w', { n: { N: '0' } });
    const send = (token: string, ...TransactItems: any[]) =>
      client.send(new TransactWriteItemsCommand({ ClientRequestToken: token, TransactItems }));
    await send('token', raise('w'));
    await send('token', raise('w'));
    expect((await get('w'))?.n).toEqual({ N: '1' });
    await expect(send('token', raise('t1'))).rejects.toMatchObject({ name: 'IdempotentParameterMismatchException' });
    await expect(transact(raise('w'), raise('w'))).rejects.toThrow(/multiple operations on one item/);
  });
});

describe('a table', () => {
  it('is described', async () => {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    expect(Table).toMatchObject({
      TableName,
      TableStatus: 'ACTIVE',
      TableArn: `arn:aws:dynamodb:${region}:111122223333:table/roles`,
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
    });
    const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
    expect(TimeToLiveDescription).toEqual({ TimeToLiveStatus: 'ENABLED', AttributeName: 'expires' });
    expect((await client.send(new ListTablesCommand({}))).TableNames).toEqual(['events', 'roles']);
    expect((await elsewhere.send(new ListTablesCommand({}))).TableNames).toEqual(['roles']);
  });

  it('is refused where this cloud could not keep it as it says', async () => {
    await expect(make({ ...SIMPLE, StreamSpecification: {} })).rejects.toThrow(/StreamSpecification: there are no/);
    await expect(make({ ...SIMPLE, Replicas: [{ Region: region }, { Region: other }] }, 'GlobalTable')).rejects.toThrow(
      /its stack's region only/,
    );
    await expect(make({ ...SIMPLE, TableName })).rejects.toThrow(/exists already/);
    await expect(
      make({ ...SIMPLE, Replicas: [{ Region: region }], TableName: 'single' }, 'GlobalTable'),
    ).resolves.toEqual(expect.objectContaining({ ref: 'single' }));
  });
});
