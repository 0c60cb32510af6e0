import { chainOf } from './backup-chain.ts';
import { parseLsn } from './lsn.ts';
import type { PhysicalManifest } from './physical-manifest.ts';
import { timelineAt } from './wal.ts';
import { coverage, type Range, reach, type WalArchive, type WalObject } from './wal-archive.ts';

/**
 * The recoverable window: the stretches of WAL to any point of which a database can be brought, each from the end of a
 * base backup to where the stored WAL first breaks off. Pure, made from lists.
 */
export interface Stretch {
  /** The timeline that a recovery to its end follows. */
  readonly timeline: number;
  /** End of its oldest backup: no earlier point is consistent. */
  readonly from: { readonly lsn: bigint; readonly backup: PhysicalManifest };
  /** The first byte that is not stored. */
  readonly to: { readonly lsn: bigint; readonly because: End };
  /** Backups from which a recovery inside it may start, the oldest first. */
  readonly backups: readonly PhysicalManifest[];
}

/** `stored`: nothing follows it; `gap`: WAL is missing, and there is more behind; `left`: the history went on elsewhere. */
export type End =
  | { readonly kind: 'stored' }
  | { readonly kind: 'gap'; readonly gap: Range }
  | { readonly kind: 'left'; readonly by: number; readonly at: bigint };

/** The stretches of all timelines, the oldest end first; one that lies within a longer one is left out. */
export function recoverableStretches(backups: readonly PhysicalManifest[], archive: WalArchive): Stretch[] {
  const timelines = new Set([
    ...archive.objects.keys(),
    ...archive.histories.keys(),
    ...backups.map(({ timeline }) => timeline),
  ]);
  const stretches: Stretch[] = [];
  for (const timeline of [...timelines].sort((a, b) => a - b)) {
    const byEnd = Map.groupBy(usableBackups(backups, archive, timeline), ({ end }) => end);
    for (const [end, usable] of byEnd) {
      const own = usable.map(({ backup }) => backup).sort((a, b) => (stopOf(a) < stopOf(b) ? -1 : 1));
      const [oldest] = own;
      if (!oldest) continue;
      const to = { lsn: end, because: whyItEnds(archive, timeline, end) };
      stretches.push({ timeline, from: { lsn: stopOf(oldest), backup: oldest }, to, backups: own });
    }
  }
  return stretches
    .filter((one) => !stretches.some((other) => other !== one && contains(other, one, archive)))
    .sort((a, b) => (a.to.lsn < b.to.lsn ? -1 : a.to.lsn > b.to.lsn ? 1 : a.timeline - b.timeline));
}

const stopOf = (backup: PhysicalManifest): bigint => parseLsn(backup.stopLsn);

/** Backups on the history of a timeline whose WAL up to their own end is there, each with how far it gets. */
function usableBackups(backups: readonly PhysicalManifest[], archive: WalArchive, timeline: number) {
  const ancestors = archive.histories.get(timeline) ?? [];
  return backups
    .filter(
      (backup) => chainOf(backup, backups) && timelineAt(timeline, ancestors, stopOf(backup) - 1n) === backup.timeline,
    )
    .map((backup) => ({ backup, end: reach(archive, timeline, parseLsn(backup.startLsn)).end }))
    .filter(({ backup, end }) => end >= stopOf(backup));
}

function whyItEnds(archive: WalArchive, timeline: number, end: bigint): End {
  const ancestors = archive.histories.get(timeline) ?? [];
  const on = timelineAt(timeline, ancestors, end);
  const behind = coverage(archive, on).find(({ start }) => start > end);
  if (behind) return { kind: 'gap', gap: { start: end, end: behind.start } };
  const fork = ancestors.find((ancestor) => ancestor.timeline === on);
  if (fork && end < fork.end) return { kind: 'gap', gap: { start: end, end: fork.end } };
  for (const [by, history] of archive.histories) {
    const left = history.find((ancestor) => ancestor.timeline === timeline);
    if (left) return { kind: 'left', by, at: left.end };
  }
  return { kind: 'stored' };
}

/** Whether every point of `inner` is also reached along `outer`, which goes on from its timeline. */
function contains(outer: Stretch, inner: Stretch, archive: WalArchive): boolean {
  if (outer.timeline <= inner.timeline) return false;
  const ancestor = archive.histories.get(outer.timeline)?.find(({ timeline }) => timeline === inner.timeline);
  return (
    ancestor !== undefined &&
    inner.to.lsn <= ancestor.end &&
    outer.from.lsn <= inner.from.lsn &&
    outer.to.lsn >= inner.to.lsn
  );
}

/** The objects that a recovery along the stretch reads last, the last one first: where its newest commit is. */
export function* lastObjects(stretch: Stretch, archive: WalArchive): Generator<WalObject> {
  const ancestors = archive.histories.get(stretch.timeline) ?? [];
  const line = [stretch.timeline, ...ancestors.map(({ timeline }) => timeline).reverse()];
  for (const timeline of line) {
    const end = ancestors.find((ancestor) => ancestor.timeline === timeline)?.end ?? stretch.to.lsn;
    for (const object of (archive.objects.get(timeline) ?? []).toReversed()) {
      if (object.end <= end && object.end <= stretch.to.lsn && object.end > stretch.from.lsn) yield object;
    }
  }
}
