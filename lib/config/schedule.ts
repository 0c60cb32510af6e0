import { Cron } from 'croner';

/**
 * Schedule expressions of EventBridge Scheduler, in UTC: `cron(minute hour day-of-month month day-of-week year)` with
 * `?` in one of the two day fields, and `rate(n unit)`.
 */

/** Any fixed day would do; a fixed one makes synthesis give the same answer every day. */
const reference = new Date('2026-01-01T00:00:00Z');
const day = 86_400;
/** Enough to see the longest gap between the days of any sensible pattern: three years of daily ones. */
const daysLookedAt = 1100;

const known = new Map<string, number>();

/** The longest time between two runs, in seconds. Throws an Error that says what is wrong with the expression. */
export function longestInterval(expression: string): number {
  const before = known.get(expression);
  if (before !== undefined) return before;
  const seconds = compute(expression);
  known.set(expression, seconds);
  return seconds;
}

function compute(expression: string): number {
  const rate = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(expression);
  if (rate) return rateSeconds(Number(rate[1]), rate[2] as 'minute', rate[3] === 's');
  const cron = /^cron\((.*)\)$/.exec(expression);
  if (!cron) throw new Error('it is neither cron(…) nor rate(…)');
  return cronSeconds(cron[1] as string);
}

function rateSeconds(count: number, unit: 'minute' | 'hour' | 'day', plural: boolean): number {
  if (count === 0) throw new Error('a rate must be at least 1');
  if (plural !== count > 1) throw new Error(`EventBridge wants "1 ${unit}" in the singular and more in the plural`);
  return count * { minute: 60, hour: 3600, day }[unit];
}

function cronSeconds(fields: string): number {
  const parts = fields.trim().split(/\s+/);
  if (parts.length !== 6) {
    throw new Error(`it has ${parts.length} fields where EventBridge has 6: minute hour day month weekday year`);
  }
  // EventBridge's `?` (no opinion) is what croner writes as `*`.
  const [minute, hour, date, month, weekday, year] = parts.map((field) => (field === '?' ? '*' : field));
  if ((parts[2] === '?') === (parts[4] === '?')) {
    throw new Error('exactly one of day-of-month and day-of-week must be "?"');
  }
  // Days and times of day are looked at by themselves: together, a run each minute would hide the gap of a weekend.
  const times = secondsOfRuns(`0 ${minute} ${hour} * * * *`, 1440).filter((time) => time < day);
  const days = secondsOfRuns(`0 0 0 ${date} ${month} ${weekday} ${year}`, daysLookedAt);
  if (days.length < 2) throw new Error('it runs on one day or never');
  const overnight = longestStep(days) - ((times.at(-1) as number) - (times[0] as number));
  return Math.max(overnight, longestStep(times));
}

/** Seconds from the reference to each of the next runs, the reference itself among them. */
function secondsOfRuns(pattern: string, count: number): number[] {
  // EventBridge counts weekdays from SUN = 1, and takes `0/15` for what croner calls sloppy.
  const options = { timezone: 'UTC', mode: '7-part', alternativeWeekdays: true, sloppyRanges: true } as const;
  const justBefore = new Date(reference.getTime() - 1000);
  const runs = new Cron(pattern, { ...options, paused: true }).nextRuns(count, justBefore);
  return runs.map((run) => (run.getTime() - reference.getTime()) / 1000);
}

const longestStep = (moments: readonly number[]): number =>
  moments.slice(1).reduce((longest, moment, i) => Math.max(longest, moment - (moments[i] as number)), 0);
