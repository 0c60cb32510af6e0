import { expect, it } from 'vitest';
import { logKeysOf } from '../../lib/core/log-keys.ts';

it('names database, backup and execution, whatever the function is told', () => {
  const execution = { arn: 'arn:aws:states:eu-north-1:111122223333:execution:acme-backup-logical:1' };
  const settings = { database: 'orders', secret: 'orders/primary' };
  const manifestKey = 'acme/orders/main/logical/20261121T020000Z-4f2a9c/manifest.json';
  expect(logKeysOf({ settings, manifestKey, execution })).toEqual({
    database: 'orders',
    backup: '20261121T020000Z-4f2a9c',
    execution: execution.arn,
  });
  expect(logKeysOf({ database: 'orders', backup: { manifestKey } })).toMatchObject({
    backup: '20261121T020000Z-4f2a9c',
  });
  expect(logKeysOf({ settings, run: 'fo-orders-2-1' })).toEqual({ database: 'orders', execution: 'fo-orders-2-1' });
});

it.each([null, 'text', { Records: [] }, { settings: null, execution: null }])('says nothing of %j', (event) => {
  expect(logKeysOf(event)).toEqual({});
});
