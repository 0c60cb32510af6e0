/** Durations as an operator writes them: `30 days`, `1 hour`. Months are left out, since they have no fixed length. */

const secondsPer = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 7 * 86_400,
  year: 365 * 86_400,
} as const;

export type DurationUnit = keyof typeof secondsPer;
export type DurationText = `${number} ${DurationUnit}` | `${number} ${DurationUnit}s`;

/** Whole seconds, or undefined when the text is not a duration of at least one second. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+) (second|minute|hour|day|week|year)s?$/.exec(text);
  if (!match) return undefined;
  const seconds = Number(match[1]) * secondsPer[match[2] as DurationUnit];
  return seconds > 0 && Number.isSafeInteger(seconds) ? seconds : undefined;
}

/** The shortest way to write a number of seconds in one unit: 5400 → `90 minutes`. */
export function formatDuration(seconds: number): string {
  const units = ['day', 'hour', 'minute', 'second'] as const;
  const unit = units.find((candidate) => seconds >= secondsPer[candidate] && seconds % secondsPer[candidate] === 0);
  const count = seconds / secondsPer[unit ?? 'second'];
  return `${count} ${unit ?? 'second'}${count === 1 ? '' : 's'}`;
}
