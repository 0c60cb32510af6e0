import type { MetricSample } from './metric.ts';

/** The samples of one period. */
export interface Bucket {
  /** Milliseconds since the epoch: the period's start. */
  readonly start: number;
  readonly unit: string;
  readonly sampleCount: number;
  readonly sum: number;
  readonly minimum: number;
  readonly maximum: number;
  /** Single values in ascending order, with how often each came; empty for samples sent as a summary. */
  readonly weighted: readonly (readonly [value: number, count: number])[];
}

/** Groups samples of a metric by period (milliseconds), the earliest first. `from` is included, `to` is not. */
export function bucketsOf(samples: readonly MetricSample[], period: number, from: number, to: number): Bucket[] {
  const groups = new Map<number, MetricSample[]>();
  for (const sample of samples) {
    if (sample.timestamp < from || sample.timestamp >= to) continue;
    const start = Math.floor(sample.timestamp / period) * period;
    groups.set(start, [...(groups.get(start) ?? []), sample]);
  }
  return [...groups].toSorted(([a], [b]) => a - b).map(([start, group]) => summarise(start, group));
}

function summarise(start: number, samples: readonly MetricSample[]): Bucket {
  const weighted = samples
    .flatMap(({ values, counts }) => values.map((value, index) => [value, counts?.[index] ?? 1] as const))
    .toSorted(([a], [b]) => a - b);
  const summaries = samples.flatMap(({ statistics }) => statistics ?? []);
  const total = (of: readonly number[]) => of.reduce((sum, value) => sum + value, 0);
  return {
    start,
    unit: samples[0]?.unit ?? 'None',
    sampleCount: total([...weighted.map(([, count]) => count), ...summaries.map(({ sampleCount }) => sampleCount)]),
    sum: total([...weighted.map(([value, count]) => value * count), ...summaries.map(({ sum }) => sum)]),
    minimum: Math.min(...weighted.map(([value]) => value), ...summaries.map(({ minimum }) => minimum)),
    maximum: Math.max(...weighted.map(([value]) => value), ...summaries.map(({ maximum }) => maximum)),
    weighted,
  };
}

/**
 * A statistic by CloudWatch's name (`Sum`, `p99`, …) of a period; undefined for a percentile of samples that came as
 * a summary. @throws RangeError for a statistic that is not offered here
 */
export function statistic(bucket: Bucket, name: string): number | undefined {
  switch (name) {
    case 'SampleCount':
      return bucket.sampleCount;
    case 'Sum':
      return bucket.sum;
    case 'Average':
      return bucket.sum / bucket.sampleCount;
    case 'Minimum':
      return bucket.minimum;
    case 'Maximum':
      return bucket.maximum;
  }
  const percentile = /^p(\d{1,2}(?:\.\d+)?|100)$/.exec(name)?.[1];
  if (percentile === undefined) throw new RangeError(`the statistic ${name} is not offered`);
  const rank = (Number(percentile) / 100) * bucket.weighted.reduce((sum, [, count]) => sum + count, 0);
  let passed = 0;
  for (const [value, count] of bucket.weighted) {
    passed += count;
    if (passed >= rank) return value;
  }
  return undefined;
}
