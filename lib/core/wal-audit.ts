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

/** The item of the state table that holds what one audit leaves for the next. */
export const walAuditItem = 'wal-audit';

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

/** A gap that the receiver recorded: the server no longer had this WAL. */
export interface RecordedGap extends Range {
  readonly timeline: number;
}

export interface Circumstances {
  /** Where the oldest verified base backup starts; undefined without one. */
  readonly from: bigint | undefined;
  /** What the store ever held: the same as the archive, with what was deleted since. */
  readonly ever: WalArchive;
  readonly recorded: readonly RecordedGap[];
  /** Where each verified base backup starts. */
  readonly backups: readonly { readonly timeline: number; readonly start: bigint }[];
  /** Whether an object is so young that others, which were sent before it, may still be on their way. */
  readonly isYoung: (object: WalObject) => boolean;
}

/**
 * What is missing and is worth a page. What was there and was deleted is, at once. What never came is, unless an object
 * behind it is so young that it may still come: uploads and copies to the other region overtake each other. A gap that the
 * receiver recorded counts until a base backup begins behind it: then all that can be done has been done.
 */
export function findMissing(archive: WalArchive, given: Circumstances): Finding[] {
  const { ever, recorded, backups, isYoung } = given;
  return missingRanges(archive, given.from).flatMap(({ timeline, start, end }): Finding[] => {
    const within = recorded.find((gap) => gap.timeline === timeline && gap.start <= start && gap.end >= end);
    if (within && backups.some((backup) => backup.timeline >= timeline && backup.start >= within.end)) return [];
    const wasThere = planRange(ever, timeline, start, end).missing.length === 0;
    const follower = archive.objects.get(timeline)?.find((object) => object.start >= end);
    if (!wasThere && !within && follower && isYoung(follower)) return [];
    return [{ kind: 'missing', what: `timeline ${timeline} from ${formatLsn(start)} to ${formatLsn(end)}` }];
  });
}

export interface Reading {
  readonly objects: readonly WalObject[];
  /** Key behind which the next run goes on with what is old; undefined: from the beginning. */
  readonly next: string | undefined;
}

/**
 * Which objects to read: all that came since `since`, and of the older ones the next few behind `after`, so that run by
 * run all of them are read again. `sweep`: runs in which that is done.
 */
export function chooseForReading(
  archive: WalArchive,
  modifiedAt: ReadonlyMap<string, Date>,
  options: { readonly since: Date; readonly after: string | undefined; readonly sweep: number },
): Reading {
  const all = [...archive.objects.values()].flat().sort((a, b) => (a.key < b.key ? -1 : 1));
  const isNew = ({ key }: WalObject) => (modifiedAt.get(key) ?? options.since) >= options.since;
  const old = all.filter((object) => !isNew(object));
  const { after } = options;
  const begin = after === undefined ? 0 : old.findIndex(({ key }) => key > after);
  const chosen = begin < 0 ? [] : old.slice(begin, begin + Math.ceil(old.length / options.sweep));
  const last = chosen.at(-1);
  const next = last === undefined || last === old.at(-1) ? undefined : last.key;
  return { objects: [...all.filter(isNew), ...chosen], next };
}
