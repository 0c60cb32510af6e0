import { AwsError } from '../facade.ts';
import { parseArn } from './api.ts';
import { isTrue } from './properties.ts';

export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';
export type TreatMissingData = 'missing' | 'ignore' | 'breaching' | 'notBreaching';

export const COMPARISONS = {
  GreaterThanOrEqualToThreshold: { holds: (a: number, b: number) => a >= b, words: 'greater than or equal to' },
  GreaterThanThreshold: { holds: (a: number, b: number) => a > b, words: 'greater than' },
  LessThanThreshold: { holds: (a: number, b: number) => a < b, words: 'less than' },
  LessThanOrEqualToThreshold: { holds: (a: number, b: number) => a <= b, words: 'less than or equal to' },
} as const;

/** What is compared with what, and how often. */
export interface MetricAlarm {
  readonly namespace: string;
  readonly metricName: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit?: string;
  /** `Sum`, `p99`, … */
  readonly statistic: string;
  /** Milliseconds. */
  readonly period: number;
  /** N, and the M of them that must breach. */
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly threshold: number;
  readonly comparison: keyof typeof COMPARISONS;
  readonly treatMissingData: TreatMissingData;
  /** Percentiles of too few values are taken as missing. */
  readonly ignoreLowSamples: boolean;
}

/** What both kinds of alarm have; names of actions are ARNs of SNS topics. */
export interface AlarmActions {
  readonly enabled: boolean;
  readonly byState: Readonly<Record<AlarmState, readonly string[]>>;
}

const STATISTICS = ['SampleCount', 'Average', 'Sum', 'Minimum', 'Maximum'];
const PERCENTILE = /^p(\d{1,2}(\.\d{1,10})?|100)$/;
const DAY = 86_400_000;

const invalid = (message: string): AwsError => new AwsError('ValidationError', message);

/**
 * Reads an alarm on one metric, as PutMetricAlarm and AWS::CloudWatch::Alarm give it.
 *
 * @throws AwsError ValidationError
 */
export function readMetricAlarm(given: any): MetricAlarm {
  const metric = metricOf(given);
  const number = (name: string): number => {
    const value = Number(given[name]);
    if (given[name] === undefined || given[name] === '' || !Number.isFinite(value))
      throw invalid(`${name} is required and must be a number, not ${given[name]}.`);
    return value;
  };
  const comparison = given.ComparisonOperator;
  if (!Object.hasOwn(COMPARISONS, comparison))
    throw invalid(`ComparisonOperator ${comparison}: the local cloud knows ${Object.keys(COMPARISONS).join(', ')}.`);
  const period = Number(metric.Period);
  if (![10, 20, 30].includes(period) && !(period > 0 && period % 60 === 0))
    throw invalid(`Period must be 10, 20, 30 or a multiple of 60 seconds, not ${metric.Period}.`);
  const evaluationPeriods = number('EvaluationPeriods');
  const datapointsToAlarm = given.DatapointsToAlarm === undefined ? evaluationPeriods : number('DatapointsToAlarm');
  if (!Number.isInteger(evaluationPeriods) || evaluationPeriods < 1)
    throw invalid('EvaluationPeriods must be an integer of 1 or more.');
  if (!Number.isInteger(datapointsToAlarm) || datapointsToAlarm < 1 || datapointsToAlarm > evaluationPeriods)
    throw invalid('DatapointsToAlarm must be an integer from 1 to EvaluationPeriods.');
  const watched = period * 1000 * evaluationPeriods;
  if (watched > 7 * DAY || (period < 3600 && watched > DAY))
    throw invalid('Metrics cannot be checked across more than a day (7 days for periods of an hour or more).');
  const statistic = String(metric.Statistic);
  if (!STATISTICS.includes(statistic) && !PERCENTILE.test(statistic))
    throw invalid(`The statistic ${statistic} is not offered in this cloud.`);
  const treatMissingData = given.TreatMissingData ?? 'missing';
  if (!['missing', 'ignore', 'breaching', 'notBreaching'].includes(treatMissingData))
    throw invalid(`TreatMissingData ${treatMissingData} must be missing, ignore, breaching or notBreaching.`);
  return {
    namespace: String(metric.Namespace),
    metricName: String(metric.MetricName),
    dimensions: Object.fromEntries((metric.Dimensions ?? []).map((one: any) => [one.Name, String(one.Value)])),
    unit: metric.Unit,
    statistic,
    period: period * 1000,
    evaluationPeriods,
    datapointsToAlarm,
    threshold: number('Threshold'),
    comparison,
    treatMissingData,
    ignoreLowSamples: given.EvaluateLowSampleCountPercentile === 'ignore',
  };
}

/** The metric itself; of `Metrics`, one that is no expression. */
function metricOf(given: any): any {
  if (given.ThresholdMetricId) throw invalid('ThresholdMetricId: the local cloud has no anomaly detection.');
  if (given.Metrics === undefined) {
    for (const name of ['MetricName', 'Namespace', 'Period'])
      if (!given[name]) throw invalid(`The parameter ${name} is required.`);
    const statistic = given.Statistic ?? given.ExtendedStatistic;
    if (!statistic || (given.Statistic && given.ExtendedStatistic))
      throw invalid('One of Statistic and ExtendedStatistic is required.');
    return { ...given, Statistic: statistic };
  }
  const [only, ...others] = given.Metrics;
  if (others.length > 0 || only?.Expression !== undefined || !only?.MetricStat)
    throw invalid('Metrics: the local cloud offers one MetricStat, and no expressions.');
  const { Metric: metric, Period, Stat, Unit } = only.MetricStat;
  return { ...metric, Period, Statistic: Stat, Unit };
}

/** @throws AwsError ValidationError for actions that this cloud cannot take */
export function readActions(given: any, region: string): AlarmActions {
  const list = (name: string): string[] =>
    (given[name] ?? []).map((action: unknown) => {
      const arn = parseArn(String(action));
      if (arn.service !== 'sns') throw invalid(`${name}: the local cloud notifies SNS topics only, not ${action}.`);
      if (arn.region !== region) throw invalid(`Invalid region ${arn.region} specified. Only ${region} is supported.`);
      return String(action);
    });
  return {
    enabled: given.ActionsEnabled === undefined || isTrue(given.ActionsEnabled),
    byState: {
      ALARM: list('AlarmActions'),
      OK: list('OKActions'),
      INSUFFICIENT_DATA: list('InsufficientDataActions'),
    },
  };
}
