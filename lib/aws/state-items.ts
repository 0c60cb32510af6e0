import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  TransactionCanceledException,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { PgdrError } from '../core/errors.ts';
import { initialRole, mayWrite, type Role, type ServerName } from '../core/failover/role.ts';

/** Items of the state table that failovers share: the role, what probes saw, orders to agents and their word. */

export interface StateItems {
  readonly dynamo: DynamoDBClient;
  readonly table: string;
  readonly database: string;
}

export function openStateItems(table: string, database: string, region?: string): StateItems {
  // A table that does not answer is a reason to stop, and a slow answer helps nobody in a failover.
  const requestHandler = { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true };
  return { table, database, dynamo: new DynamoDBClient({ ...(region && { region }), maxAttempts: 4, requestHandler }) };
}

const idOf = (items: StateItems, what: string): string => `${items.database}/${what}`;

/** A small item as JSON; undefined when there is none. */
export async function readItem<T>(items: StateItems, what: string): Promise<T | undefined> {
  const { Item } = await items.dynamo.send(
    new GetItemCommand({ TableName: items.table, Key: { id: { S: idOf(items, what) } }, ConsistentRead: true }),
  );
  return Item?.value?.S === undefined ? undefined : (JSON.parse(Item.value.S) as T);
}

export async function writeItem(items: StateItems, what: string, value: unknown): Promise<void> {
  await items.dynamo.send(
    new PutItemCommand({
      TableName: items.table,
      Item: { id: { S: idOf(items, what) }, value: { S: JSON.stringify(value) } },
    }),
  );
}

const changeAttempts = 8;

export async function readRole(items: StateItems): Promise<Role> {
  return (await readItem<Role>(items, 'role')) ?? initialRole(items.database);
}

/**
 * Changes the role item: `change` is given what is there and gives what shall be, or throws. It is asked again whenever
 * somebody else was faster, so that what it decided still holds when it is written.
 */
export async function changeRole(items: StateItems, change: (role: Role) => Role): Promise<Role> {
  const id = idOf(items, 'role');
  for (let attempt = 1; ; attempt++) {
    const { Item } = await items.dynamo.send(
      new GetItemCommand({ TableName: items.table, Key: { id: { S: id } }, ConsistentRead: true }),
    );
    const before = Item?.value?.S === undefined ? initialRole(items.database) : (JSON.parse(Item.value.S) as Role);
    const after = change(before);
    if (Item && JSON.stringify(after) === JSON.stringify(before)) return after;
    try {
      await items.dynamo.send(
        new PutItemCommand({
          TableName: items.table,
          Item: {
            id: { S: id },
            value: { S: JSON.stringify(after) },
            version: { N: String(Number(Item?.version?.N ?? 0) + 1) },
            // For the condition of leases, and for a person with the console.
            writer: { S: after.writer },
            epoch: { N: String(after.epoch) },
            mayWrite: { S: mayWrite(after) },
          },
          ...(Item
            ? {
                ConditionExpression: 'version = :seen',
                ExpressionAttributeValues: { ':seen': { N: String(Item.version?.N ?? 0) } },
              }
            : { ConditionExpression: 'attribute_not_exists(id)' }),
        }),
      );
      return after;
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      if (attempt === changeAttempts) {
        throw new PgdrError(
          'FailoverInProgress',
          `the role item of ${items.database} changes faster than it can be read`,
        );
      }
    }
  }
}

/**
 * Renews a server's permission to accept writes: false when it has none any more, for the role item named another writer
 * or reserved the end of this one. The role item has to exist: a failover writes it first, a probe at the latest.
 */
export async function renewServerLease(items: StateItems, server: ServerName, at: number): Promise<boolean> {
  try {
    await items.dynamo.send(
      new TransactWriteItemsCommand({
        TransactItems: [
          {
            ConditionCheck: {
              TableName: items.table,
              Key: { id: { S: idOf(items, 'role') } },
              ConditionExpression: 'mayWrite = :server',
              ExpressionAttributeValues: { ':server': { S: server } },
            },
          },
          {
            Put: {
              TableName: items.table,
              Item: { id: { S: idOf(items, `lease-${server}`) }, value: { S: JSON.stringify({ server, at }) } },
            },
          },
        ],
      }),
    );
    return true;
  } catch (error) {
    if (
      error instanceof TransactionCanceledException &&
      error.CancellationReasons?.[0]?.Code === 'ConditionalCheckFailed'
    )
      return false;
    throw error;
  }
}
