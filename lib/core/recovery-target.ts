import { z } from 'zod';
import { brokenChains, chainOf } from './backup-chain.ts';
import { PgdrError } from './errors.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import type { PhysicalManifest } from './physical-manifest.ts';
import type { Reachable } from './restore-points.ts';
import { timelineAt } from './wal.ts';
import { latestTimeline, type Range, reach, type WalArchive } from './wal-archive.ts';

/** Up to where a recovery goes, and from which backup on which timeline it can get there. Pure: made from lists. */

const instant = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d(?::?\d\d)?)$/;

export const recoveryTargetSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('time'),
      time: z.string().regex(instant, 'not a time with its zone, like 2026-11-21T02:00:00.5Z'),
    }),
    z.strictObject({
      kind: z.literal('lsn'),
      lsn: z.string().regex(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, 'not an LSN, like 0/3000148'),
    }),
    z.strictObject({ kind: z.literal('name'), name: z.string().min(1).max(63) }),
    z.strictObject({
      kind: z.literal('xid'),
      xid: z.string().regex(/^[1-9]\d{0,19}$/, 'not the number of a transaction'),
    }),
    z.strictObject({ kind: z.literal('latest') }),
  ])
  .and(z.object({ timeline: z.number().int().positive().optional() }));

/** `timeline`: whose history is followed. @default the newest that is stored */
export type RecoveryTarget = z.infer<typeof recoveryTargetSchema>;

/** Throws `RequestInvalid`. */
export function parseTarget(value: unknown): RecoveryTarget {
  const { timeline, ...rest } = (value ?? {}) as Record<string, unknown>;
  const [target, number] = [
    recoveryTargetSchema.safeParse({ ...rest }),
    z.number().int().positive().optional().safeParse(timeline),
  ];
  if (target.success && number.success) {
    const parsed: RecoveryTarget = timeline === undefined ? target.data : { ...target.data, timeline: number.data };
    if (parsed.kind === 'time') microseconds(parsed.time);
    return parsed;
  }
  const issue = target.success ? undefined : target.error.issues[0];
  throw new PgdrError(
    'RequestInvalid',
    issue ? `at.${issue.path.join('.')}: ${issue.message}` : 'at.timeline is no number',
  );
}

/** Microseconds since the epoch; what Date cannot keep. Throws `RequestInvalid` for a day or an hour that is none. */
export function microseconds(time: string): bigint {
  const match = instant.exec(time);
  const [, day, clock, fraction = '', zone = 'Z'] = match ?? [];
  const offset = zone === 'Z' ? 'Z' : zone.length === 3 ? `${zone}:00` : zone.replace(/^(...)(\d\d)$/, '$1:$2');
  const seconds = match ? Date.parse(`${day}T${clock}${offset}`) : Number.NaN;
  // Date turns the 31st of a shorter month into the next one's 1st.
  const same = !Number.isNaN(seconds) && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day as string);
  if (!same) throw new PgdrError('RequestInvalid', `${time} is no time; write 2026-11-21T02:00:00.123456Z`);
  return BigInt(seconds) * 1000n + BigInt(fraction.slice(1).padEnd(6, '0'));
}

