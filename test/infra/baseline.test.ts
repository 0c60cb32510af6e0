import { expect, test } from 'vitest';
import type { ConfigInput } from '../../lib/config/schema.ts';
import { synthesize, synthesizeVault } from './assembly.ts';
import baseline from './baseline.json' with { type: 'json' };
import { type Baseline, statefulResources } from './stateful.ts';

/**
 * An upgrade of pgdr must not replace what holds data. `baseline.json` has the logical ids and the properties that
 * decide over replacement, as they are deployed; a change of one is a bucket, a key or a queue that is made anew.
 */

const deployed: Baseline = baseline;
const failingOver = {
  name: 'shop',
  version: 17,
  primary: { secret: 'shop/primary' },
  standby: { secret: 'shop/standby' },
  endpoint: {
    zone: 'db.internal',
    vpcs: [{ id: 'vpc-0a1b2c3d4e5f60718', region: 'eu-north-1' }],
    name: 'shop',
    primary: 'shop-1.db.internal',
    standby: 'shop-2.db.internal',
  },
  failover: {
    secret: 'shop/control',
    primary: { kind: 'ecs', cluster: 'databases', service: 'shop-1' },
    standby: { kind: 'ecs', cluster: 'databases', service: 'shop-2' },
  },
} satisfies NonNullable<ConfigInput['databases']>[number];
const now = {
  ...statefulResources(
    synthesizeVault({ account: '222233334444', sourceAccount: '111122223333', region: 'eu-west-1' }),
  ),
  ...statefulResources(
    synthesize({
      databases: [
        failingOver,
        { name: 'orders', version: 17, primary: { secret: 'orders/primary' }, physical: {} },
        { name: 'ledger', version: 16, primary: { secret: 'ledger/primary' }, logical: { clientEncryption: true } },
      ],
    }),
  ),
};

test.each(Object.keys(deployed))('%s keeps everything that holds data', (stack) => {
  for (const [id, resource] of Object.entries(deployed[stack] ?? {})) {
    const what = `${stack} ${id} (${resource.Type})`;
    expect(
      now[stack]?.[id],
      `${what} is gone: it was renamed or removed, and an upgrade would make another`,
    ).toBeDefined();
    expect(now[stack]?.[id], `${what} would be replaced`).toEqual(resource);
  }
});

test('the baseline knows everything that holds data', () => {
  const unknown = Object.entries(now).flatMap(([stack, resources]) =>
    Object.entries(resources)
      .filter(([id]) => deployed[stack]?.[id] === undefined)
      .map(([id, resource]) => ({ stack, [id]: resource })),
  );
  expect(unknown, 'add these to test/infra/baseline.json, in the place of their stack').toEqual([]);
});

test('buckets, keys with their aliases, and the table outlive their stack', () => {
  for (const [stack, resources] of Object.entries(now)) {
    for (const [id, { Type, DeletionPolicy, UpdateReplacePolicy }] of Object.entries(resources)) {
      if (!/S3::Bucket|KMS::|DynamoDB::Table/.test(Type)) continue;
      expect([DeletionPolicy, UpdateReplacePolicy], `${stack} ${id}`).toEqual(['Retain', 'Retain']);
    }
  }
});
