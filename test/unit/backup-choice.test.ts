import { describe, expect, it } from 'vitest';
import { chooseAmong } from '../../lib/core/backup-choice.ts';

const keys = (...files: string[]) => files.map((file) => `acme/orders/main/logical/${file}`);
const backups = keys('1/main.dump.zst', '1/manifest.json', '1/verification.json', '2/manifest.json', '3/main.dump.zst');

describe('the backup that a restore takes', () => {
  it('is the newest that was verified, and says what it passed over', () => {
    expect(chooseAmong(backups, 's3://b', null)).toEqual({
      manifestKey: 'acme/orders/main/logical/1/manifest.json',
      passedOver: keys('2/'),
    });
  });

  it('is the one that was asked for, verified or not', () => {
    expect(chooseAmong(keys('2/manifest.json'), 's3://b', '2').manifestKey).toBe(keys('2/manifest.json')[0]);
  });

  it('is none without a manifest, and none that was never verified unless it is named', () => {
    expect(() => chooseAmong(keys('3/main.dump.zst'), 's3://b', null)).toThrow(
      /nothing with a manifest below s3:\/\/b/,
    );
    expect(() => chooseAmong(keys('2/manifest.json'), 's3://b', null)).toThrow(/never verified; name one/);
  });
});
