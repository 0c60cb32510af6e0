import { describe, expect, it } from 'vitest';
import { chooseAmong, firstComplete, newestOf } from '../../lib/core/backup-choice.ts';
import { storedFoldersOf } from '../../lib/core/keys.ts';

const keys = (...files: string[]) => files.map((file) => `acme/orders/main/logical/${file}`);
const backups = keys('1/main.dump.zst', '1/manifest.json', '1/verification.json', '2/manifest.json', '3/main.dump.zst');

describe('the backup that a restore takes', () => {
  it('is the newest that was verified, and says what it passed over', () => {
    expect(chooseAmong(backups, 's3://b', null)).toEqual({
      manifestKey: 'acme/orders/main/logical/1/manifest.json',
      passedOver: keys('2/'),
      others: [],
    });
  });

  it('is the one that was asked for, verified or not', () => {
    expect(chooseAmong(keys('2/manifest.json'), 's3://b', '2').manifestKey).toBe(keys('2/manifest.json')[0]);
  });

  it('is one whose objects have all been copied here, where there is one', async () => {
    const complete = keys('1/main.dump.zst', '1/manifest.json', '1/verification.json');
    const half = keys('2/manifest.json', '2/verification.json');
    const read = async (key: string) => ({
      objects: [{ key: key.replace('manifest.json', 'main.dump.zst') }] as never,
    });
    const pick = (there: readonly string[], asked: string | null = null) =>
      firstComplete(chooseAmong(there, 's3://b', asked), there, asked, read);
    expect(await pick([...complete, ...half])).toMatchObject({ key: complete[1], incomplete: keys('2/') });
    expect(await pick([...complete, ...half, ...keys('2/main.dump.zst')])).toMatchObject({
      key: half[0],
      incomplete: [],
    });
    // It then fails by naming what is missing, as the one that is named does.
    expect(await pick(half)).toMatchObject({ key: half[0] });
    expect(await pick(half, '2')).toMatchObject({ key: half[0] });
  });

  it('is none without a manifest, and none that was never verified unless it is named', () => {
    expect(() => chooseAmong(keys('3/main.dump.zst'), 's3://b', null)).toThrow(
      /nothing with a manifest below s3:\/\/b/,
    );
    expect(() => chooseAmong(keys('2/manifest.json'), 's3://b', null)).toThrow(/never verified; name one/);
  });
});

describe('the backup that is verified again', () => {
  it('is the newest with a manifest, verified or not', () => {
    expect(newestOf(backups, 's3://b', null)).toBe(keys('2/manifest.json')[0]);
    expect(() => newestOf(keys('3/main.dump.zst'), 's3://b', null)).toThrow(/nothing with a manifest below s3:\/\/b/);
  });

  it('is looked for wherever one of its name may be, base backups among them', () => {
    const of = { system: 'acme', database: 'orders', lineage: 'main' };
    expect(storedFoldersOf(of, null)).toEqual(keys(''));
    expect(storedFoldersOf(of, '7')).toEqual(
      ['logical', 'adhoc', 'base'].map((folder) => `acme/orders/main/${folder}/7/`),
    );
    const base = 'acme/orders/main/base/7/manifest.json';
    expect(newestOf([base], 's3://b', '7')).toBe(base);
    expect(() => newestOf([], 's3://b', '7')).toThrow(/no backup 7/);
  });
});