/** RFC 3339 in UTC, with microseconds. */
export function formatMicroseconds(at: bigint): string {
  const seconds = at / 1_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(at % 1_000_000n).padStart(6, '0')}Z`;
}

/** For people: `2026-11-21T02:00:00.000000Z`, `0/3000148`. */
export function describeTarget(target: RecoveryTarget): string {
  switch (target.kind) {
    case 'time':
      return formatMicroseconds(microseconds(target.time));
    case 'lsn':
      return `LSN ${formatLsn(parseLsn(target.lsn))}`;
    case 'name':
      return `restore point ${target.name}`;
    case 'xid':
      return `transaction ${target.xid}`;
    case 'latest':
      return 'the latest point';
  }
}

/**
 * The parameters of PostgreSQL for a target. It takes no `T` and no `Z` in a time, and a timeline that is not named is
 * whichever it finds. At the end of the WAL without a target, it becomes usable by itself.
 */
export function targetParameters(target: RecoveryTarget, timeline: number): Record<string, string> {
  const common = { recovery_target_timeline: String(timeline), recovery_target_action: 'promote' };
  switch (target.kind) {
    case 'time': {
      const time = formatMicroseconds(microseconds(target.time)).replace('T', ' ').replace('Z', '+00');
      return { ...common, recovery_target_time: time, recovery_target_inclusive: 'on' };
    }
    case 'lsn':
      return { ...common, recovery_target_lsn: target.lsn, recovery_target_inclusive: 'on' };
    case 'name':
      return { ...common, recovery_target_name: target.name };
    case 'xid':
      return { ...common, recovery_target_xid: target.xid, recovery_target_inclusive: 'on' };
    case 'latest':
      return common;
  }
}

export interface Recovery {
  readonly backup: PhysicalManifest;
  readonly timeline: number;
  readonly start: bigint;
  /** Up to where the stored WAL goes without a break. */
  readonly end: bigint;
}

/**
 * The newest backup from which the target can be reached. Throws `RecoveryTargetUnreachable` with the nearest points
 * that can. Whether there is a commit after a time, or a transaction of a number, only the WAL itself tells.
 *
 * @param backups those that were verified
 * @param pointLsn of a target by name: where the restore point is, when that is known
 */
export function chooseRecovery(
  target: RecoveryTarget,
  backups: readonly PhysicalManifest[],
  archive: WalArchive,
  pointLsn?: bigint,
): Recovery {
  if (backups.length === 0) throw unreachable(target, 'there is no verified base backup');
  const whole = backups.filter((backup) => chainOf(backup, backups) !== undefined);
  try {
    return chooseAmong(target, whole, archive, pointLsn);
  } catch (error) {
    const broken = brokenChains(backups, backups);
    if (!(error instanceof PgdrError) || broken.length === 0) throw error;
    throw new PgdrError(error.name, `${error.message}. Left out: ${broken.join('; ')}`, { cause: error });
  }
}

/** @param backups those with all that they build on */
function chooseAmong(
  target: RecoveryTarget,
  backups: readonly PhysicalManifest[],
  archive: WalArchive,
  pointLsn: bigint | undefined,
): Recovery {
  if (backups.length === 0) throw unreachable(target, 'there is no verified base backup with all that it builds on');
  const timeline = timelineOf(target, backups, archive);
  const usable = usableOn(timeline, backups, archive);
  if (usable.length === 0) {
    throw unreachable(
      target,
      `no verified base backup of timeline ${timeline} or its ancestors has the WAL that it needs`,
    );
  }
  const after = usable.filter(({ backup }) => endsBefore(backup, target, pointLsn));
  const chosen = after.findLast((recovery) => reaches(recovery, target, archive, pointLsn));
  if (chosen) return chosen;
  if (after.length === 0) throw tooEarly(target, usable);
  throw tooLate(target, after);
}

/** The history that a recovery to the target follows. */
const timelineOf = (target: RecoveryTarget, backups: readonly PhysicalManifest[], archive: WalArchive): number =>
  target.timeline ?? latestTimeline(archive) ?? Math.max(...backups.map((backup) => backup.timeline));

/** The backups from which a timeline can be followed, the oldest first, each with how far it gets. */
function usableOn(timeline: number, backups: readonly PhysicalManifest[], archive: WalArchive): Recovery[] {
  const ancestors = archive.histories.get(timeline) ?? [];
  return (
    backups
      .filter((backup) => timelineAt(timeline, ancestors, parseLsn(backup.stopLsn) - 1n) === backup.timeline)
      .map((backup): Recovery => {
        const start = parseLsn(backup.startLsn);
        return { backup, timeline, start, end: reach(archive, timeline, start).end };
      })
      // Without the WAL up to its own end a backup is nothing.
      .filter(({ backup, end }) => end >= parseLsn(backup.stopLsn))
      .sort((a, b) => (a.start < b.start ? -1 : 1))
  );
}

/** Between which LSNs recoveries along the target's history may arrive, the oldest first. */
export function reachableAlong(
  target: RecoveryTarget,
  backups: readonly PhysicalManifest[],
  archive: WalArchive,
): Reachable {
  const whole = backups.filter((backup) => chainOf(backup, backups) !== undefined);
  const timeline = timelineOf(target, whole, archive);
  const ranges = new Map<bigint, Range>();
  for (const { backup, end } of usableOn(timeline, whole, archive)) {
    // Those that end in the same place are one range, from the oldest on.
    if (!ranges.has(end)) ranges.set(end, { start: parseLsn(backup.stopLsn), end });
  }
  return { timeline, histories: archive.histories, ranges: [...ranges.values()] };
}

/** Recovery becomes consistent at the end of the backup: an earlier target would be passed over in silence. */
function endsBefore(backup: PhysicalManifest, target: RecoveryTarget, pointLsn: bigint | undefined): boolean {
  switch (target.kind) {
    case 'time':
      return microseconds(backup.stoppedAt) <= microseconds(target.time);
    case 'lsn':
      return parseLsn(backup.stopLsn) <= parseLsn(target.lsn);
    case 'name':
      return pointLsn === undefined || parseLsn(backup.stopLsn) <= pointLsn;
    case 'xid':
      return !precedes(target.xid, backup.oldestRunningXid);
    case 'latest':
      return true;
  }
}

function reaches(
  { timeline, end }: Recovery,
  target: RecoveryTarget,
  archive: WalArchive,
  pointLsn: bigint | undefined,
): boolean {
  if (target.kind === 'lsn') return end >= parseLsn(target.lsn);
  if (target.kind === 'name' && pointLsn !== undefined) return end >= pointLsn;
  // What else there is to be found may be anywhere; a recovery that a gap cuts short must not pass for the latest.
  if (target.kind === 'latest') return !broken(archive, timeline, end);
  return true;
}

/** Is there stored WAL behind the end, which a recovery cannot get to? */
const broken = (archive: WalArchive, timeline: number, end: bigint): boolean =>
  (archive.objects.get(timeline) ?? []).some((object) => object.start > end);

/** Transaction numbers are 32 bits on a circle for whoever reads them from a row; with an epoch they are whole. */
function precedes(xid: string, than: string): boolean {
  const [a, b] = [BigInt(xid), BigInt(than)];
  if (a >= 2n ** 32n) return a < b;
  return BigInt.asIntN(32, a - b) < 0n;
}

const unreachable = (target: RecoveryTarget, why: string): PgdrError =>
  new PgdrError('RecoveryTargetUnreachable', `${describeTarget(target)} cannot be recovered: ${why}`);

function tooEarly(target: RecoveryTarget, usable: readonly Recovery[]): PgdrError {
  const [first] = usable.map(({ backup }) => backup);
  const nearest =
    target.kind === 'lsn' || target.kind === 'name'
      ? `LSN ${first?.stopLsn}`
      : `${first?.stoppedAt} (LSN ${first?.stopLsn})`;
  return unreachable(target, `the oldest usable base backup ended after it. The earliest point is ${nearest}`);
}

function tooLate(target: RecoveryTarget, after: readonly Recovery[]): PgdrError {
  const newest = after.at(-1) as Recovery;
  const end = formatLsn(newest.end);
  if (target.kind === 'latest') {
    return unreachable(
      target,
      `WAL is missing from LSN ${end} on, and there is more behind the gap. The latest point before it is LSN ${end}`,
    );
  }
  return unreachable(
    target,
    `the stored WAL of timeline ${newest.timeline} ends before it. The latest point is LSN ${end}`,
  );
}
