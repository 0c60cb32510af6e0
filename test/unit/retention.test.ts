import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { walSegmentKey } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import { judgeLogical, type RetentionPolicy } from '../../lib/core/retention/backups.ts';
import { type PlacedBackup, planRetention, type Store, type StoredObject } from '../../lib/core/retention/plan.ts';
import { segmentName, timelineAt } from '../../lib/core/wal.ts';
import { reach, readArchive } from '../../lib/core/wal-archive.ts';

const day = 86_400_000;
const mib = 2 ** 20;
const orders = { system: 'acme', database: 'orders', lineage: 'main' };
const policy: RetentionPolicy = { dailyMs: 30 * day, monthlyMs: 7 * 365 * day, windowMs: 7 * day };
const options = (now: number) => ({ policy, now, lockMs: 3 * day, orphanMs: 2 * day });
/** Later than a leap day, so that months of all lengths come before it. */
const epoch = Date.UTC(2026, 0, 1);

const logicalBackup = (id: string, at: number, verified = true, keys?: readonly string[]): PlacedBackup => {
  const prefix = `acme/orders/main/logical/${id}/`;
  return {
    kind: 'logical',
    id,
    at,
    verified,
    complete: true,
    lockUntil: null,
    prefix,
    keys: keys ?? [`${prefix}manifest.json`, `${prefix}main.dump.zst`],
  };
};
const objectsOf = (backups: readonly PlacedBackup[]): StoredObject[] =>
  backups.flatMap(({ prefix, keys, at }) =>
    keys.filter((key) => key.startsWith(prefix)).map((key) => ({ key, bytes: 1, storedAt: at })),
  );
const storeOf = (backups: readonly PlacedBackup[], rest: Partial<Store> = {}): Store => ({
  backups,
  objects: objectsOf(backups),
  wal: undefined,
  walObjects: [],
  ...rest,
});
const expired = (store: Store, now: number) => planRetention(store, options(now)).expire.map(({ id }) => id);

describe('retention of logical backups', () => {
  it('keeps 30 days of dailies and the first of each month', () => {
    const backups = Array.from({ length: 100 }, (_, i) => logicalBackup(`d${i}`, epoch + i * day));
    const now = epoch + 99 * day + 1;
    const { keep, expire } = planRetention(storeOf(backups), options(now));
    const dailies = Array.from({ length: 30 }, (_, i) => `d${70 + i}`);
    expect(keep.map(({ id }) => id)).toEqual(['d0', 'd31', 'd59', ...dailies]);
    expect(expire).toHaveLength(67);
  });

  it('removes nothing when nothing newer was verified', () => {
    const proven = logicalBackup('proven', epoch);
    const failures = Array.from({ length: 50 }, (_, i) => logicalBackup(`f${i}`, epoch + (i + 1) * day, false));
    expect(expired(storeOf([proven, ...failures]), epoch + 400 * day)).toEqual([]);
    expect(expired(storeOf(failures), epoch + 4000 * day)).toEqual([]);
  });

  it('keeps what a later backup refers to, and what is locked', () => {
    const old = logicalBackup('old', epoch, true);
    const table = `${old.prefix}1/tables/1.dump.zst`;
    const first = logicalBackup('first', epoch - day);
    const fresh = logicalBackup('fresh', epoch + 40 * day, true, [
      'acme/orders/main/logical/fresh/manifest.json',
      table,
    ]);
    const objects = [...objectsOf([first, old, fresh]), { key: table, bytes: 9, storedAt: epoch }];
    const locked = { key: `${old.prefix}1/main.dump.zst`, bytes: 5, storedAt: epoch + 39 * day };
    const now = epoch + 41 * day;
    const shortArchive = { ...options(now), policy: { ...policy, monthlyMs: 0 } };
    const plan = planRetention(storeOf([first, old, fresh], { objects: [...objects, locked] }), shortArchive);
    expect(plan.expire.map(({ id }) => id)).toEqual(['first', 'old']);
    expect(plan.removals.map(({ key }) => key)).not.toContain(table);
    expect(plan.removals.map(({ key }) => key)).not.toContain(locked.key);
    expect(plan.shared).toBe(1);
    const manifests = plan.removals.map(({ key }) => key.endsWith('manifest.json'));
    expect(manifests.lastIndexOf(true)).toBeLessThan(manifests.indexOf(false));
  });

  it('lets a backup without a manifest be finished before it counts as left behind', () => {
    const sound = logicalBackup('sound', epoch);
    const key = 'acme/orders/main/logical/dead/main.dump.zst';
    const objects = [...objectsOf([sound]), { key, bytes: 7, storedAt: epoch }];
    const removals = (now: number) => planRetention(storeOf([sound], { objects }), options(now)).removals;
    expect(removals(epoch + day)).toEqual([]);
    expect(removals(epoch + 4 * day)).toEqual([
      { key, bytes: 7, reason: 'acme/orders/main/logical/dead/ has no manifest' },
    ]);
  });
});

