import { describe, expect, it } from 'vitest';
import { type DatabaseBackup, databaseOf, type ManifestObject } from '../../lib/core/manifest.ts';
import { canBeParent, newBytes, referencedKeys, reusableObjects, storedAt } from '../../lib/core/reuse.ts';
import { sampleDatabase, sampleManifest, sampleObject } from './sample-manifest.ts';

const day = 86_400;
const key = 'acme/orders/main/logical/20261121T020000Z-4f2a9c/tables/1.dump.zst';
const object: ManifestObject = { ...sampleObject(key, [5]), role: 'table', relation: 'public.customers' };
const backup = sampleManifest({ objects: [sampleObject('main', [5]), object] });
const parent = databaseOf(backup, 'orders') as DatabaseBackup;
const table = parent.tables[0] as (typeof parent.tables)[number];
const on = (date: string, maxAgeSeconds = 7 * day) => ({ now: new Date(date), maxAgeSeconds, encrypted: false });

describe('reusing an object of the parent backup', () => {
  it('takes the one of a table whose content and columns are the same', () => {
    expect(reusableObjects(parent, table, on('2026-11-22T02:00:00Z'))).toEqual([object]);
  });

  it('takes all volumes of a long one', () => {
    const volumes = [object, { ...object, key: `${key}.2`, volume: 2 }];
    expect(reusableObjects({ ...parent, objects: volumes }, table, on('2026-11-22T02:00:00Z'))).toEqual(volumes);
  });

  it.each([
    ['a row more', { rows: '3' }],
    ['other content', { hash1: '1' }],
    ['other content that only the second hash sees', { hash2: '1' }],
    ['another column', { columns: 'other' }],
    ['another table', { relation: 'public.orders' }],
  ])('does not for %s', (_, change) => {
    expect(reusableObjects(parent, { ...table, ...change }, on('2026-11-22T02:00:00Z'))).toEqual([]);
  });

  it('does not where encryption was turned on or off since', () => {
    const options = on('2026-11-22T02:00:00Z');
    const sealed = { ...parent, objects: [{ ...object, encryption: 'aws-encryption-sdk' }] };
    expect(reusableObjects(sealed, table, options)).toEqual([]);
    expect(reusableObjects(parent, table, { ...options, encrypted: true })).toEqual([]);
    expect(reusableObjects(sealed, table, { ...options, encrypted: true })).toEqual([sealed.objects[0]]);
  });

  it('does not for a table that lies in main with others', () => {
    const inMain = sampleDatabase();
    expect(reusableObjects(inMain, table, on('2026-11-22T02:00:00Z'))).toEqual([]);
  });

  it('stores anew what is older than the limit, by the backup that stored it and not by the parent', () => {
    expect(storedAt(key)).toEqual(new Date('2026-11-21T02:00:00Z'));
    expect(reusableObjects(parent, table, on('2026-11-28T02:00:00Z'))).toEqual([object]);
    expect(reusableObjects(parent, table, on('2026-11-28T02:00:01Z'))).toEqual([]);
    expect(reusableObjects(parent, table, on('2026-11-21T02:00:01Z', 0))).toEqual([]);
    expect(storedAt('acme/orders/main/else')).toBeUndefined();
  });

  it('stands only on a backup of the same server and major', () => {
    const { systemIdentifier, serverVersionNum } = backup;
    expect(canBeParent(backup, { systemIdentifier, serverVersionNum: serverVersionNum + 5 })).toBe(true);
    expect(canBeParent(backup, { systemIdentifier, serverVersionNum: serverVersionNum + 10_000 })).toBe(false);
    expect(canBeParent(backup, { systemIdentifier: '1', serverVersionNum })).toBe(false);
  });

  it('keeps every object that some manifest needs, and counts only what a backup added', () => {
    const child = sampleManifest({
      objects: [sampleObject('acme/orders/main/logical/next/main.dump.zst', [7]), object],
    });
    expect([...referencedKeys([backup, child])].sort()).toEqual(
      ['acme/orders/main/logical/next/main.dump.zst', key, 'main'].sort(),
    );
    expect(newBytes(child, 'acme/orders/main/logical/next/')).toBe(7);
  });
});
