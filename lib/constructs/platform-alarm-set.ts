import { CfnAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import {
  alarmName,
  functionName,
  notificationDeadLetterQueueName,
  scheduleDeadLetterQueueName,
  scheduleGroupName,
} from '../config/names.ts';
import { runbookLink, writeAlarmText } from '../core/alarm-text.ts';
import { type PlatformAlarm, platformAlarms } from '../core/platform-alarms.ts';
import { stateMachineArn } from './arns.ts';

export interface PlatformAlarmSetProps {
  readonly system: string;
  readonly topic: ITopic;
  readonly runbooks: string | undefined;
  /** Functions that measure or tell, and whether Slack's queue exists. */
  readonly functions: readonly string[];
  readonly machines: readonly string[];
  readonly tellsSlack: boolean;
}

interface Watched {
  /** Ends the alarm's name where a kind has several. */
  readonly suffix?: string;
  readonly dimension: { readonly name: string; readonly value: string };
}

/** pgdr watching itself in one region: who hears nothing of the other region, and what could not be delivered. */
export class PlatformAlarmSet extends Construct {
  readonly names: readonly string[];

  constructor(scope: Construct, id: string, props: PlatformAlarmSetProps) {
    super(scope, id);
    const { system, topic, runbooks } = props;
    const names: string[] = [];
    for (const [id, alarm] of Object.entries(platformAlarms) as [string, PlatformAlarm][]) {
      for (const { suffix, dimension } of this.watched(alarm.of, props)) {
        if (suffix && alarm.except?.includes(suffix)) continue;
        const name = suffix ? `${id}-${suffix}` : id;
        names.push(alarmName(system, undefined, name));
        const [datapointsToAlarm, evaluationPeriods] = alarm.periods;
        new CfnAlarm(this, name, {
          alarmName: alarmName(system, undefined, name),
          alarmDescription: writeAlarmText({
            severity: alarm.severity,
            about: system,
            says: suffix ? `${alarm.says}: ${suffix}` : alarm.says,
            runbook: runbookLink(alarm.runbook, runbooks),
          }),
          namespace: alarm.namespace,
          metricName: alarm.metric,
          dimensions: [dimension],
          statistic: alarm.statistic,
          period: alarm.periodSeconds,
          comparisonOperator: alarm.comparison === 'above' ? 'GreaterThanThreshold' : 'LessThanThreshold',
          threshold: alarm.limit,
          datapointsToAlarm,
          evaluationPeriods,
          treatMissingData: alarm.missing,
          ...(!alarm.quiet && { alarmActions: [topic.topicArn], okActions: [topic.topicArn] }),
        });
      }
    }
    this.names = names;
  }

  private watched(of: PlatformAlarm['of'], props: PlatformAlarmSetProps): Watched[] {
    const { system, functions, machines, tellsSlack } = props;
    switch (of) {
      case 'system':
        return [{ dimension: { name: 'System', value: system } }];
      case 'schedule-dead-letters':
        return [{ dimension: { name: 'QueueName', value: scheduleDeadLetterQueueName(system) } }];
      case 'slack-dead-letters':
        return tellsSlack ? [{ dimension: { name: 'QueueName', value: notificationDeadLetterQueueName(system) } }] : [];
      case 'schedules':
        return [{ dimension: { name: 'ScheduleGroup', value: scheduleGroupName(system) } }];
      case 'functions':
        return functions.map((name) => ({
          suffix: name,
          dimension: { name: 'FunctionName', value: functionName(system, name) },
        }));
      case 'machines':
        return machines.map((name) => ({
          suffix: name,
          dimension: { name: 'StateMachineArn', value: stateMachineArn(this, system, name) },
        }));
    }
  }
}
