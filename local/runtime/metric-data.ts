import { AwsError, type CallContext, type Operation } from '../facade.ts';
import { type Authorisation, epochMilliseconds } from './api.ts';
import type { MetricSample } from './metric.ts';
import { evaluateMath, type Series } from './metric-math.ts';
import { bucketsOf, statistic } from './metric-statistics.ts';
import { isTrue } from './properties.ts';

/** The samples of a metric, named as the API names it. */
export type SamplesOf = (
  region: string,
  metric: { Namespace: string; MetricName: string; Dimensions?: any[] },
  unit?: string,
) => readonly MetricSample[];

/** CloudWatch's API of statistics: one metric at a time, or several with math over them. */
export function metricDataOperations(
  authorize: (context: CallContext, call: Authorisation) => Promise<void>,
  samplesOf: SamplesOf,
): Readonly<Record<string, Operation>> {
  return {
    GetMetricStatistics: async (input, context) => {
      await authorize(context, { operation: 'GetMetricStatistics', resource: '*', input });
      const period = periodOf(input.Period);
      const from = requiredTime(input.StartTime, 'StartTime');
      const to = requiredTime(input.EndTime, 'EndTime');
      const wanted: string[] = [...(input.Statistics ?? [])];
      const extended: string[] = input.ExtendedStatistics ?? [];
      if (wanted.length + extended.length === 0) {
        throw new AwsError('MissingRequiredParameter', 'Statistics or ExtendedStatistics must be given.');
      }
      return {
        Label: input.MetricName,
        Datapoints: bucketsOf(samplesOf(context.region, input, input.Unit), period, from, to).map((bucket) => ({
          Timestamp: new Date(bucket.start),
          Unit: bucket.unit,
          ...Object.fromEntries(wanted.map((name) => [name, offered(() => statistic(bucket, name))])),
          ...(extended.length > 0 && {
            ExtendedStatistics: new Map(extended.map((name) => [name, offered(() => statistic(bucket, name))])),
          }),
        })),
      };
    },

    GetMetricData: async (input, context) => {
      await authorize(context, { operation: 'GetMetricData', resource: '*', input });
      const from = requiredTime(input.StartTime, 'StartTime');
      const to = requiredTime(input.EndTime, 'EndTime');
      const queries: any[] = input.MetricDataQueries ?? [];
      const series = new Map<string, Series>();
      for (const { Id, MetricStat: stat } of queries) {
        if (!stat) continue;
        const period = periodOf(stat.Period);
        const points = bucketsOf(samplesOf(context.region, stat.Metric, stat.Unit), period, from, to)
          .map((bucket) => [bucket.start, offered(() => statistic(bucket, stat.Stat))] as const)
          .filter((point): point is readonly [number, number] => point[1] !== undefined);
        series.set(Id, { label: stat.Metric.MetricName, period, points: new Map(points) });
      }
      const results = queries.flatMap(({ Id, Label, MetricStat, Expression, ReturnData }) => {
        const own = series.get(Id);
        // An expression may use those that come before it.
        const found = MetricStat && own ? [own] : evaluateMath(String(Expression), { series, from, to });
        const [only] = found;
        if (Expression && found.length === 1 && only) series.set(Id, only);
        if (ReturnData !== undefined && !isTrue(ReturnData)) return [];
        return found.map(({ label, points }) => {
          const shown = [...points];
          if (input.ScanBy !== 'TimestampAscending') shown.reverse();
          return {
            Id,
            Label: Label ?? (Expression && found.length === 1 ? Id : label),
            Timestamps: shown.map(([time]) => new Date(time)),
            Values: shown.map(([, value]) => value),
            StatusCode: 'Complete',
          };
        });
      });
      return { MetricDataResults: results, Messages: [] };
    },
  };
}

/** Seconds on the wire, milliseconds here. */
function periodOf(value: unknown): number {
  const period = Number(value);
  if ([1, 5, 10, 20, 30].includes(period) || (period > 0 && period % 60 === 0)) return period * 1000;
  throw new AwsError(
    'InvalidParameterValue',
    `Period must be 1, 5, 10, 20, 30 or a multiple of 60 seconds, not ${value}.`,
  );
}

function requiredTime(value: unknown, name: string): number {
  const time = epochMilliseconds(value);
  if (time === undefined || Number.isNaN(time))
    throw new AwsError('MissingParameter', `The parameter ${name} is required.`);
  return time;
}

function offered<T>(compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    throw new AwsError('InvalidParameterValue', (error as Error).message);
  }
}
