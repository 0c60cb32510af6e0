import type { AlarmState } from './alarm-definition.ts';

/** An alarm as DescribeAlarms shows it. */
export type ShownAlarm = Readonly<Record<string, any>>;

export interface Transition {
  readonly from: AlarmState;
  readonly to: AlarmState;
  readonly reason: string;
  readonly time: Date;
}

/** As the messages call them; a region that is not here goes by its code. */
const REGION_NAMES: Readonly<Record<string, string>> = {
  'us-east-1': 'US East (N. Virginia)',
  'us-east-2': 'US East (Ohio)',
  'us-west-1': 'US West (N. California)',
  'us-west-2': 'US West (Oregon)',
  'ca-central-1': 'Canada (Central)',
  'eu-central-1': 'EU (Frankfurt)',
  'eu-north-1': 'EU (Stockholm)',
  'eu-west-1': 'EU (Ireland)',
  'eu-west-2': 'EU (London)',
  'eu-west-3': 'EU (Paris)',
  'ap-northeast-1': 'Asia Pacific (Tokyo)',
  'ap-southeast-1': 'Asia Pacific (Singapore)',
  'ap-southeast-2': 'Asia Pacific (Sydney)',
};

const regionName = (region: string): string => REGION_NAMES[region] ?? region;

/** `2026-03-01T10:00:00.000+0000`: CloudWatch's way in messages. */
const timestamp = (time: Date): string => time.toISOString().replace('Z', '+0000');

export const subjectOf = (alarm: ShownAlarm, region: string, { to }: Transition): string =>
  `${to}: "${alarm.AlarmName}" in ${regionName(region)}`.slice(0, 99);

/** The text of the message that CloudWatch sends to a topic. */
export function messageOf(alarm: ShownAlarm, region: string, account: string, transition: Transition): string {
  const head = {
    AlarmName: alarm.AlarmName,
    AlarmDescription: alarm.AlarmDescription ?? null,
    AWSAccountId: account,
    NewStateValue: transition.to,
    NewStateReason: transition.reason,
    StateChangeTime: timestamp(transition.time),
    Region: regionName(region),
    AlarmArn: alarm.AlarmArn,
    OldStateValue: transition.from,
    OKActions: alarm.OKActions ?? [],
    AlarmActions: alarm.AlarmActions ?? [],
    InsufficientDataActions: alarm.InsufficientDataActions ?? [],
  };
  if (alarm.AlarmRule !== undefined) return JSON.stringify({ ...head, AlarmRule: alarm.AlarmRule });
  return JSON.stringify({
    ...head,
    AlarmConfigurationUpdatedTimestamp: timestamp(alarm.AlarmConfigurationUpdatedTimestamp),
    Trigger: triggerOf(alarm),
  });
}

function triggerOf(alarm: ShownAlarm): Record<string, unknown> {
  const about = {
    Period: alarm.Period,
    EvaluationPeriods: alarm.EvaluationPeriods,
    ...(alarm.DatapointsToAlarm !== undefined && { DatapointsToAlarm: alarm.DatapointsToAlarm }),
    ComparisonOperator: alarm.ComparisonOperator,
    Threshold: alarm.Threshold,
    TreatMissingData: alarm.TreatMissingData ?? 'missing',
    EvaluateLowSampleCountPercentile: alarm.EvaluateLowSampleCountPercentile ?? '',
  };
  if (alarm.Metrics !== undefined) return { ...about, Metrics: alarm.Metrics };
  return {
    MetricName: alarm.MetricName,
    Namespace: alarm.Namespace,
    ...(alarm.Statistic === undefined
      ? { StatisticType: 'ExtendedStatistic', ExtendedStatistic: alarm.ExtendedStatistic }
      : { StatisticType: 'Statistic', Statistic: STATISTIC_NAMES[alarm.Statistic] ?? alarm.Statistic }),
    Unit: alarm.Unit ?? null,
    Dimensions: (alarm.Dimensions ?? []).map((one: any) => ({ value: one.Value, name: one.Name })),
    ...about,
  };
}

const STATISTIC_NAMES: Readonly<Record<string, string>> = {
  SampleCount: 'SAMPLE_COUNT',
  Average: 'AVERAGE',
  Sum: 'SUM',
  Minimum: 'MINIMUM',
  Maximum: 'MAXIMUM',
};
