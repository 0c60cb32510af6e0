import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { parseWalKey } from './keys.ts';
import { earlierLsn, laterLsn } from './lsn.ts';
import {
  type Ancestor,
  isSegmentSize,
  parseHistory,
  parseSegmentName,
  segmentStart,
  segmentsOf,
  stretchesOf,
} from './wal.ts';

/**
 * What the store holds of the WAL, made from nothing but the list of its keys and the texts of its `.history` objects:
 * which bytes of which timeline, where they are missing, and which objects have to be read for which bytes.
 */

/** `wal/archive.json`, written by the first receiver: another server must never mix its WAL into this lineage. */
export const walIdentitySchema = z.object({
  schemaVersion: z.literal(1),
  systemIdentifier: z.string().regex(/^\d+$/),
  walSegmentBytes: z.number().refine(isSegmentSize),
  startedAt: z.string(),
});
export type WalIdentity = z.infer<typeof walIdentitySchema>;

export function parseWalIdentity(text: string, key: string): WalIdentity {
  try {
    return walIdentitySchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new PgdrError('ManifestInvalid', `${key} is not what the receiver wrote`, { cause });
  }
}

/** Bytes [start, end) of the WAL. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

export interface WalObject extends Range {
  readonly key: string;
  /** A `segment` is complete; a `part` is what was durable of one within a few seconds. */
  readonly kind: 'segment' | 'part';
  readonly timeline: number;
  /** Name of the segment that it is, or is a part of. */
  readonly segment: string;
}

export interface WalArchive {
  readonly segmentBytes: number;
  /** By timeline, ordered by start, then by end, the longest first. */
  readonly objects: ReadonlyMap<number, readonly WalObject[]>;
  /** The same, by the segment that they are or are a part of. */
  readonly bySegment: ReadonlyMap<string, readonly WalObject[]>;
  /** Ancestors by timeline, for those whose `.history` is stored. */
  readonly histories: ReadonlyMap<number, readonly Ancestor[]>;
  /** Keys below `wal/` that pgdr does not write. */
  readonly strangers: readonly string[];
}

/** `histories`: the text of each stored `.history`, by its timeline. */
export function readArchive(
  keys: Iterable<string>,
  segmentBytes: number,
  histories: ReadonlyMap<number, string> = new Map(),
): WalArchive {
  const objects: WalObject[] = [];
  const strangers: string[] = [];
  for (const key of keys) {
    const parsed = parseWalKey(key);
    const object = parsed && toObject(key, parsed, segmentBytes);
    if (object) objects.push(object);
    else if (!parsed || parsed.kind === 'segment' || parsed.kind === 'part') strangers.push(key);
  }
  objects.sort(byStart);
  return {
    segmentBytes,
    objects: Map.groupBy(objects, ({ timeline }) => timeline),
    bySegment: Map.groupBy(objects, ({ segment }) => segment),
    histories: new Map([...histories].map(([timeline, text]) => [timeline, parseHistory(text)])),
    strangers,
  };
}

function toObject(key: string, parsed: NonNullable<ReturnType<typeof parseWalKey>>, segmentBytes: number) {
  if (parsed.kind !== 'segment' && parsed.kind !== 'part') return undefined;
  const segment = parseSegmentName(parsed.segment, segmentBytes);
  if (!segment) return undefined;
  const whole = { start: segment.start, end: segment.start + BigInt(segmentBytes) };
  const range = parsed.kind === 'part' ? { start: parsed.start, end: parsed.end } : whole;
  if (range.start < whole.start || range.end > whole.end) return undefined;
  return { key, kind: parsed.kind, timeline: segment.timeline, segment: parsed.segment, ...range };
}

const byStart = (a: WalObject, b: WalObject): number =>
  a.start < b.start ? -1 : a.start > b.start ? 1 : a.end > b.end ? -1 : a.end < b.end ? 1 : 0;

/** The stored stretches of a timeline, joined where they touch or overlap, in order. */
export function coverage(archive: WalArchive, timeline: number): Range[] {
  return joined(archive.objects.get(timeline) ?? []);
}

/** Ranges in order of their start, joined where they touch or overlap. */
function joined(ranges: Iterable<Range>): Range[] {
  const result: { start: bigint; end: bigint }[] = [];
  for (const { start, end } of ranges) {
    const last = result.at(-1);
    if (last && start <= last.end) last.end = laterLsn(last.end, end);
    else result.push({ start, end });
  }
  return result;
}

/** What is missing between the first and the last stored byte of a timeline. */
export function gapsOf(archive: WalArchive, timeline: number): Range[] {
  const stored = coverage(archive, timeline);
  return stored.slice(1).map(({ start }, i) => ({ start: (stored[i] as Range).end, end: start }));
}

