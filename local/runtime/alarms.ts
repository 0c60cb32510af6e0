import type { MadeResource, ResourceContext, ResourceMaker, World } from '../facade.ts';
import { page } from './api.ts';
import { isTrue, onlyKnown, required } from './properties.ts';

const METRIC_ALARM = [
  'ActionsEnabled',
  'AlarmActions',
  'AlarmDescription',
  'AlarmName',
  'ComparisonOperator',
  'DatapointsToAlarm',
  'Dimensions',
  'EvaluateLowSampleCountPercentile',
  'EvaluationPeriods',
  'ExtendedStatistic',
  'InsufficientDataActions',
  'MetricName',
  'Metrics',
  'Namespace',
  'OKActions',
  'Period',
  'Statistic',
  'Tags',
  'Threshold',
  'ThresholdMetricId',
  'TreatMissingData',
  'Unit',
];
const COMPOSITE_ALARM = [
  'ActionsEnabled',
  'ActionsSuppressor',
  'ActionsSuppressorExtensionPeriod',
  'ActionsSuppressorWaitPeriod',
  'AlarmActions',
  'AlarmDescription',
  'AlarmName',
  'AlarmRule',
  'InsufficientDataActions',
  'OKActions',
  'Tags',
];
const NUMBERS = ['DatapointsToAlarm', 'EvaluationPeriods', 'Period', 'Threshold'];

interface Alarm {
  readonly region: string;
  readonly composite: boolean;
  /** As DescribeAlarms shows it. */
  readonly shown: Readonly<Record<string, any>>;
}

export interface AlarmStore {
  readonly resources: Readonly<Record<string, ResourceMaker>>;
  describe(region: string, input: any): unknown;
}

/** Alarms and dashboards as templates make them. */
export function alarmStore(world: World): AlarmStore {
  const alarms = new Map<string, Alarm>();
  const dashboards = new Map<string, string>();

  const makeAlarm =
    (type: string, known: readonly string[], composite: boolean): ResourceMaker =>
    (properties, context): MadeResource => {
      onlyKnown(type, context, properties, known);
      const { Tags: _, ...given } = properties;
      const name = given.AlarmName ?? context.generatedName;
      const arn = `arn:aws:cloudwatch:${context.region}:${world.account}:alarm:${name}`;
      if (alarms.has(arn)) throw new Error(`${type} ${name} exists already in ${context.region}`);
      if (composite) required(type, context, given, 'AlarmRule');
      else checkMetricAlarm(type, context, given);
      const time = new Date(world.now());
      const shown = {
        ...given,
        ...Object.fromEntries(
          NUMBERS.filter((key) => given[key] !== undefined).map((key) => [key, Number(given[key])]),
        ),
        AlarmName: name,
        AlarmArn: arn,
        ActionsEnabled: given.ActionsEnabled === undefined || isTrue(given.ActionsEnabled),
        StateValue: 'INSUFFICIENT_DATA',
        StateReason: 'Unchecked: Initial alarm creation',
        StateUpdatedTimestamp: time,
        AlarmConfigurationUpdatedTimestamp: time,
      };
      alarms.set(arn, { region: context.region, composite, shown });
      return { ref: name, attributes: { Arn: arn } };
    };

  return {
    resources: {
      'AWS::CloudWatch::Alarm': makeAlarm('AWS::CloudWatch::Alarm', METRIC_ALARM, false),
      'AWS::CloudWatch::CompositeAlarm': makeAlarm('AWS::CloudWatch::CompositeAlarm', COMPOSITE_ALARM, true),
      'AWS::CloudWatch::Dashboard': (properties, context): MadeResource => {
        const type = 'AWS::CloudWatch::Dashboard';
        onlyKnown(type, context, properties, ['DashboardBody', 'DashboardName', 'Tags']);
        const body = String(required(type, context, properties, 'DashboardBody'));
        const name = properties.DashboardName ?? context.generatedName;
        if (!Array.isArray(JSON.parse(body).widgets)) throw new Error(`${type} ${name}: the body has no widgets`);
        dashboards.set(`${context.region} ${name}`, body);
        return { ref: name };
      },
    },
    describe: (region, input) => {
      const types: string[] = input.AlarmTypes ?? ['MetricAlarm'];
      const found = [...alarms.values()].filter(
        ({ region: own, composite, shown }) =>
          own === region &&
          types.includes(composite ? 'CompositeAlarm' : 'MetricAlarm') &&
          (!input.AlarmNames || input.AlarmNames.includes(shown.AlarmName)) &&
          shown.AlarmName.startsWith(input.AlarmNamePrefix ?? '') &&
          (!input.StateValue || shown.StateValue === input.StateValue),
      );
      const { items, next } = page(found, input.NextToken, Number(input.MaxRecords ?? 50));
      const shown = (composite: boolean) =>
        items.filter((alarm) => alarm.composite === composite).map((alarm) => alarm.shown);
      return { MetricAlarms: shown(false), CompositeAlarms: shown(true), NextToken: next };
    },
  };
}

function checkMetricAlarm(type: string, context: ResourceContext, given: any): void {
  required(type, context, given, 'ComparisonOperator');
  required(type, context, given, 'EvaluationPeriods');
  if (given.Metrics) return;
  for (const name of ['MetricName', 'Namespace', 'Period']) required(type, context, given, name);
  if (!given.Statistic && !given.ExtendedStatistic) required(type, context, given, 'Statistic');
}
