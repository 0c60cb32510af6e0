import { setTimeout as sleep } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';

/**
 * A lease on a name: at most one holder, as far as holders stop by themselves when their time is over. No clock is
 * compared with another machine's:
 *
 * - the holder counts its time on its own monotonic clock from *before* the request that gave or renewed it;
 * - a taker waits until it has seen the record unchanged for the whole time that the record promises, counted on its
 *   own monotonic clock from *after* the read that showed it.
 *
 * Every renewal changes the record's `version`. Every new holder gets an `epoch` higher than all before it, which goes
 * with what it does, so that a late word of an earlier holder can be told apart. The item is never deleted.
 */
export interface LeaseTable {
  readonly dynamo: DynamoDBClient;
  readonly table: string;
}

export interface Lease {
  readonly id: string;
  readonly holder: string;
  readonly epoch: number;
  /** Time that each renewal gives, milliseconds. */
  readonly ttl: number;
  /** The record as it was last written by this holder. */
  readonly version: number;
  /** `performance.now()` at which the holder has to have stopped. */
  readonly validUntil: number;
}

export interface LeaseRecord {
  readonly holder: string | null;
  readonly epoch: number;
  readonly version: number;
  /** Milliseconds that its holder was promised. */
  readonly ttl: number;
}

/** The lease is another's, or was taken over: whoever thought to hold it has to stop. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

export interface AcquireOptions {
  readonly id: string;
  /** Unique to this process, not to its machine: a process that restarted is another holder. */
  readonly holder: string;
  /** Milliseconds. */
  readonly ttl: number;
  /** Gives up waiting for another holder; without it, one look decides. */
  readonly signal?: AbortSignal;
  /** Called once with the record that is waited for. */
  readonly onWait?: (record: LeaseRecord) => void;
}

export function openLeaseTable(table: string): LeaseTable {
  // A renewal that hangs is worth less than the next one.
  const requestHandler = { connectionTimeout: 2_000, requestTimeout: 3_000, throwOnRequestTimeout: true };
  return { table, dynamo: new DynamoDBClient({ maxAttempts: 3, requestHandler }) };
}

/** The record as it stands; undefined where nobody ever held the lease. */
export async function readLease({ dynamo, table }: LeaseTable, id: string): Promise<LeaseRecord | undefined> {
  const { Item } = await dynamo.send(
    new GetItemCommand({ TableName: table, Key: { id: { S: id } }, ConsistentRead: true }),
  );
  if (!Item) return undefined;
  return {
    holder: Item.holder?.S ?? null,
    epoch: Number(Item.epoch?.N ?? 0),
    version: Number(Item.version?.N ?? 0),
    ttl: Number(Item.ttlMilliseconds?.N ?? 0),
  };
}

/** Takes the lease if it is free, undefined otherwise: no waiting. */
export async function tryAcquire(table: LeaseTable, options: AcquireOptions): Promise<Lease | undefined> {
  const record = await readLease(table, options.id);
  return record?.holder ? undefined : take(table, options, record);
}

/** Waits until the lease is free or its holder silent for its whole time, then takes it. Throws the signal's reason. */
export async function acquire(table: LeaseTable, options: AcquireOptions): Promise<Lease> {
  const { signal } = options;
  let seen: { record: LeaseRecord; since: number } | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const record = await readLease(table, options.id);
    const now = performance.now();
    if (record?.holder && seen?.record.version !== record.version) {
      if (!seen) options.onWait?.(record);
      seen = { record, since: now };
    }
    // A little more than was promised: clocks of two machines do not run at exactly the same speed.
    const isFree = !record?.holder || (seen !== undefined && now - seen.since > record.ttl * 1.02);
    const lease = isFree ? await take(table, options, record) : undefined;
    if (lease) return lease;
    await sleep(Math.min(1_000, options.ttl / 10), undefined, { signal });
  }
}

/** Prolongs the lease. Throws `LeaseLost` when it is another's by now, and what DynamoDB throws when it cannot be asked. */
export async function renew(table: LeaseTable, lease: Lease): Promise<Lease> {
  const before = performance.now();
  const version = lease.version + 1;
  const renewed = await write(table, lease.id, {
    UpdateExpression: 'SET version = :version',
    // The version of before, or this one already: a retry may meet its own first attempt whose answer was lost.
    ConditionExpression: 'holder = :holder AND epoch = :epoch AND version IN (:seen, :version)',
    ExpressionAttributeValues: {
      ':holder': { S: lease.holder },
      ':epoch': { N: String(lease.epoch) },
      ':seen': { N: String(lease.version) },
      ':version': { N: String(version) },
    },
  });
  if (!renewed) throw new LeaseLost(`${lease.id} is not ${lease.holder}'s any more (epoch ${lease.epoch})`);
  return { ...lease, version, validUntil: before + lease.ttl };
}

/** Gives the lease back, so that the next holder need not wait. A lease that is another's by now is left alone. */
export async function release(table: LeaseTable, lease: Lease): Promise<void> {
  await write(table, lease.id, {
    UpdateExpression: 'SET version = version + :one REMOVE holder',
    ConditionExpression: 'holder = :holder AND epoch = :epoch',
    ExpressionAttributeValues: {
      ':one': { N: '1' },
      ':holder': { S: lease.holder },
      ':epoch': { N: String(lease.epoch) },
    },
  });
}

/** Whether the holder may still act, with `margin` milliseconds left for what it is about to do. */
export const isValid = (lease: Lease, margin = 0): boolean => performance.now() + margin < lease.validUntil;

/** Writes this holder into the record, unless it changed since it was read. */
async function take(
  table: LeaseTable,
  { id, holder, ttl }: AcquireOptions,
  record: LeaseRecord | undefined,
): Promise<Lease | undefined> {
  const before = performance.now();
  const epoch = (record?.epoch ?? 0) + 1;
  const version = (record?.version ?? 0) + 1;
  const taken = await write(table, id, {
    UpdateExpression: 'SET holder = :holder, epoch = :epoch, version = :version, ttlMilliseconds = :ttl',
    ConditionExpression: record ? 'version = :seen' : 'attribute_not_exists(id)',
    ExpressionAttributeValues: {
      ':holder': { S: holder },
      ':epoch': { N: String(epoch) },
      ':version': { N: String(version) },
      ':ttl': { N: String(ttl) },
      ...(record && { ':seen': { N: String(record.version) } }),
    },
  });
  if (taken) return { id, holder, ttl, epoch, version, validUntil: before + ttl };
  // Its own write may be what changed the record: the answer was lost and the SDK asked again.
  const now = await readLease(table, id);
  const own = now?.holder === holder && now.epoch === epoch && now.version === version;
  return own ? { id, holder, ttl, epoch, version, validUntil: before + ttl } : undefined;
}

/** False when the condition does not hold. */
async function write(
  { dynamo, table }: LeaseTable,
  id: string,
  update: Omit<UpdateItemCommandInput, 'TableName' | 'Key'>,
): Promise<boolean> {
  try {
    await dynamo.send(new UpdateItemCommand({ TableName: table, Key: { id: { S: id } }, ...update }));
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}
