import { parseLsn } from './lsn.ts';

/**
 * Segments and timelines, as PostgreSQL names them
 * (https://www.postgresql.org/docs/current/wal-internals.html, src/include/access/xlog_internal.h).
 * A segment's name is 24 digits: the timeline, then the upper half of its start, then which segment it is in there.
 */

export interface Segment {
  readonly timeline: number;
  /** LSN of its first byte. */
  readonly start: bigint;
}

/** A power of two from 1 MiB to 1 GiB, chosen at initdb; 16 MiB unless somebody asked otherwise. */
export const isSegmentSize = (bytes: number): boolean =>
  Number.isInteger(bytes) && bytes >= 2 ** 20 && bytes <= 2 ** 30 && Number.isInteger(Math.log2(bytes));

const digits = (value: number | bigint): string => value.toString(16).padStart(8, '0').toUpperCase();

/** Eight digits, as in the names of segments and history files. */
export const timelineDigits = (timeline: number): string => digits(timeline);

export const segmentStart = (lsn: bigint, segmentBytes: number): bigint => lsn - (lsn % BigInt(segmentBytes));

/** Name of the segment that holds the byte at `lsn`. */
export function segmentName(timeline: number, lsn: bigint, segmentBytes: number): string {
  const withinHalf = (lsn & 0xffff_ffffn) / BigInt(segmentBytes);
  return `${digits(timeline)}${digits(lsn >> 32n)}${digits(withinHalf)}`;
}

/** Undefined for what is not the name of a segment of this size. */
export function parseSegmentName(name: string, segmentBytes: number): Segment | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined;
  const [timeline, upper, nth] = [0, 8, 16].map((from) => Number.parseInt(name.slice(from, from + 8), 16)) as [
    number,
    number,
    number,
  ];
  if (timeline === 0 || nth >= 2 ** 32 / segmentBytes) return undefined;
  return { timeline, start: (BigInt(upper) << 32n) + BigInt(nth) * BigInt(segmentBytes) };
}

/** The names of all segments that hold a byte of [from, to). */
export function segmentsOf(timeline: number, from: bigint, to: bigint, segmentBytes: number): string[] {
  const names: string[] = [];
  if (from >= to) return names;
  for (let at = segmentStart(from, segmentBytes); at < to; at += BigInt(segmentBytes)) {
    names.push(segmentName(timeline, at, segmentBytes));
  }
  return names;
}

/** One line of a `.history` file: up to `end`, the history is that of `timeline`. */
export interface Ancestor {
  readonly timeline: number;
  readonly end: bigint;
}

/**
 * The ancestors in a `.history` file, the oldest first; comments and empty lines are skipped. Throws a RangeError for
 * one whose timelines do not rise, since nothing that is planned with it could be trusted.
 */
export function parseHistory(text: string): Ancestor[] {
  const ancestors: Ancestor[] = [];
  for (const line of text.split('\n')) {
    const content = line.replace(/#.*$/, '').trim();
    if (content === '') continue;
    const [timeline, end] = content.split(/\s+/);
    const ancestor = { timeline: Number(timeline), end: parseLsn(end ?? '') };
    const before = ancestors.at(-1);
    if (!Number.isInteger(ancestor.timeline) || ancestor.timeline <= (before?.timeline ?? 0)) {
      throw new RangeError(`timelines of a history do not rise: ${line}`);
    }
    ancestors.push(ancestor);
  }
  return ancestors;
}

/** A stretch of one timeline; without an `end` it goes on. */
export interface Stretch {
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint | undefined;
}

/** What the history of a timeline consists of, from LSN 0 on: a stretch of each ancestor, then itself. */
export function stretchesOf(timeline: number, ancestors: readonly Ancestor[]): Stretch[] {
  const stretches: Stretch[] = [];
  let start = 0n;
  for (const ancestor of ancestors) {
    stretches.push({ timeline: ancestor.timeline, start, end: ancestor.end });
    start = ancestor.end;
  }
  return [...stretches, { timeline, start, end: undefined }];
}

/** The timeline that wrote the byte at `lsn` in the history of `timeline`. */
export function timelineAt(timeline: number, ancestors: readonly Ancestor[], lsn: bigint): number {
  return ancestors.find(({ end }) => lsn < end)?.timeline ?? timeline;
}
