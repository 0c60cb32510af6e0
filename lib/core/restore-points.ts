import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { lsn } from './manifest-fields.ts';
import { timelineAt } from './wal.ts';
import type { Range } from './wal-archive.ts';
import { microsecondsToText, textToMicroseconds } from './wal-records.ts';

/**
 * Named restore points. The receiver writes each one down that it sees (`wal/points/`), which is a hint: it may have
 * missed one. So a name that is written down is taken from there, and one that is not is looked for in the WAL.
 */
export interface RestorePoint {
  readonly name: string;
  readonly timeline: number;
  /** LSN after its record. */
  readonly lsn: bigint;
  /** Microseconds since 1970, the server's clock. */
  readonly at: number;
}

const schema = z.object({
  schemaVersion: z.literal(1),
  name: z.string(),
  timeline: z.number().int().positive(),
  lsn,
  at: z.string(),
});

/** What is stored of a point. */
export const describePoint = ({ name, timeline, lsn: end, at }: RestorePoint): z.infer<typeof schema> => ({
  schemaVersion: 1,
  name,
  timeline,
  lsn: formatLsn(end),
  at: microsecondsToText(at),
});

/** Undefined for what no receiver wrote: a hint that cannot be read is none. */
export function parsePoint(text: string): RestorePoint | undefined {
  try {
    const { name, timeline, lsn: end, at } = schema.parse(JSON.parse(text));
    return { name, timeline, lsn: parseLsn(end), at: textToMicroseconds(at) };
  } catch {
    return undefined;
  }
}

/** The WAL that is read in search of a target, in bytes: a minute or so. Of more, only the recovery tells. */
export const mostSearchedBytes = 4n * 2n ** 30n;

/** Where a recovery may arrive: the timeline that it follows, and from where to where. */
export interface Reachable {
  readonly timeline: number;
  readonly histories: ReadonlyMap<number, readonly { readonly timeline: number; readonly end: bigint }[]>;
  readonly ranges: readonly Range[];
}

/** Those that lie on the history that is followed and within reach, in the order of the WAL. */
export const reachablePoints = (points: readonly RestorePoint[], { timeline, histories, ranges }: Reachable) =>
  points
    .filter((point) => timelineAt(timeline, histories.get(timeline) ?? [], point.lsn - 1n) === point.timeline)
    .filter(({ lsn: end }) => ranges.some((range) => range.start <= end && end <= range.end))
    .sort((a, b) => (a.lsn < b.lsn ? -1 : 1));

/**
 * The one point of a name; undefined when there is none. Throws `RecoveryTargetUnreachable` when there are several: a
 * recovery would stop at the first that it meets, which depends on the backup that it begins with.
 *
 * @param points those within reach
 */
export function pointNamed(name: string, points: readonly RestorePoint[]): RestorePoint | undefined {
  const [only, ...others] = points.filter((point) => point.name === name);
  if (!only || others.length === 0) return only;
  throw new PgdrError(
    'RecoveryTargetUnreachable',
    `restore point ${name} cannot be recovered: ${others.length + 1} points have this name: ` +
      `${tell([only, ...others])}. Ask for one of them by its time or its LSN`,
  );
}

const mostTold = 5;

/** `before (2026-11-21T02:00:00.000000Z, LSN 0/3000148), …`: the newest ones. */
export function tell(points: readonly RestorePoint[]): string {
  const told = points.slice(-mostTold).map(({ name, at, lsn: end }) => {
    return `${name} (${microsecondsToText(at)}, LSN ${formatLsn(end)})`;
  });
  if (told.length === 0) return 'none';
  const left = points.length - told.length;
  return left > 0 ? `${told.join(', ')} and ${left} earlier` : told.join(', ');
}

/** A name that is nowhere in the WAL that was looked through. */
export const noSuchPoint = (name: string, points: readonly RestorePoint[], where: string): PgdrError =>
  new PgdrError(
    'RecoveryTargetUnreachable',
    `restore point ${name} cannot be recovered: it is not ${where}. Nearest points: ${tell(points)}`,
  );
