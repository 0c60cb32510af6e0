import { describe, expect, it } from 'vitest';
import { type PostureFacts, postureMetrics, type VerifiedBackup } from '../../lib/core/posture.ts';

const now = new Date('2026-11-21T12:00:00Z');
const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000).toISOString();
const backup = (days: number, bytes: number): VerifiedBackup => ({ id: `b${days}`, verifiedAt: daysAgo(days), bytes });
const test = (days: number, rtoSeconds: number, holds = true) => ({
  id: `p${days}`,
  at: daysAgo(days),
  holds,
  rtoSeconds,
  rpoSeconds: 100,
});
const facts: PostureFacts = {
  now,
  backups: [backup(9, 1e9), backup(3, 100), backup(2, 110), backup(0.5, 210)],
  restoreTests: [test(9, 600), test(2, 900), test(1, 50, false)],
  copies: [],
  taskImageAt: daysAgo(70),
  hasWal: false,
};
const metrics = (changes: Partial<PostureFacts> = {}) => Object.fromEntries(postureMetrics({ ...facts, ...changes }));

describe('the posture of a database', () => {
  it('is measured from what lies in the bucket', () => {
    expect(metrics()).toEqual({
      BackupAgeSeconds: 43_200,
      StoredBytes: 1e9 + 420,
      // Against 100 and 110: what is older than a week is no measure.
      BackupSizeDeviationPercent: expect.closeTo(100),
      RecoverableWindowSeconds: 8.5 * 86_400,
      RestoreTestAgeSeconds: 2 * 86_400,
      RtoRegressionPercent: 50,
      RpoRegressionPercent: 0,
      TaskImageAgeSeconds: 70 * 86_400,
    });
  });

  it('is silent where nothing is known, so that silence alarms', () => {
    expect(metrics({ backups: [], restoreTests: [], taskImageAt: undefined })).toEqual({});
  });

  it('counts from the oldest backup when no restore test ever held', () => {
    expect(metrics({ restoreTests: [test(1, 5, false)] }).RestoreTestAgeSeconds).toBe(9 * 86_400);
  });

  it('has no deviation without a mean, and the same one for half as for half as much again', () => {
    const deviation = (...sizes: number[]) =>
      metrics({ backups: sizes.map((bytes, i) => backup(sizes.length - i, bytes)) }).BackupSizeDeviationPercent;
    expect(deviation(100, 200)).toBeUndefined();
    expect(deviation(100, 100, 50)).toBeCloseTo(50);
    expect(deviation(100, 100, 150)).toBeCloseTo(50);
  });

  it('takes a difference of less than a minute for noise', () => {
    expect(metrics({ restoreTests: [test(2, 10), test(1, 60)] }).RtoRegressionPercent).toBe(0);
    expect(metrics({ restoreTests: [test(2, 10), test(1, 70)] }).RtoRegressionPercent).toBeCloseTo(600);
  });

  it('has a lag of copies only where something replicates, and counts failed copies', () => {
    const lag = (...states: ('PENDING' | 'COMPLETED' | 'FAILED' | 'REPLICA' | undefined)[]) =>
      metrics({ copies: states.map((replication, i) => ({ storedAt: daysAgo(i + 1), replication })) })
        .RegionalCopyLagSeconds;
    expect(lag()).toBeUndefined();
    expect(lag(undefined, 'REPLICA')).toBeUndefined();
    expect(lag('COMPLETED', 'COMPLETED')).toBe(0);
    expect(lag('PENDING', 'FAILED', 'COMPLETED')).toBe(2 * 86_400);
  });

  it('leaves the window to WAL where there is some', () => {
    expect(metrics({ hasWal: true })).not.toHaveProperty('RecoverableWindowSeconds');
  });
});
