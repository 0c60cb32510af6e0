import type { WalArchive } from '../wal-archive.ts';
import {
  type Backup,
  judgeLogical,
  judgePhysical,
  type KeepReason,
  type LogicalBackup,
  type PhysicalBackup,
  type RetentionPolicy,
  type Verdict,
} from './backups.ts';
import { expiredWal } from './wal.ts';

/** An object of the store as a listing shows it. */
export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  readonly storedAt: number;
}

/** A backup with where it lies and what it needs, objects of earlier backups among them. */
export type PlacedBackup = Backup & {
  /** Its folder, with the trailing slash. */
  readonly prefix: string;
  readonly keys: readonly string[];
};

export interface Store {
  readonly backups: readonly PlacedBackup[];
  /** All objects below `logical/` and `base/`. */
  readonly objects: readonly StoredObject[];
  readonly wal: WalArchive | undefined;
  readonly walObjects: readonly StoredObject[];
}

export interface PlanOptions {
  readonly policy: RetentionPolicy;
  readonly now: number;
  /** How long every object is locked from when it was stored. */
  readonly lockMs: number;
  /** What has no manifest is left alone for this long: a backup under way has none yet. */
  readonly orphanMs: number;
}

export interface Removal {
  readonly key: string;
  readonly bytes: number;
  readonly reason: string;
}

export interface RetentionPlan {
  readonly keep: readonly { readonly id: string; readonly kind: Backup['kind']; readonly why: readonly KeepReason[] }[];
  readonly expire: readonly { readonly id: string; readonly kind: Backup['kind']; readonly why: string }[];
  /** In the order in which they are to be removed: what makes a backup exist goes first, so none is left broken. */
  readonly removals: readonly Removal[];
  /** Objects that a kept backup refers to though their own backup goes. */
  readonly shared: number;
  /** Keys below a backup's folder whose backup has no manifest, too young to be removed. */
  readonly pending: number;
}

/** What to remove from the store, and why each thing stays or goes. Throws nothing: what it cannot judge stays. */
export function planRetention(store: Store, options: PlanOptions): RetentionPlan {
  const { policy, now } = options;
  const logical = store.backups.filter((backup): backup is PlacedBackup & LogicalBackup => backup.kind === 'logical');
  const physical = store.backups.filter((b): b is PlacedBackup & PhysicalBackup => b.kind === 'physical');
  const verdicts = [
    ...judgeLogical(logical, policy, now),
    ...judgePhysical(physical, policy, now),
  ] as readonly Verdict<PlacedBackup>[];
  const kept = verdicts.filter(({ keep }) => keep.length > 0).map(({ backup }) => backup);
  const gone = verdicts.filter(({ keep }) => keep.length === 0).map(({ backup }) => backup);

  const needed = new Set(kept.flatMap(({ keys }) => keys));
  const keptPrefixes = new Set(kept.map(({ prefix }) => prefix));
  const gonePrefixes = new Map(gone.map((backup) => [backup.prefix, backup]));
  const locked = ({ storedAt }: StoredObject): boolean => storedAt + options.lockMs > now;

  const removals: Removal[] = [];
  let shared = 0;
  let pending = 0;
  const orphans = Map.groupBy(
    store.objects.filter(({ key }) => !keptPrefixes.has(folderOf(key)) && !gonePrefixes.has(folderOf(key))),
    ({ key }) => folderOf(key),
  );
  for (const object of store.objects) {
    const backup = gonePrefixes.get(folderOf(object.key));
    if (!backup) continue;
    if (needed.has(object.key)) shared++;
    else if (!locked(object)) removals.push({ ...sized(object), reason: `backup ${backup.id} expired` });
  }
  for (const [folder, objects] of orphans) {
    const youngest = Math.max(...objects.map(({ storedAt }) => storedAt));
    for (const object of objects) {
      if (needed.has(object.key)) shared++;
      else if (youngest + options.orphanMs > now || locked(object)) pending++;
      else removals.push({ ...sized(object), reason: `${folder} has no manifest` });
    }
  }
  const walObjects = new Map(store.walObjects.map((object) => [object.key, object]));
  const keptPhysical = physical.filter((backup) => kept.includes(backup));
  for (const { object, reason } of store.wal ? expiredWal(store.wal, keptPhysical) : []) {
    const stored = walObjects.get(object.key);
    if (stored && !locked(stored)) removals.push({ ...sized(stored), reason });
  }
  return {
    keep: verdicts.filter(({ keep }) => keep.length > 0).map(({ backup, keep }) => ({ ...named(backup), why: keep })),
    expire: gone.map((backup) => ({ ...named(backup), why: whyGone(backup, policy) })),
    removals: removals.toSorted((a, b) => Number(isManifest(b.key)) - Number(isManifest(a.key))),
    shared,
    pending,
  };
}

const named = ({ id, kind }: Backup) => ({ id, kind });
const sized = ({ key, bytes }: StoredObject) => ({ key, bytes });
const isManifest = (key: string): boolean => key.endsWith('/manifest.json');

/** `…/logical/{id}/` or `…/base/{id}/` of a key below it. */
export function folderOf(key: string): string {
  return /^.*?\/(?:logical|base)\/[^/]+\//.exec(key)?.[0] ?? key;
}

function whyGone(backup: Backup, policy: RetentionPolicy): string {
  if (backup.kind === 'physical') return 'no moment of the recovery window needs it';
  const days = Math.floor(policy.dailyMs / 86_400_000);
  return `older than ${days} days, not the first verified one of its month, and a newer one is verified`;
}
