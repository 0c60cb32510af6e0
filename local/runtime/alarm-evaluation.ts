import { type AlarmState, COMPARISONS, type MetricAlarm } from './alarm-definition.ts';
import type { MetricSample } from './metric.ts';
import { bucketsOf, statistic } from './metric-statistics.ts';

/** What CloudWatch looks at beyond N: its examples show five periods for an N of three. */
const FURTHER_PERIODS = 2;

/** One period: its start in milliseconds, and the statistic's value where there is one. */
export interface Datapoint {
  readonly start: number;
  readonly value?: number;
}

export interface Verdict {
  readonly state: AlarmState;
  readonly reason: string;
}

/** The periods that an alarm is judged by, up to `end`, oldest first. Periods end where the evaluation takes place. */
export function datapointsOf(alarm: MetricAlarm, samples: readonly MetricSample[], end: number): Datapoint[] {
  const { period } = alarm;
  const count = alarm.evaluationPeriods + FURTHER_PERIODS;
  const from = end - count * period;
  const shifted = samples
    .filter(({ timestamp }) => timestamp >= from && timestamp < end)
    .map((sample) => ({ ...sample, timestamp: sample.timestamp - from }));
  const buckets = new Map(bucketsOf(shifted, period, 0, count * period).map((bucket) => [bucket.start, bucket]));
  return Array.from({ length: count }, (_, index) => {
    const bucket = buckets.get(index * period);
    const start = from + index * period;
    if (bucket === undefined || (alarm.ignoreLowSamples && bucket.sampleCount < samplesNeeded(alarm.statistic)))
      return { start };
    return { start, value: statistic(bucket, alarm.statistic) };
  });
}

/** How many values a percentile needs to say anything: 10/(1-p) above the median, 10/p below it. */
function samplesNeeded(name: string): number {
  const percentile = Number(/^p(.+)$/.exec(name)?.[1]) / 100;
  if (Number.isNaN(percentile)) return 1;
  return 10 / (percentile < 0.5 ? percentile : 1 - percentile);
}

/**
 * The state that datapoints (oldest first, as {@link datapointsOf} gives them) put an alarm into: CloudWatch's rules,
 * with the tables of "Configuring how CloudWatch alarms treat missing data" as their examples.
 */
export function evaluate(alarm: MetricAlarm, datapoints: readonly Datapoint[], current: AlarmState): Verdict {
  const { evaluationPeriods, datapointsToAlarm, treatMissingData, threshold } = alarm;
  const breaches = ({ value }: Datapoint): boolean =>
    value !== undefined && COMPARISONS[alarm.comparison].holds(value, threshold);
  const found = datapoints.filter(({ value }) => value !== undefined);
  // With enough of them, the latest count, however long ago the others were due.
  const considered = found.slice(-evaluationPeriods);
  const missing = evaluationPeriods - considered.length;
  const breaching = considered.filter(breaches).length;
  const judged = (state: AlarmState): Verdict => ({ state, reason: reasonOf(alarm, considered, state, current) });
  const filled = (count: number, state: AlarmState): Verdict =>
    considered.length > 0 ? judged(state) : { state, reason: silence(alarm, count, treatMissingData) };

  if (breaching >= datapointsToAlarm) return judged('ALARM');
  if (missing === 0) return judged('OK');
  switch (treatMissingData) {
    case 'breaching':
      return filled(missing, breaching + missing >= datapointsToAlarm ? 'ALARM' : 'OK');
    case 'notBreaching':
      return filled(missing, 'OK');
    case 'ignore':
      return breaching < considered.length ? judged('OK') : { state: current, reason: 'Missing data was ignored.' };
    default:
      if (found.length === 0) return { state: 'INSUFFICIENT_DATA', reason: unknown(evaluationPeriods) };
      if (breaching < considered.length) return judged('OK');
      return isOldEnough(datapoints, breaches, datapointsToAlarm)
        ? judged('ALARM')
        : { state: current, reason: 'Too few datapoints to leave this state.' };
  }
}

/**
 * Whether the oldest datapoint, a breaching one, is at least M periods old: then what is missing after it does not
 * hold the alarm back, although fewer than M breach.
 */
function isOldEnough(datapoints: readonly Datapoint[], breaches: (one: Datapoint) => boolean, m: number): boolean {
  const oldest = datapoints.findIndex(({ value }) => value !== undefined);
  const one = datapoints[oldest];
  return one !== undefined && breaches(one) && datapoints.length - oldest >= m;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const unknown = (count: number): string =>
  `Insufficient Data: ${plural(count, 'datapoint')} ${count === 1 ? 'was' : 'were'} unknown.`;

const silence = ({ evaluationPeriods }: MetricAlarm, count: number, as: string): string =>
  `Threshold Crossed: no datapoints were received for ${plural(evaluationPeriods, 'period')} and ` +
  `${plural(count, 'missing datapoint')} ${count === 1 ? 'was' : 'were'} treated as ` +
  `[${as === 'breaching' ? 'Breaching' : 'NonBreaching'}].`;

/** In CloudWatch's words. */
function reasonOf(alarm: MetricAlarm, points: readonly Datapoint[], state: AlarmState, current: AlarmState): string {
  const { comparison, threshold, datapointsToAlarm, evaluationPeriods } = alarm;
  const crossing = points.filter(
    ({ value }) => COMPARISONS[comparison].holds(value as number, threshold) === (state === 'ALARM'),
  );
  const listed = crossing.toReversed().map(({ start, value }) => `${decimal(value as number)} (${date(start)})`);
  const needed = state === 'ALARM' ? datapointsToAlarm : evaluationPeriods - datapointsToAlarm + 1;
  return (
    `Threshold Crossed: ${crossing.length} out of the last ${plural(evaluationPeriods, 'datapoint')} ` +
    `[${listed.join(', ')}] ${crossing.length === 1 ? 'was' : 'were'} ${state === 'ALARM' ? '' : 'not '}` +
    `${COMPARISONS[comparison].words} the threshold (${decimal(threshold)}) ` +
    `(minimum ${plural(needed, 'datapoint')} for ${current} -> ${state} transition).`
  );
}

const decimal = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** dd/mm/yy hh:mm:ss, UTC. */
function date(time: number): string {
  const [day = '', clock = ''] = new Date(time).toISOString().split('T');
  const [year = '', month, dayOfMonth] = day.split('-');
  return `${dayOfMonth}/${month}/${year.slice(2)} ${clock.slice(0, 8)}`;
}
