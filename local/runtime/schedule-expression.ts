import { Cron } from 'croner';

/** When a schedule's time comes. */
export interface ScheduleTimes {
  /** The first time after `after` (milliseconds since the epoch); undefined when there is none. */
  next(after: number): number | undefined;
}

const UNITS: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const CRON_FIELDS = ['minutes', 'hours', 'day-of-month', 'month', 'day-of-week', 'year'] as const;
/** The largest value of each field, where an increment without an end stops. */
const LARGEST: Readonly<Record<string, number>> = {
  minutes: 59,
  hours: 23,
  'day-of-month': 31,
  month: 12,
  'day-of-week': 7,
  year: 2199,
};

/**
 * Reads `cron(…)`, `rate(…)` and `at(…)` of EventBridge Scheduler.
 *
 * @param timezone an IANA name; of no meaning to rates
 * @param origin milliseconds since the epoch from which a rate counts: the schedule's start
 * @throws Error that says what is wrong with the expression
 */
export function readScheduleExpression(expression: string, timezone: string, origin: number): ScheduleTimes {
  const [, kind, inside = ''] = /^(cron|rate|at)\((.*)\)$/.exec(expression.trim()) ?? [];
  const fail = (why: string): never => {
    throw new Error(`invalid schedule expression ${expression}: ${why}`);
  };
  switch (kind) {
    case 'rate': {
      const [, value, unit = ''] = /^(\d+) (minute|hour|day)s?$/.exec(inside.trim()) ?? [];
      const period = Number(value) * (UNITS[unit] ?? Number.NaN);
      if (!(period > 0)) return fail('a rate is a whole number and minutes, hours or days');
      return {
        next: (after) => (after < origin ? origin : origin + (Math.floor((after - origin) / period) + 1) * period),
      };
    }
    case 'at': {
      if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(inside)) return fail('a time is written yyyy-mm-ddThh:mm:ss');
      // Croner knows time zones; of a date it makes a schedule of one time.
      const time = cron(inside, timezone, fail).nextRun(new Date(0))?.getTime();
      return { next: (after) => (time !== undefined && time > after ? time : undefined) };
    }
    case 'cron': {
      const job = cron(translateCron(inside, fail), timezone, fail);
      return { next: (after) => job.nextRun(new Date(after))?.getTime() };
    }
    default:
      return fail('it must be cron(…), rate(…) or at(…)');
  }
}

function cron(pattern: string, timezone: string, fail: (why: string) => never): Cron {
  try {
    // Without a function croner sets no timer. Quartz's week is AWS's: SUN is 1.
    return new Cron(pattern, { timezone, alternativeWeekdays: true, ...(pattern.includes(' ') && { mode: '7-part' }) });
  } catch (error) {
    return fail((error as Error).message);
  }
}

/**
 * AWS's six fields (minutes hours day-of-month month day-of-week year) as croner's seven. Croner would take `?` for
 * `*` anywhere, wants a range before a step, and knows no `L` alone for the last day of the week.
 */
function translateCron(inside: string, fail: (why: string) => never): string {
  const fields = inside.trim().split(/\s+/);
  if (fields.length !== 6) return fail(`a cron expression has six fields, this one ${fields.length}`);
  const [, , dayOfMonth, , dayOfWeek] = fields;
  if ((dayOfMonth === '?') === (dayOfWeek === '?')) {
    return fail('exactly one of day-of-month and day-of-week must be ?');
  }
  const translated = fields.map((field, index) => {
    const name = CRON_FIELDS[index] ?? '';
    const isDay = name.startsWith('day-of-');
    if (field === '?') return isDay ? '*' : fail(`? is not allowed in ${name}`);
    if (/[?]/.test(field)) return fail(`? stands alone, unlike in ${field}`);
    if (/\b\d+W|LW|^L/i.test(field) && !isDay) return fail(`L and W are not allowed in ${name}`);
    return field
      .split(',')
      .map((part) => {
        if (name === 'day-of-week' && part.toUpperCase() === 'L') return '7';
        const [, start, step] = /^(\d+)\/(\d+)$/.exec(part) ?? [];
        return start ? `${start}-${LARGEST[name]}/${step}` : part;
      })
      .join(',');
  });
  return ['0', ...translated].join(' ');
}
