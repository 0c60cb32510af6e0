/**
 * Which backups stay, and why; what goes, and since when it may. Pure: the caller lists the store and acts.
 * Times are milliseconds since the epoch.
 */

export interface RetentionPolicy {
  /** Every backup younger than this stays. */
  readonly dailyMs: number;
  /** For this long the first verified backup of each month stays; 0 keeps no archive. */
  readonly monthlyMs: number;
  /** Physical backups and WAL stay as far as a recovery to any moment of this window needs them. */
  readonly windowMs: number;
}

interface StoredBackup {
  readonly id: string;
  /** The moment whose content it holds; for a physical backup, when it ended and can be recovered to. */
  readonly at: number;
  readonly verified: boolean;
  /** End of its Object Lock; null when it has none. */
  readonly lockUntil: number | null;
}

export interface LogicalBackup extends StoredBackup {
  readonly kind: 'logical';
  /** Whether it holds all that the configuration asks for: a selection that somebody asked for protects nothing. */
  readonly complete: boolean;
}

export interface PhysicalBackup extends StoredBackup {
  readonly kind: 'physical';
  /** The backup that it is an increment to. */
  readonly parentId: string | null;
  readonly timeline: number;
  readonly startLsn: bigint;
}

export type Backup = LogicalBackup | PhysicalBackup;

export const keepReasons = {
  newestVerified: 'the newest verified backup',
  newestOfAll: 'none newer is verified',
  daily: 'younger than retention.daily',
  monthly: 'the first verified backup of its month',
  window: 'the recovery window begins with it',
  withinWindow: 'within the recovery window',
  ancestor: 'a later increment builds on it',
  locked: 'its Object Lock has not ended',
} as const;
export type KeepReason = keyof typeof keepReasons;

export interface Verdict<T extends Backup = Backup> {
  readonly backup: T;
  /** Empty for one that may go. */
  readonly keep: readonly KeepReason[];
}

const monthOf = (at: number): string => new Date(at).toISOString().slice(0, 7);
const byTime = (a: Backup, b: Backup): number => a.at - b.at || (a.id < b.id ? -1 : 1);

/** Logical backups: all young ones, a monthly archive, and never the last that was proven intact. */
export function judgeLogical<T extends LogicalBackup>(
  backups: readonly T[],
  policy: RetentionPolicy,
  now: number,
): Verdict<T>[] {
  const ordered = backups.toSorted(byTime);
  const sound = ordered.filter(({ verified, complete }) => verified && complete);
  const newest = sound.at(-1);
  const archives = new Map<string, string>();
  for (const { id, at } of sound) {
    if (now - at < policy.monthlyMs && !archives.has(monthOf(at))) archives.set(monthOf(at), id);
  }
  return ordered.map((backup) => {
    const keep: KeepReason[] = [];
    if (backup === newest) keep.push('newestVerified');
    // Nothing goes unless something newer was proven: a store full of failures is not thinned out.
    if (backup !== newest && (!newest || backup.at > newest.at)) keep.push('newestOfAll');
    if (now - backup.at < policy.dailyMs) keep.push('daily');
    if (archives.get(monthOf(backup.at)) === backup.id) keep.push('monthly');
    if (backup.lockUntil !== null && backup.lockUntil > now) keep.push('locked');
    return { backup, keep };
  });
}

/**
 * Physical backups: the newest verified one that ended before the window begins carries its oldest moment, so that one
 * stays, all that came after it, and every backup that one of those is an increment to.
 */
export function judgePhysical<T extends PhysicalBackup>(
  backups: readonly T[],
  policy: RetentionPolicy,
  now: number,
): Verdict<T>[] {
  const ordered = backups.toSorted(byTime);
  const byId = new Map(ordered.map((backup) => [backup.id, backup]));
  const newest = ordered.findLast((backup) => isUsable(backup, byId));
  const begins = now - policy.windowMs;
  const first = ordered.findLast((backup) => backup.at <= begins && isUsable(backup, byId));
  const keep = new Map<string, KeepReason[]>(ordered.map(({ id }) => [id, []]));
  for (const backup of ordered) {
    const reasons = keep.get(backup.id) as KeepReason[];
    if (backup === newest) reasons.push('newestVerified');
    if (backup === first) reasons.push('window');
    else if (!first || backup.at > first.at) reasons.push(newest ? 'withinWindow' : 'newestOfAll');
    if (backup.lockUntil !== null && backup.lockUntil > now) reasons.push('locked');
  }
  // Younger ones first: an increment that stays makes its parent stay, which makes its own parent stay.
  for (const backup of ordered.toReversed()) {
    const parent = keep.get(backup.parentId ?? '');
    if (parent && keep.get(backup.id)?.length && !parent.includes('ancestor')) parent.push('ancestor');
  }
  return ordered.map((backup) => ({ backup, keep: keep.get(backup.id) ?? [] }));
}

/** Whether a recovery can begin with it: verified itself, and every backup that it builds on is there and verified. */
function isUsable(backup: PhysicalBackup, byId: ReadonlyMap<string, PhysicalBackup>): boolean {
  for (let at: PhysicalBackup | undefined = backup; at; at = byId.get(at.parentId ?? '')) {
    if (!at.verified) return false;
    if (at.parentId !== null && !byId.has(at.parentId)) return false;
  }
  return true;
}
