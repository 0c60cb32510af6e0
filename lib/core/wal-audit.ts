import { parseWalKey } from './keys.ts';
import { formatLsn, laterLsn } from './lsn.ts';
import { segmentStart, stretchesOf } from './wal.ts';
import {
  contiguousEnd,
  endOf,
  latestTimeline,
  planRange,
  type Range,
  type WalArchive,
  type WalObject,
} from './wal-archive.ts';

/** What an audit of the stored WAL finds amiss. Pure, made from lists. */
export interface Finding {
  /** `missing`: bytes that a recovery would look for in vain; `altered`: a key that was written a second time; `broken`: an object that cannot be read as what its key says. */
  readonly kind: 'missing' | 'altered' | 'broken';
  readonly what: string;
}

/** One version of an object, as a listing of versions shows it. */
export interface Version {
  readonly key: string;
  readonly isDeleteMarker: boolean;
  readonly isLatest: boolean;
  readonly modifiedAt: Date;
}

/** Keys that are there: those whose latest version is no delete marker. */
export const presentKeys = (versions: readonly Version[]): string[] =>
  versions.filter(({ isLatest, isDeleteMarker }) => isLatest && !isDeleteMarker).map(({ key }) => key);

/** Every key is written once: a second version is somebody else's, whichever of the two is the latest. */
export function findAltered(versions: readonly Version[]): Finding[] {
  const written = Map.groupBy(
    versions.filter(({ isDeleteMarker }) => !isDeleteMarker),
    ({ key }) => key,
  );
  return [...written]
    .filter(([key, list]) => list.length > 1 && parseWalKey(key) !== undefined)
    .map(([key, list]): Finding => ({ kind: 'altered', what: `${key} was written ${list.length} times` }));
}

/**
 * What is missing on the history of the newest timeline between `from` and its end. `from`: where the oldest base backup
 * starts; undefined without one, and then the first stored byte of that timeline.
 */
export function missingRanges(archive: WalArchive, from: bigint | undefined): (Range & { timeline: number })[] {
  const newest = latestTimeline(archive);
  if (newest === undefined) return [];
  const stretches = stretchesOf(newest, archive.histories.get(newest) ?? []);
  const first = from ?? archive.objects.get(newest)?.[0]?.start ?? 0n;
  return stretches.flatMap(({ timeline, start, end }, i) => {
    const last = end ?? endOf(archive, timeline) ?? first;
    const begin = laterLsn(first, start);
    if (begin >= last) return [];
    const next = stretches[i + 1];
    const copied = segmentStart(last, archive.segmentBytes);
    // The next timeline's first segment has a copy of what came before the switch.
    const isCopied = next !== undefined && contiguousEnd(archive, next.timeline, copied) >= last;
    return planRange(archive, timeline, begin, last)
      .missing.filter((range) => !(isCopied && range.start >= copied))
      .map((range) => ({ ...range, timeline }));
  });
}

export const findMissing = (archive: WalArchive, from: bigint | undefined): Finding[] =>
  missingRanges(archive, from).map(({ timeline, start, end }) => ({
    kind: 'missing',
    what: `timeline ${timeline} from ${formatLsn(start)} to ${formatLsn(end)}`,
  }));

/** Which objects to read: all that came since `since`, and of the older ones every n-th, another set each day. */
export function chooseForReading(
  archive: WalArchive,
  modifiedAt: ReadonlyMap<string, Date>,
  options: { readonly since: Date; readonly everyNth: number; readonly day: number },
): WalObject[] {
  const objects = [...archive.objects.values()].flat();
  return objects.filter(({ key }, i) => {
    const at = modifiedAt.get(key);
    return (at !== undefined && at >= options.since) || (i + options.day) % options.everyNth === 0;
  });
}
