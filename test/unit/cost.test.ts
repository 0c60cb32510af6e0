import { describe, expect, it } from 'vitest';
import { type CostSubject, costOf, type Measured, totalOf } from '../../lib/core/cost.ts';
import { standardPrices as prices } from '../../lib/core/prices.ts';

const day = 86_400;
const gib = 1024 ** 3;
const task = { vcpu: 2, memoryGiB: 4, storageGiB: 21 };
const subject: CostSubject = {
  backupIntervalSeconds: day,
  restoreTestIntervalSeconds: 7 * day,
  backupTask: task,
  restoreTask: task,
  dailySeconds: 30 * day,
  lockSeconds: 30 * day,
  monthlySeconds: 7 * 365 * day,
  failsOver: false,
  replicated: true,
  ...{ alarms: 12, compositeAlarms: 3, metrics: 20 },
};
const measured: Measured = {
  ...{ backupBytes: 10 * gib, newBytes: 10 * gib, objects: 20, backupSeconds: 600, restoreTestSeconds: 1200 },
};
const lines = (changes: Partial<CostSubject> = {}, seen: Partial<Measured> = {}) =>
  Object.fromEntries(
    costOf({ ...subject, ...changes }, { ...measured, ...seen }, prices).map(({ item, usd }) => [item, usd]),
  );

describe('what a month costs', () => {
  it('counts what is stored for as long as it stays: until it is removed, and as long again by its lock', () => {
    expect(lines()['S3, storage']).toBeCloseTo(60 * 10 * prices.s3.gbMonth * 2, 2);
    expect(lines({ replicated: false })['S3, storage']).toBeCloseTo(60 * 10 * prices.s3.gbMonth, 2);
    const monthly = ((7 * 365 - 30) / 30.44) * 10 * prices.s3.archiveGbMonth * 2;
    expect(lines()['S3, archive']).toBeCloseTo(monthly, 2);
  });

  it('counts runs of tasks with the minute in which they start', () => {
    const hour = 2 * prices.fargate.vcpuHour + 4 * prices.fargate.gbHour + prices.fargate.diskGbHour;
    expect(lines()['Fargate, backups']).toBeCloseTo(30.44 * (660 / 3600) * hour, 4);
  });

  it('knows what goes on all the time only where it is configured', () => {
    expect(Object.keys(lines()).filter((item) => /WAL|probes|Route/.test(item))).toEqual([]);
    const wal = {
      receiver: { vcpu: 0.5, memoryGiB: 1, storageGiB: 20 },
      baseTask: task,
      ...{ baseIntervalSeconds: 7 * day, pitrSeconds: 7 * day, lockSeconds: 30 * day, chunkSeconds: 5 },
    };
    const found = lines({ wal, failsOver: true }, { walBytesPerDay: gib, baseBytes: 7 * gib, baseSeconds: 60 });
    expect(found['Fargate, receiver of WAL']).toBeCloseTo(730.56 * (0.5 * 0.03238 + 0.00356), 3);
    expect(found['S3, writes of WAL']).toBeCloseTo((2 * 30.44 * day) / 5 / 1000 / 200, 2);
    expect(found['S3, WAL and base backups']).toBeCloseTo(2 * 0.023 * (44 + 44), 3);
    expect(found['Lambda, probes']).toBeGreaterThan(20);
    expect(found['Route 53']).toBe(1);
  });

  it('is the sum of its lines', () => {
    const all = costOf(subject, measured, prices);
    expect(totalOf(all)).toBeCloseTo(
      all.reduce((sum, { usd }) => sum + usd, 0),
      9,
    );
    for (const { usd, item } of all) expect(usd, item).toBeGreaterThanOrEqual(0);
  });
});