/** Where the stored WAL that contains or follows `from` without a break ends; `from` itself when there is none. */
export function contiguousEnd(archive: WalArchive, timeline: number, from: bigint): bigint {
  const holding = coverage(archive, timeline).find(({ start, end }) => start <= from && from <= end);
  return holding ? holding.end : from;
}

/** Where the stored WAL of a timeline ends, gaps or not; undefined when nothing of it is stored. */
export const endOf = (archive: WalArchive, timeline: number): bigint | undefined =>
  coverage(archive, timeline).at(-1)?.end;

/** The newest timeline of which anything is stored, its `.history` alone included. */
export const latestTimeline = (archive: WalArchive): number | undefined => {
  const known = [...archive.objects.keys(), ...archive.histories.keys()];
  return known.length > 0 ? Math.max(...known) : undefined;
};

/** Take `length` bytes at `offset` of the uncompressed object and put them at `start` of the WAL. */
export interface Piece extends Range {
  readonly object: WalObject;
  readonly offset: number;
  readonly length: number;
}

export interface Plan {
  readonly pieces: readonly Piece[];
  readonly missing: readonly Range[];
}

/** The objects to read for bytes [from, to) of one timeline, whole segments before parts, each byte once. */
export function planRange(archive: WalArchive, timeline: number, from: bigint, to: bigint): Plan {
  const { segmentBytes } = archive;
  const plans = segmentsOf(timeline, from, to, segmentBytes).map((segment, i) => {
    const start = segmentStart(from, segmentBytes) + BigInt(i) * BigInt(segmentBytes);
    const within = { start: laterLsn(from, start), end: earlierLsn(to, start + BigInt(segmentBytes)) };
    return planWithin(archive.bySegment.get(segment) ?? [], within);
  });
  return { pieces: plans.flatMap(({ pieces }) => pieces), missing: joined(plans.flatMap(({ missing }) => missing)) };
}

/**
 * What to read for one segment file. The newest segment ends where the stored WAL does, so its tail is in `missing`;
 * PostgreSQL takes a file whose rest is zeros as the end of the WAL.
 */
export function planSegment(archive: WalArchive, segment: string): Plan {
  const parsed = parseSegmentName(segment, archive.segmentBytes);
  if (!parsed) throw new RangeError(`not the name of a segment: ${segment}`);
  return planRange(archive, parsed.timeline, parsed.start, parsed.start + BigInt(archive.segmentBytes));
}

function planWithin(objects: readonly WalObject[], { start: from, end: to }: Range): Plan {
  const pieces: Piece[] = [];
  const missing: Range[] = [];
  let at = from;
  while (at < to) {
    const object = best(objects.filter(({ start, end }) => start <= at && end > at));
    if (object) {
      const end = earlierLsn(object.end, to);
      pieces.push({ object, offset: Number(at - object.start), length: Number(end - at), start: at, end });
      at = end;
    } else {
      const resumes = objects.find(({ start }) => start > at)?.start ?? to;
      const end = earlierLsn(resumes, to);
      missing.push({ start: at, end });
      at = end;
    }
  }
  return { pieces, missing };
}

/** The object that brings furthest; a whole segment beats its parts. */
function best(candidates: readonly WalObject[]): WalObject | undefined {
  const whole = candidates.find(({ kind }) => kind === 'segment');
  return whole ?? candidates.toSorted((a, b) => (a.end > b.end ? -1 : 1))[0];
}

export interface Reach {
  /** The first byte that a recovery would look for in vain. */
  readonly end: bigint;
  /** The timeline that it is missing on. */
  readonly timeline: number;
  /** Whether the timeline that was asked for is reached at all. */
  readonly arrives: boolean;
}

/** How far a recovery gets that starts at `from` and follows the history of `timeline`. */
export function reach(archive: WalArchive, timeline: number, from: bigint): Reach {
  const stretches = stretchesOf(timeline, archive.histories.get(timeline) ?? []);
  let at = from;
  for (const [i, stretch] of stretches.entries()) {
    if (stretch.end !== undefined && stretch.end <= at) continue;
    const end = contiguousEnd(archive, stretch.timeline, at);
    const next = stretches[i + 1];
    if (stretch.end === undefined || !next) return { end, timeline: stretch.timeline, arrives: true };
    // A timeline's first segment begins with a copy of its ancestor's bytes, and PostgreSQL reads them there.
    const copied = segmentStart(stretch.end, archive.segmentBytes);
    const served =
      end >= stretch.end || (end >= copied && contiguousEnd(archive, next.timeline, copied) >= stretch.end);
    if (!served) return { end, timeline: stretch.timeline, arrives: false };
    at = stretch.end;
  }
  return { end: at, timeline, arrives: true };
}
