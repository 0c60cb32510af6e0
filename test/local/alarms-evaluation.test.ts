import { describe, expect, it } from 'vitest';
import { type AlarmState, readMetricAlarm, type TreatMissingData } from '../../local/runtime/alarm-definition.ts';
import { datapointsOf, evaluate } from '../../local/runtime/alarm-evaluation.ts';
import { readAlarmRule } from '../../local/runtime/alarm-rule.ts';
import type { MetricSample } from '../../local/runtime/metric.ts';

const given = {
  MetricName: 'M',
  Namespace: 'N',
  Period: 60,
  Statistic: 'Sum',
  Threshold: 1,
  ComparisonOperator: 'GreaterThanOrEqualToThreshold',
  EvaluationPeriods: 3,
};

/** `0 - X`: within the threshold, missing, breaching. */
function judge(picture: string, m: number, treat: TreatMissingData, current: AlarmState): AlarmState {
  const points = picture.split(' ').map((sign, index) => ({
    start: index * 60_000,
    value: sign === '-' ? undefined : sign === 'X' ? 5 : 0,
  }));
  const alarm = readMetricAlarm({ ...given, DatapointsToAlarm: m, TreatMissingData: treat });
  return evaluate(alarm, points, current).state;
}

const KEPT = 'retain';

// The two tables of "Configuring how CloudWatch alarms treat missing data" (CloudWatch User Guide): three out of
// three, then two out of three. Columns: missing, ignore, breaching, notBreaching.
describe('an alarm over missing data', () => {
  it.each([
    [3, '0 - X - X', 'OK', 'OK', 'OK', 'OK'],
    [3, '0 - - - -', 'OK', 'OK', 'OK', 'OK'],
    [3, '- - - - -', 'INSUFFICIENT_DATA', KEPT, 'ALARM', 'OK'],
    [3, '0 X X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
    [3, '- - X - -', 'ALARM', KEPT, 'ALARM', 'OK'],
    [2, '0 - X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
    [2, '0 0 X 0 X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
    [2, '0 - X - -', 'OK', 'OK', 'ALARM', 'OK'],
    [2, '- - - - 0', 'OK', 'OK', 'ALARM', 'OK'],
    [2, '- - - X -', 'ALARM', KEPT, 'ALARM', 'OK'],
  ])('%i of 3, %s: %s, %s, %s, %s', (m, picture, ...expected) => {
    for (const current of ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const) {
      const treatments = ['missing', 'ignore', 'breaching', 'notBreaching'] as const;
      const found = treatments.map((treat) => judge(picture, m, treat, current));
      expect(found).toEqual(expected.map((state) => (state === KEPT ? current : state)));
    }
  });

  it('does not alarm too early: one breaching datapoint that may be followed by others leaves the state', () => {
    expect(judge('- - - - X', 3, 'missing', 'OK')).toBe('OK');
    expect(judge('- - - - X', 3, 'missing', 'ALARM')).toBe('ALARM');
  });
});

describe('an alarm', () => {
  const samples = (...values: [seconds: number, value: number][]): MetricSample[] =>
    values.map(([seconds, value]) => ({
      region: 'r',
      namespace: 'N',
      name: 'M',
      dimensions: {},
      unit: 'None',
      timestamp: seconds * 1000,
      values: [value],
    }));
  const stateAt = (seconds: number, properties: object, of: MetricSample[], current: AlarmState = 'OK') => {
    const alarm = readMetricAlarm({ ...given, EvaluationPeriods: 1, ...properties });
    return evaluate(alarm, datapointsOf(alarm, of, seconds * 1000), current);
  };

  it.each([
    ['GreaterThanOrEqualToThreshold', 'OK', 'ALARM', 'ALARM'],
    ['GreaterThanThreshold', 'OK', 'OK', 'ALARM'],
    ['LessThanThreshold', 'ALARM', 'OK', 'OK'],
    ['LessThanOrEqualToThreshold', 'ALARM', 'ALARM', 'OK'],
  ])('compares by %s: below %s, at %s, above %s', (ComparisonOperator, ...expected) => {
    const found = [9, 10, 11].map(
      (value) => stateAt(60, { ComparisonOperator, Threshold: 10 }, samples([30, value])).state,
    );
    expect(found).toEqual(expected);
  });

  it.each([
    ['Sum', 6],
    ['Average', 2],
    ['Minimum', 1],
    ['Maximum', 3],
    ['SampleCount', 3],
    ['p50', 2],
  ])('takes the statistic %s of a period', (Statistic, value) => {
    const at = (Threshold: number) =>
      stateAt(60, { Statistic, Threshold }, samples([1, 1], [2, 2], [59, 3], [60, 100])).state;
    expect([at(value), at(value + 0.5)]).toEqual(['ALARM', 'OK']);
  });

  it('looks at periods that end when it is evaluated, not at the full hour', () => {
    const hourly = { Period: 3600, TreatMissingData: 'breaching', ComparisonOperator: 'LessThanThreshold' };
    const done = samples([1800, 1]);
    expect(stateAt(3660, hourly, done).state).toBe('OK');
    expect(stateAt(1800 + 3 * 3600, hourly, done).state).toBe('OK');
    expect(stateAt(1860 + 3 * 3600, hourly, done).state).toBe('ALARM');
  });

  it('takes a percentile of too few values for missing when told to', () => {
    const many = samples(...Array.from({ length: 30 }, (_, i) => [i, 5] as [number, number]));
    const ignoring = { Statistic: undefined, ExtendedStatistic: 'p90', EvaluateLowSampleCountPercentile: 'ignore' };
    expect(stateAt(60, ignoring, many).state).toBe('INSUFFICIENT_DATA');
    expect(stateAt(60, { ...ignoring, EvaluateLowSampleCountPercentile: 'evaluate' }, many).state).toBe('ALARM');
  });

  it('says why in the words of CloudWatch', () => {
    expect(stateAt(60, {}, samples([30, 5])).reason).toBe(
      'Threshold Crossed: 1 out of the last 1 datapoint [5.0 (01/01/70 00:00:00)] was greater than or equal to the ' +
        'threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition).',
    );
    expect(stateAt(60, { TreatMissingData: 'breaching' }, []).reason).toBe(
      'Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [Breaching].',
    );
    expect(stateAt(60, {}, []).reason).toBe('Insufficient Data: 1 datapoint was unknown.');
  });

  it.each([
    [{ Period: 45 }, /Period/],
    [{ DatapointsToAlarm: 4, EvaluationPeriods: 3 }, /DatapointsToAlarm/],
    [{ ComparisonOperator: 'LessThanLowerThreshold' }, /ComparisonOperator/],
    [{ TreatMissingData: 'maybe' }, /TreatMissingData/],
    [{ Statistic: 'tm90' }, /statistic tm90/],
    [{ Period: 60, EvaluationPeriods: 1441 }, /more than a day/],
    [{ Threshold: undefined }, /Threshold/],
    [{ Metrics: [{ Id: 'a', Expression: 'b+c' }] }, /no expressions/],
  ])('is refused with %j', (properties, message) => {
    expect(() => readMetricAlarm({ ...given, ...properties })).toThrow(message);
  });
});

describe('the rule of a composite alarm', () => {
  const states: Record<string, AlarmState> = { a: 'ALARM', 'b c': 'OK', d: 'INSUFFICIENT_DATA' };
  const holds = (text: string) => readAlarmRule(text).holds((name) => states[name] ?? 'OK');

  it.each([
    ['ALARM(a)', true],
    ['ALARM("b c")', false],
    ['OK("b c")', true],
    ['INSUFFICIENT_DATA(d)', true],
    ['NOT ALARM(a)', false],
    ['ALARM(d) OR ALARM(a)', true],
    ['ALARM(a) AND ALARM(d)', false],
    ['ALARM(a) OR ALARM(d) AND FALSE', true],
    ['(ALARM(a) OR ALARM(d)) AND FALSE', false],
    ['NOT (ALARM(d) AND TRUE) AND NOT FALSE', true],
  ])('%s: %s', (rule, expected) => {
    expect(holds(rule)).toBe(expected);
  });

  it('names the alarms that it asks for', () => {
    expect(readAlarmRule('ALARM(a) AND (OK("b c") OR NOT ALARM(a))').alarms).toEqual(['a', 'b c']);
  });

  it.each(['', 'ALARM(a', 'ALARM(a) ALARM(d)', 'ALARM(a) AND', '(ALARM(a)', 'XOR(a)', 'AT_LEAST(1, ALARM, (a))'])(
    'is refused: %s',
    (rule) => {
      expect(() => readAlarmRule(rule)).toThrow(/AlarmRule/);
    },
  );
});
