import { z } from 'zod';
import { type DurationText, parseDuration } from './duration.ts';
import { longestInterval } from './schedule.ts';

/**
 * The kinds of values in pgdr.config.ts. Each refuses with one sentence that is appended to the path of the value:
 * what was given, what is allowed, and an example.
 */

/** `In` is what the operator writes, `Out` what the program gets; `read` gives undefined or throws for a bad value. */
export function field<In, Out>(allowed: string, example: string, read: (value: unknown) => Out | undefined) {
  return z.custom<In>().transform((value, context): Out => {
    let reason = '';
    try {
      const out = read(value);
      if (out !== undefined) return out;
    } catch (error) {
      reason = `: ${(error as Error).message.replace(/\.$/, '')}`;
    }
    const given = value === undefined ? 'is missing' : `is ${show(value)}`;
    context.issues.push({
      code: 'custom',
      input: value,
      message: ` ${given}${reason}. Allowed: ${allowed}. Example: ${example}`,
    });
    return z.NEVER;
  });
}

export const show = (value: unknown): string => {
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
};

export const matching = (pattern: RegExp, allowed: string, example: string) =>
  field<string, string>(allowed, `'${example}'`, (value) =>
    typeof value === 'string' && pattern.test(value) ? value : undefined,
  );

export const oneOf = <const T extends string | number>(values: readonly T[], example: T) =>
  field<T, T>(values.map(show).join(', '), show(example), (value) => values.find((allowed) => allowed === value));

export const integer = (from: number, to: number, example: number) =>
  field<number, number>(`a whole number from ${from} to ${to}`, String(example), (value) =>
    Number.isInteger(value) && (value as number) >= from && (value as number) <= to ? (value as number) : undefined,
  );

export const boolean = () =>
  field<boolean, boolean>('true or false', 'true', (value) => (typeof value === 'boolean' ? value : undefined));

/** Seconds. */
export const duration = (from: DurationText, to: DurationText, example: DurationText) =>
  field<DurationText, number>(
    `a number and a unit (second, minute, hour, day, week or year) from '${from}' to '${to}'`,
    `'${example}'`,
    (value) => {
      const seconds = typeof value === 'string' ? parseDuration(value) : undefined;
      const [least, most] = [parseDuration(from) as number, parseDuration(to) as number];
      return seconds !== undefined && seconds >= least && seconds <= most ? seconds : undefined;
    },
  );

export const wholeDays = (from: DurationText, to: DurationText, example: DurationText = '30 days') =>
  duration(from, to, example).refine((seconds) => seconds % 86_400 === 0, {
    error: (issue) => ` is ${issue.input} seconds. Allowed: whole days. Example: '${example}'`,
  });

/** Of the commercial partition: ARNs and hosts are written for it. */
export const region = () =>
  matching(/^(?!cn-|us-gov-|us-iso)[a-z]{2}(-[a-z]+)+-\d$/, 'a region of the commercial AWS partition', 'eu-north-1');

export interface Schedule {
  readonly expression: string;
  /** The longest time between two runs. */
  readonly longestIntervalSeconds: number;
}

export const schedule = (example: string) =>
  field<string, Schedule>(
    'an EventBridge Scheduler expression in UTC, cron(minute hour day month weekday year) or rate(n unit)',
    `'${example}'`,
    (value) =>
      typeof value === 'string' ? { expression: value, longestIntervalSeconds: longestInterval(value) } : undefined,
  );

/** An object that knows its keys: others are refused, with the likely one named, or with why they do not work yet. */
export function object<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  notYet: Readonly<Record<string, string>> = {},
) {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => refusal(key, keys, notYet)).join('\n');
      const given = issue.input === undefined ? 'is missing' : `is ${show(issue.input)}`;
      return ` ${given}. Allowed: an object with the keys ${keys.join(', ')}. Example: { ${keys[0]}: … }`;
    },
  });
}

function refusal(key: string, keys: readonly string[], notYet: Readonly<Record<string, string>>): string {
  if (Object.hasOwn(notYet, key)) return `.${key} is not supported yet: ${notYet[key]}. Remove it`;
  const [likely] = keys.map((known) => ({ known, edits: distance(key, known) })).sort((a, b) => a.edits - b.edits);
  const hint = likely && likely.edits <= Math.max(2, key.length / 3) ? ` Did you mean ${likely.known}?` : '';
  return `.${key} is not a known key.${hint} Allowed: ${keys.join(', ')}`;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
