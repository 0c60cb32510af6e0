import {
  AwsError,
  type CallContext,
  type ConditionValues,
  type Facade,
  type Operation,
  type ResourceMaker,
  type World,
} from '../facade.ts';
import { authorizer, parseArn } from '../runtime/api.ts';
import { type DynamoStore, startDynamoStore } from '../runtime/dynamodb-store.ts';
import { readGlobalTable, readTable, type Table } from '../runtime/dynamodb-table.ts';
import { OPERATIONS, readTransactItems, transact } from '../runtime/dynamodb-transaction.ts';

const EXPRESSIONS = ['ExpressionAttributeNames', 'ExpressionAttributeValues'];
const ANSWERS = ['ReturnConsumedCapacity', 'ReturnItemCollectionMetrics'];
const CONDITIONAL = [...EXPRESSIONS, ...ANSWERS, 'ConditionExpression', 'ReturnValuesOnConditionCheckFailure'];
const READ = ['ConsistentRead', 'ExpressionAttributeNames', 'ProjectionExpression', 'ReturnConsumedCapacity'];
const PAGE = [
  ...READ,
  'ExclusiveStartKey',
  'ExpressionAttributeValues',
  'FilterExpression',
  'IndexName',
  'Limit',
  'Select',
];

/** What each operation on a table may be told. The parameters from before expressions are not offered. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  GetItem: ['TableName', 'Key', ...READ],
  PutItem: ['TableName', 'Item', 'ReturnValues', ...CONDITIONAL],
  UpdateItem: ['TableName', 'Key', 'ReturnValues', 'UpdateExpression', ...CONDITIONAL],
  DeleteItem: ['TableName', 'Key', 'ReturnValues', ...CONDITIONAL],
  Query: ['TableName', 'KeyConditionExpression', 'ScanIndexForward', ...PAGE],
  Scan: ['TableName', 'Segment', 'TotalSegments', ...PAGE],
};

/**
 * DynamoDB: tables in memory, kept by dynalite; transactions are made here of its operations. Items past their time to
 * live stay, as DynamoDB lets them for days.
 */
