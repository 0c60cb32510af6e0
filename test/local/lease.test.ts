import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acquire, isValid, type LeaseTable, readLease, release, renew, tryAcquire } from '../../lib/aws/lease.ts';
import { createDynamoDb } from '../../local/facades/dynamodb.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-north-1';
const root = mkdtempSync(join(tmpdir(), 'lease-test-'));
let host: Host;
let table: LeaseTable;
let id: string;
let count = 0;

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region] });
  const dynamo = host.add(createDynamoDb(host.world));
  await dynamo.resources?.['AWS::DynamoDB::Table']?.(
    {
      TableName: 'state',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    },
    { region, stack: 'app', logicalId: 'State', generatedName: 'state', assembly: root },
  );
  table = { table: 'state', dynamo: new DynamoDBClient(host.client(region)) };
});
beforeEach(() => {
  id = `orders/test-${++count}`;
});
afterAll(async () => {
  await host.close();
  rmSync(root, { recursive: true, force: true });
});

describe('a lease', () => {
  it('has one holder, and a higher epoch for each', async () => {
    const first = await tryAcquire(table, { id, holder: 'a', ttl: 60_000 });
    expect(first).toMatchObject({ holder: 'a', epoch: 1 });
    expect(await tryAcquire(table, { id, holder: 'b', ttl: 60_000 })).toBeUndefined();
    await release(table, first as NonNullable<typeof first>);
    expect(await tryAcquire(table, { id, holder: 'b', ttl: 60_000 })).toMatchObject({ holder: 'b', epoch: 2 });
  });

  it('goes to one of many that ask at once', async () => {
    const holders = Array.from({ length: 12 }, (_, i) => `holder-${i}`);
    const taken = await Promise.all(holders.map((holder) => tryAcquire(table, { id, holder, ttl: 60_000 })));
    expect(taken.filter(Boolean)).toHaveLength(1);
    expect((await readLease(table, id))?.epoch).toBe(1);
  });

  it('is not taken from a holder who renews, and is from one who fell silent, after its whole time', async () => {
    const ttl = 600;
    let lease = await acquire(table, { id, holder: 'a', ttl });
    const stop = new AbortController();
    const waiting = acquire(table, { id, holder: 'b', ttl, signal: stop.signal });
    for (let i = 0; i < 8; i++) {
      await sleep(ttl / 3);
      lease = await renew(table, lease);
      expect(isValid(lease)).toBe(true);
    }
    const silentSince = lease.validUntil - ttl;
    const taken = await waiting;
    // The new holder begins only after the old one had to stop by its own clock.
    expect(taken.validUntil - ttl).toBeGreaterThanOrEqual(silentSince + ttl);
    expect(isValid(lease)).toBe(false);
    expect(taken.epoch).toBe(2);
    await expect(renew(table, lease)).rejects.toMatchObject({ name: 'LeaseLost' });
    await release(table, lease);
    expect((await readLease(table, id))?.holder).toBe('b');
  });

  it('counts from before the request, so that a slow answer shortens it', async () => {
    const lease = await acquire(table, { id, holder: 'a', ttl: 1_000 });
    const before = performance.now();
    const renewed = await renew(table, lease);
    expect(renewed.validUntil).toBeLessThanOrEqual(performance.now() + 1_000);
    expect(renewed.validUntil).toBeGreaterThanOrEqual(before + 1_000);
  });

  it('survives the lost answer of a renewal and of its taking', async () => {
    const lease = await acquire(table, { id, holder: 'a', ttl: 60_000 });
    await renew(table, lease);
    // The caller never heard of it and asks again with what it knows.
    expect(await renew(table, lease)).toMatchObject({ version: lease.version + 1 });
  });

  it('is waited for no longer than the caller wants', async () => {
    await acquire(table, { id, holder: 'a', ttl: 60_000 });
    const stop = new AbortController();
    const waiting = acquire(table, { id, holder: 'b', ttl: 60_000, signal: stop.signal, onWait: () => stop.abort() });
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });
});
