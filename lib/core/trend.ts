/** A straight line through values over time, by least squares: growth, and where it leads. */
export interface Trend {
  /** Units a day; 0 for fewer than three values, or less than a day of them, oldest first. */
  readonly perDay: number;
  /** The line's value at a time. */
  at(time: Date): number;
}

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly value: number;
}

const day = 86_400_000;
/** Two values are a difference, and an afternoon is no trend. */
const least = 3;
const leastDays = 1;

export function trendOf(samples: readonly Sample[]): Trend {
  const mean = (of: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / Math.max(1, samples.length);
  const origin = samples[0]?.at ?? 0;
  const days = ({ at }: Sample) => (at - origin) / day;
  const meanDay = mean(days);
  const meanValue = mean(({ value }) => value);
  const spread = samples.reduce((sum, sample) => sum + (days(sample) - meanDay) ** 2, 0);
  const slope = samples.reduce((sum, sample) => sum + (days(sample) - meanDay) * (sample.value - meanValue), 0);
  const span = samples.length > 0 ? days(samples.at(-1) as Sample) : 0;
  const perDay = samples.length < least || span < leastDays ? 0 : slope / spread;
  return { perDay, at: (time) => Math.max(0, meanValue + perDay * ((time.getTime() - origin) / day - meanDay)) };
}