export function createDynamoDb(world: World): Facade {
  const tables = new Map<string, Table>();
  const stores = new Map<string, Promise<DynamoStore>>();
  const tokens = new Map<string, string>();
  const authorize = authorizer(world, 'dynamodb');

  const storeOf = (region: string): Promise<DynamoStore> => {
    const store = stores.get(region) ?? startDynamoStore();
    stores.set(region, store);
    return store;
  };
  /** A table by name or ARN. */
  const arnOf = (nameOrArn: unknown, region: string): string =>
    String(nameOrArn).startsWith('arn:')
      ? String(nameOrArn)
      : `arn:aws:dynamodb:${region}:${world.account}:table/${nameOrArn}`;
  const tableOf = (nameOrArn: unknown, region: string): Table => {
    const table = tables.get(arnOf(nameOrArn, region));
    if (table && parseArn(table.arn).region === region) return table;
    throw new AwsError('ResourceNotFoundException', 'Requested resource not found');
  };
  const onlyKnown = (operation: string, input: object, known: readonly string[]): void => {
    const unknown = Object.keys(input).find((name) => !known.includes(name));
    if (unknown) throw new AwsError('ValidationException', `${operation}: this cloud does not know ${unknown}.`);
  };
  /** What is recorded of a call: no values of items. */
  const shown = ({ TableName, Key, IndexName, ConditionExpression, UpdateExpression }: any) =>
    Object.fromEntries(
      Object.entries({ TableName, Key, IndexName, ConditionExpression, UpdateExpression }).filter(([, value]) => value),
    );

  const carryOut = async (operation: string, input: any, table: Table): Promise<Record<string, any>> => {
    const { ReturnValuesOnConditionCheckFailure: wanted, ...parameters } = input;
    const store = await storeOf(table.region);
    return store.alone(async (call) => {
      try {
        return await call(operation, { ...parameters, TableName: table.name });
      } catch (error) {
        const { code, message } = error as AwsError;
        if (code !== 'ConditionalCheckFailedException' || wanted !== 'ALL_OLD') throw error;
        const holder = input.Key ?? input.Item;
        const Key = Object.fromEntries(table.keys.map((name) => [name, holder[name]]));
        const { Item } = await call('GetItem', { TableName: table.name, Key, ConsistentRead: true });
        throw new AwsError(code, message, 400, { Item });
      }
    });
  };

  /** The partition key of the one item that a call is about. */
  const leadingKeys = (input: any, arn: string): ConditionValues => {
    const value = (input.Key ?? input.Item)?.[tables.get(arn)?.keys[0] ?? ''];
    return value ? { 'dynamodb:LeadingKeys': [String(Object.values(value)[0])] } : {};
  };

  const onTable = (operation: string): Operation => {
    return async (input, context) => {
      const arn = arnOf(input.TableName, context.region);
      const resource = input.IndexName ? `${arn}/index/${input.IndexName}` : arn;
      await authorize(context, { operation, resource, input: shown(input), conditions: leadingKeys(input, arn) });
      onlyKnown(operation, input, PARAMETERS[operation] ?? []);
      return carryOut(operation, input, tableOf(input.TableName, context.region));
    };
  };

  /** Authorises a call that touches several tables, for each of them under its own action. */
  const authorizeEach = async (operation: string, context: CallContext, uses: [action: string, table: unknown][]) => {
    const needs = uses.map(([action, table]) => ({ action, resource: arnOf(table, context.region) }));
    const [first, ...others] = needs;
    const also = others.map(({ action, resource }) => ({ action: `dynamodb:${action}`, resource }));
    const input = { TableNames: [...new Set(uses.map(([, table]) => table))] };
    await authorize(context, { operation, action: first?.action, resource: first?.resource ?? '*', input, also });
  };

  const batch = (operation: 'BatchGetItem' | 'BatchWriteItem'): Operation => {
    return async (input, context) => {
      onlyKnown(operation, input, ['RequestItems', ...ANSWERS]);
      const names = Object.keys(input.RequestItems ?? {});
      await authorizeEach(
        operation,
        context,
        names.map((name) => [operation, name]),
      );
      for (const name of names) tableOf(name, context.region);
      return (await storeOf(context.region)).call(operation, input);
    };
  };

  const operations: Readonly<Record<string, Operation>> = {
    ...Object.fromEntries(Object.keys(PARAMETERS).map((operation) => [operation, onTable(operation)])),
    BatchGetItem: batch('BatchGetItem'),
    BatchWriteItem: batch('BatchWriteItem'),

    TransactWriteItems: async (input, context) => {
      onlyKnown('TransactWriteItems', input, ['ClientRequestToken', 'TransactItems', ...ANSWERS]);
      const uses = (input.TransactItems ?? []).flatMap((item: any) =>
        Object.entries(item).map(([kind, one]: [string, any]) => [
          OPERATIONS[kind as keyof typeof OPERATIONS]?.action ?? kind,
          one.TableName,
        ]),
      );
      await authorizeEach('TransactWriteItems', context, uses);
      for (const item of input.TransactItems ?? [])
        for (const [kind, one] of Object.entries<any>(item)) {
          const { operation } = OPERATIONS[kind as keyof typeof OPERATIONS] ?? {};
          onlyKnown(kind, one, operation ? (PARAMETERS[operation] ?? []) : []);
        }
      const items = readTransactItems(input.TransactItems, (name) => tableOf(name, context.region).keys).map(
        (item) => ({
          ...item,
          input: { ...item.input, TableName: tableOf(item.input.TableName, context.region).name },
        }),
      );
      const token = input.ClientRequestToken && `${context.region} ${input.ClientRequestToken}`;
      const request = JSON.stringify(input.TransactItems);
      return (await storeOf(context.region)).alone(async (call) => {
        // DynamoDB remembers a token for ten minutes; here for good.
        const earlier = token && tokens.get(token);
        if (earlier && earlier !== request)
          throw new AwsError('IdempotentParameterMismatchException', 'The token was used for another transaction.');
        if (earlier) return {};
        await transact(call, items);
        if (token) tokens.set(token, request);
        return {};
      });
    },

    TransactGetItems: async (input, context) => {
      onlyKnown('TransactGetItems', input, ['TransactItems', 'ReturnConsumedCapacity']);
      const gets: any[] = (input.TransactItems ?? []).map(({ Get }: any) => Get);
      await authorizeEach(
        'TransactGetItems',
        context,
        gets.map(({ TableName }) => ['GetItem', TableName]),
      );
      const found = gets.map((get) => ({ ...get, TableName: tableOf(get.TableName, context.region).name }));
      return (await storeOf(context.region)).alone(async (call) => {
        const Responses: unknown[] = [];
        for (const get of found) Responses.push(await call('GetItem', { ...get, ConsistentRead: true }));
        return { Responses };
      });
    },

    DescribeTable: async (input, context) => {
      await authorize(context, { operation: 'DescribeTable', resource: arnOf(input.TableName, context.region), input });
      const { name, arn, deletionProtection } = tableOf(input.TableName, context.region);
      const { Table: described } = await (await storeOf(context.region)).call('DescribeTable', { TableName: name });
      return { Table: { ...described, TableArn: arn, DeletionProtectionEnabled: deletionProtection } };
    },

    ListTables: async (input, context) => {
      await authorize(context, { operation: 'ListTables', resource: '*', input });
      const names = [...tables.values()].filter(({ region }) => region === context.region).map(({ name }) => name);
      return { TableNames: names.sort() };
    },

    DescribeTimeToLive: async (input, context) => {
      const resource = arnOf(input.TableName, context.region);
      await authorize(context, { operation: 'DescribeTimeToLive', resource, input });
      const { timeToLive } = tableOf(input.TableName, context.region);
      return {
        TimeToLiveDescription: timeToLive
          ? { TimeToLiveStatus: 'ENABLED', AttributeName: timeToLive }
          : { TimeToLiveStatus: 'DISABLED' },
      };
    },
  };

  const make =
    (type: string, read: typeof readTable): ResourceMaker =>
    async (properties, context) => {
      const { table, creation } = read(properties, context, world.account);
      if (tables.has(table.arn)) throw new Error(`${type} ${table.name} exists already in ${context.region}`);
      const store = await storeOf(context.region);
      await store.call('CreateTable', creation);
      await becomesActive(store, table.name);
      tables.set(table.arn, table);
      return { ref: table.name, attributes: { Arn: table.arn, TableId: table.name } };
    };

  return {
    service: 'dynamodb',
    operations,
    resources: {
      'AWS::DynamoDB::Table': make('AWS::DynamoDB::Table', readTable),
      'AWS::DynamoDB::GlobalTable': make('AWS::DynamoDB::GlobalTable', readGlobalTable),
    },
    close: async () => {
      for (const store of stores.values()) await (await store).close();
    },
  };
}

/** dynalite has a table ready in its next turn. */
async function becomesActive(store: DynamoStore, name: string): Promise<void> {
  for (;;) {
    const { Table: described } = await store.call('DescribeTable', { TableName: name });
    if (described.TableStatus === 'ACTIVE') return;
  }
}
