import { PgdrError } from './errors.ts';
import type { PhysicalManifest } from './physical-manifest.ts';

/** Base backups that build on one another: an increment is nothing without every backup down to the full one. Pure. */

/** A longer chain costs a recovery more files to look through than a full backup costs to take. */
export const mostIncrements = 32;

/**
 * What a backup needs, itself last and the full one first; undefined when one of them is not among `backups`.
 *
 * @param backups those that were verified
 */
export function chainOf(
  backup: PhysicalManifest,
  backups: readonly PhysicalManifest[],
): readonly PhysicalManifest[] | undefined {
  const chain = [backup];
  for (let { parentId } = backup; parentId !== null; ) {
    const parent = backups.find(({ id }) => id === parentId);
    if (!parent || chain.includes(parent)) return undefined;
    chain.unshift(parent);
    parentId = parent.parentId;
  }
  return chain;
}

/** As {@link chainOf}, but throws `AncestorMissing` with the one that is missing. */
export function requireChain(
  backup: PhysicalManifest,
  backups: readonly PhysicalManifest[],
): readonly PhysicalManifest[] {
  const chain = chainOf(backup, backups);
  if (chain) return chain;
  throw new PgdrError('AncestorMissing', brokenChains([backup], backups).join());
}

/** In words, the backups that an ancestor fails. */
export function brokenChains(asked: readonly PhysicalManifest[], backups: readonly PhysicalManifest[]): string[] {
  const known = new Set(backups.map(({ id }) => id));
  const parentOf = new Map(backups.map(({ id, parentId }) => [id, parentId]));
  return asked.flatMap((backup) => {
    if (chainOf(backup, backups)) return [];
    let missing = backup.parentId;
    while (missing !== null && missing !== backup.id && known.has(missing)) missing = parentOf.get(missing) ?? null;
    return [`base backup ${backup.id} is an increment and builds on ${missing}, which is missing or not verified`];
  });
}

export interface NextBackup {
  readonly major: number;
  readonly systemIdentifier: string;
  /** 17 and newer: whether the server keeps what increments are made of. */
  readonly summarizesWal: boolean;
  /** How long increments follow a full backup; null: every backup is a full one. */
  readonly fullEverySeconds: number | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What the next base backup builds on, or why it is a full one; `because` null: as configured. */
export type Basis =
  | { readonly chain: readonly PhysicalManifest[] }
  | { readonly chain: null; readonly because: string | null };

/** @param backups those that were verified */
export function chooseBasis(backups: readonly PhysicalManifest[], next: NextBackup): Basis {
  const full = (because: string | null): Basis => ({ chain: null, because });
  const { fullEverySeconds } = next;
  if (fullEverySeconds === null) return full(null);
  if (next.major < 17) return full(`PostgreSQL ${next.major} has no incremental backups`);
  if (!next.summarizesWal) return full('summarize_wal is off on the server');
  const newest = backups.toSorted((a, b) => (a.id < b.id ? 1 : -1))[0];
  if (!newest) return full(null);
  if (newest.systemIdentifier !== next.systemIdentifier) return full(`${newest.id} is of another server`);
  if (Math.floor(newest.serverVersionNum / 10_000) !== next.major) return full(`${newest.id} is of another major`);
  const chain = chainOf(newest, backups);
  if (!chain) return full(brokenChains([newest], backups)[0] ?? null);
  const [first] = chain;
  if (!first || next.now - Date.parse(first.startedAt) >= fullEverySeconds * 1000) return full(null);
  if (chain.length > mostIncrements) return full(`${mostIncrements} increments have followed ${first.id}`);
  return { chain };
}