/** Years of backups, some unverified, some asked for in part, some that refer to objects of earlier ones. */
const histories = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 1, max: 20 * 24 }),
      verified: fc.boolean(),
      complete: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
      locked: fc.boolean(),
      refersTo: fc.option(fc.nat(10)),
    }),
    { maxLength: 60 },
  )
  .map((entries) => {
    let at = epoch;
    const backups: PlacedBackup[] = [];
    for (const [i, entry] of entries.entries()) {
      at += entry.gap * 3_600_000;
      const made = logicalBackup(`b${i}`, at, entry.verified);
      const parent = entry.refersTo === null ? undefined : backups.at(-1 - entry.refersTo);
      const keys = [...made.keys, ...(parent?.keys.filter((key) => !key.endsWith('manifest.json')) ?? [])];
      const lockUntil = entry.locked ? at + 60 * day : null;
      backups.push({ ...made, keys, lockUntil, complete: entry.complete } as PlacedBackup);
    }
    return { backups, now: at };
  });

describe('laws of retention', () => {
  it('holds for a thousand histories of logical backups', () => {
    fc.assert(
      fc.property(histories, fc.nat(400), ({ backups, now: last }, later) => {
        const now = last + later * day;
        const store = storeOf(backups);
        const plan = planRetention(store, options(now));
        const kept = new Set(plan.keep.map(({ id }) => id));
        const removed = new Set(plan.removals.map(({ key }) => key));
        const sound = backups.filter((b) => b.kind === 'logical' && b.verified && b.complete);
        // The newest verified one stays, and everything that a kept one needs.
        if (sound.length > 0) expect(kept).toContain(sound.at(-1)?.id);
        for (const backup of backups) {
          if (kept.has(backup.id)) for (const key of backup.keys) expect(removed).not.toContain(key);
          if (now - backup.at < policy.dailyMs) expect(kept).toContain(backup.id);
          if ((backup.lockUntil ?? 0) > now) expect(kept).toContain(backup.id);
          // What goes has a newer verified one.
          if (!kept.has(backup.id)) expect(sound.some(({ at }) => at > backup.at)).toBe(true);
        }
        for (const backup of sound) {
          if (now - backup.at >= policy.monthlyMs) continue;
          const month = new Date(backup.at).toISOString().slice(0, 7);
          const ofMonth = sound.filter(({ id, at }) => kept.has(id) && new Date(at).toISOString().startsWith(month));
          expect(ofMonth.length).toBeGreaterThan(0);
        }
        // What is left is what a second look leaves.
        const left = backups.filter(({ id }) => kept.has(id));
        const objects = store.objects.filter(({ key }) => !removed.has(key));
        const again = planRetention(storeOf(left, { objects }), options(now));
        expect(again.expire).toEqual([]);
        expect(again.removals).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it('gives a verdict on every backup, whatever their order', () => {
    fc.assert(
      fc.property(histories, ({ backups, now }) => {
        const logical = backups.filter((b) => b.kind === 'logical');
        const forwards = judgeLogical(logical, policy, now);
        expect(judgeLogical(logical.toReversed(), policy, now)).toEqual(forwards);
        expect(forwards).toHaveLength(logical.length);
      }),
    );
  });
});

/** One LSN unit is a minute; a segment holds 1 MiB of minutes' worth of WAL, so time and LSN say the same. */
const minute = 60_000;
const lsnAt = (at: number): bigint => BigInt(Math.floor((at - epoch) / minute)) * 4096n;

const physicalHistories = fc
  .record({
    backups: fc.array(
      fc.record({
        gap: fc.integer({ min: 60, max: 5 * 24 * 60 }),
        verified: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
        increment: fc.boolean(),
      }),
      { minLength: 1, maxLength: 25 },
    ),
    lost: fc.array(fc.nat(400), { maxLength: 3 }),
    // A standby takes over: bytes of WAL, each a new timeline, of which the old primary went on for some segments.
    forks: fc.array(fc.integer({ min: 1, max: 60 * mib }), { maxLength: 3 }),
    diverged: fc.nat(3),
    after: fc.integer({ min: 0, max: 20 }),
  })
  .map(({ backups: entries, lost, forks: given, diverged, after }) => {
    const forks = [...new Set(given)].sort((a, b) => a - b).map(BigInt);
    let at = epoch;
    const backups: (PlacedBackup & { kind: 'physical' })[] = [];
    for (const [i, entry] of entries.entries()) {
      at += entry.gap * minute;
      const parent = entry.increment ? backups.at(-1) : undefined;
      const prefix = `acme/orders/main/base/p${i}/`;
      backups.push({
        kind: 'physical',
        id: `p${i}`,
        at: at + 30 * minute,
        verified: entry.verified,
        lockUntil: null,
        parentId: parent?.id ?? null,
        timeline: 1 + forks.filter((fork) => fork <= lsnAt(at)).length,
        startLsn: lsnAt(at),
        prefix,
        keys: [`${prefix}manifest.json`, `${prefix}base.tar.zst`],
      });
    }
    const now = at + after * day;
    const end = Number(lsnAt(now) / BigInt(mib)) + 1;
    const written = [undefined, ...forks].flatMap((fork, i) => {
      const first = Number((fork ?? 0n) / BigInt(mib));
      const left = forks[i];
      const behind = left === undefined ? end : Number(left / BigInt(mib)) + 1 + diverged;
      return Array.from({ length: Math.max(0, Math.min(end, behind) - first) }, (_, n) => ({
        timeline: i + 1,
        nth: first + n,
      }));
    });
    const keys = written
      .filter((_, i) => !lost.includes(i))
      .map(({ timeline, nth }) => walSegmentKey(orders, segmentName(timeline, BigInt(nth * mib), mib)));
    const histories = new Map(
      forks.map((_, i) => [
        i + 2,
        forks
          .slice(0, i + 1)
          .map((fork, j) => `${j + 1}\t${formatLsn(fork)}\tpromoted\n`)
          .join(''),
      ]),
    );
    return { backups, now, keys, histories };
  });

/** Whether a recovery from what is stored gets to a moment. */
function recoverable(
  backups: readonly PlacedBackup[],
  keys: readonly string[],
  histories: ReadonlyMap<number, string>,
  timeline: number,
  moment: number,
): boolean {
  const archive = readArchive(keys, mib, histories);
  const ancestors = archive.histories.get(timeline) ?? [];
  const byId = new Map(backups.map((backup) => [backup.id, backup]));
  const whole = (backup: PlacedBackup | undefined): boolean =>
    backup?.kind === 'physical' && backup.verified && (backup.parentId === null || whole(byId.get(backup.parentId)));
  return backups.some(
    (backup) =>
      backup.kind === 'physical' &&
      whole(backup) &&
      backup.at <= moment &&
      timelineAt(timeline, ancestors, backup.startLsn) === backup.timeline &&
      reach(archive, timeline, backup.startLsn).end >= lsnAt(moment),
  );
}

describe('retention of base backups and WAL', () => {
  it('takes no moment of the window that could be recovered, in a thousand histories', () => {
    fc.assert(
      fc.property(
        physicalHistories,
        fc.double({ min: 0, max: 1, noNaN: true }),
        ({ backups, now, keys, histories }, where) => {
          const walObjects = keys.map((key) => ({ key, bytes: mib, storedAt: epoch }));
          const store = storeOf(backups, { wal: readArchive(keys, mib, histories), walObjects });
          const plan = planRetention(store, options(now));
          const removed = new Set(plan.removals.map(({ key }) => key));
          const kept = new Set(plan.keep.map(({ id }) => id));
          const moment = now - Math.floor(policy.windowMs * where);
          const left = backups.filter(({ id }) => kept.has(id));
          const rest = keys.filter((key) => !removed.has(key));
          // Also what only an old primary wrote, on the timeline that everybody else has left.
          for (const timeline of [1, ...histories.keys()])
            if (recoverable(backups, keys, histories, timeline, moment))
              expect(recoverable(left, rest, histories, timeline, moment)).toBe(true);
          for (const { parentId } of left) if (parentId !== null) expect(kept).toContain(parentId);
          const newest = backups.findLast(({ verified, parentId }) => verified && parentId === null);
          if (newest && !backups.some((b) => b.at > newest.at && b.verified)) expect(kept).toContain(newest.id);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('removes WAL before the oldest base backup that stays, and parts of segments that are stored whole', () => {
    const prefix = 'acme/orders/main/base/p/';
    const base: PlacedBackup = {
      kind: 'physical',
      id: 'p',
      at: epoch + 10 * day,
      verified: true,
      lockUntil: null,
      parentId: null,
      timeline: 1,
      startLsn: BigInt(5 * mib),
      prefix,
      keys: [`${prefix}manifest.json`],
    };
    const keys = Array.from({ length: 8 }, (_, nth) => walSegmentKey(orders, segmentName(1, BigInt(nth * mib), mib)));
    const walObjects = keys.map((key) => ({ key, bytes: mib, storedAt: epoch }));
    const store = storeOf([base], { wal: readArchive(keys, mib), walObjects });
    const removals = planRetention(store, options(epoch + 30 * day)).removals.map(({ key }) => key);
    expect(removals).toEqual(keys.slice(0, 5));
    const none = storeOf([], { wal: readArchive(keys, mib), walObjects });
    expect(planRetention(none, options(epoch + 30 * day)).removals).toEqual([]);
  });
});
