import { humanSeconds } from '../../core/human.ts';
import { coverage } from '../../core/page/chart.ts';
import { type Html, html } from '../../core/page/html.ts';
import { mergedStretches } from '../../core/recoverability.ts';
import type { ReportData } from './data.ts';

/** The recoverable window of a database as a timeline. */

export const verifiedOf = ({ backups }: ReportData) =>
  backups.filter(({ verifiedAt, problem }) => verifiedAt !== null && !problem).toReversed();

/** Where WAL is received the window is of time, and of moments alone where it is not. */
export function recoverableWindow(data: ReportData, at: Date): Html | undefined {
  const usable = verifiedOf(data);
  const { status } = data;
  const ranges = mergedStretches(status.regions.find(({ region }) => region === status.region)?.window ?? []).map(
    ({ from, to }) => ({ from, to, label: `any moment from ${time(text(from))} to ${time(text(to))}` }),
  );
  const oldest = Math.min(...ranges.map(({ from }) => from), ...usable.map(({ takenAt }) => Date.parse(takenAt)));
  if (oldest === Number.POSITIVE_INFINITY) return undefined;
  return coverage(
    'Recoverable window.',
    ranges.length > 0 ? wordsForRanges(ranges, usable.length) : wordsForMoments(usable.map(({ takenAt }) => takenAt)),
    {
      from: oldest,
      to: at.getTime(),
      ranges,
      moments: data.backups
        .filter(({ problem }) => !problem)
        .map(({ id, takenAt, verifiedAt }) => ({
          at: Date.parse(takenAt),
          value: 1,
          bad: verifiedAt === null,
          label: `${id}: ${verifiedAt === null ? 'not verified' : 'can be restored'}`,
        })),
    },
  );
}

function wordsForRanges(ranges: readonly { from: number; to: number }[], moments: number): string {
  const seconds = ranges.reduce((sum, { from, to }) => sum + to - from, 0) / 1000;
  const newest = Math.max(...ranges.map(({ to }) => to));
  const gaps = ranges.length === 1 ? 'without a gap' : `in ${ranges.length} stretches with gaps between them`;
  return `Any moment of ${humanSeconds(seconds)} up to ${time(text(newest))}, ${gaps}; and ${moments} logical backups.`;
}

function wordsForMoments(taken: readonly string[]): string {
  const longest = longestStep(taken.map((one) => Date.parse(one)));
  return `${taken.length} moments from ${time(taken[0] ?? '')} to ${time(taken.at(-1) ?? '')}; the longest time between two is ${humanSeconds(longest)}.`;
}

const longestStep = (times: readonly number[]): number =>
  times.slice(1).reduce((longest, one, i) => Math.max(longest, one - (times[i] as number)), 0) / 1000;

const text = (at: number): string => new Date(at).toISOString();

/** In a table, on one line. */
export const when = (iso: string): Html => html`<time>${time(iso)}</time>`;

/** `2026-11-21 02:00:03 UTC` */
export const time = (iso: string): string => (iso === '' ? '–' : `${iso.slice(0, 19).replace('T', ' ')} UTC`);
