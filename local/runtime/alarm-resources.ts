import type { MadeResource, ResourceMaker } from '../facade.ts';
import type { AlarmStore } from './alarms.ts';
import { onlyKnown } from './properties.ts';

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

/** Alarms as templates make them. */
export function alarmResources(store: AlarmStore): Readonly<Record<string, ResourceMaker>> {
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
  };
}
