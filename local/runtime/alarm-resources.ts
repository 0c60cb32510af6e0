import type { MadeResource, ResourceMaker } from '../facade.ts';
import type { AlarmStore } from './alarms.ts';
import { onlyKnown, required } from './properties.ts';

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
  'TreatMissingData',
  'Unit',
];
const COMPOSITE_ALARM = [
  'ActionsEnabled',
  'AlarmActions',
  'AlarmDescription',
  'AlarmName',
  'AlarmRule',
  'InsufficientDataActions',
  'OKActions',
  'Tags',
];
const REFUSED = {
  ActionsSuppressor: 'actions are not suppressed here',
  ThresholdMetricId: 'there is no anomaly detection here',
};

/** Alarms and dashboards as templates make them. */
export function alarmResources(store: AlarmStore): Readonly<Record<string, ResourceMaker>> {
  const dashboards = new Map<string, string>();

  const alarm =
    (type: string, known: readonly string[], composite: boolean): ResourceMaker =>
    (properties, context): MadeResource => {
      onlyKnown(type, context, properties, known, REFUSED);
      const { Tags: _, ...given } = properties;
      const name = given.AlarmName ?? context.generatedName;
      if (store.find(context.region, name)) throw new Error(`${type} ${name} exists already in ${context.region}`);
      try {
        const { arn } = store.put(context.region, { ...given, AlarmName: name }, composite);
        return { ref: name, attributes: { Arn: arn } };
      } catch (error) {
        throw new Error(`${type} ${context.stack}/${context.logicalId}: ${(error as Error).message}`);
      }
    };

  return {
    'AWS::CloudWatch::Alarm': alarm('AWS::CloudWatch::Alarm', METRIC_ALARM, false),
    'AWS::CloudWatch::CompositeAlarm': alarm('AWS::CloudWatch::CompositeAlarm', COMPOSITE_ALARM, true),
    'AWS::CloudWatch::Dashboard': (properties, context): MadeResource => {
      const type = 'AWS::CloudWatch::Dashboard';
      onlyKnown(type, context, properties, ['DashboardBody', 'DashboardName', 'Tags']);
      const body = String(required(type, context, properties, 'DashboardBody'));
      const name = properties.DashboardName ?? context.generatedName;
      if (!Array.isArray(JSON.parse(body).widgets)) throw new Error(`${type} ${name}: the body has no widgets`);
      dashboards.set(`${context.region} ${name}`, body);
      return { ref: name };
    },
  };
}
