import { CfnAlarm, CfnCompositeAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { alarmName, alarmTopicName, pageName } from '../config/names.ts';
import { runbookLink, writeAlarmText } from '../core/alarm-text.ts';
import { type AlarmSubject, alarmsFor, type Capability, type ChosenAlarm, sentenceOf } from '../core/alarms.ts';
import { dimensionOf, metricNamespace } from '../core/metrics.ts';
import { topicArn } from './arns.ts';

export interface AlarmSetProps {
  readonly system: string;
  readonly database: string;
  readonly subject: AlarmSubject;
  readonly capabilities: ReadonlySet<Capability>;
  /** Whether this region watches the database; elsewhere its alarms have states and page nobody. */
  readonly watching: boolean;
  readonly runbooks: string | undefined;
}

const isExplained = ({ explainedBy = [], explainedByPlatform = [] }: ChosenAlarm): boolean =>
  explainedBy.length + explainedByPlatform.length > 0;

/** The alarms of a database. One that others may explain pages through a composite, which waits while they are on. */
export class AlarmSet extends Construct {
  /** Of alarms and composites that are armed where the writer is. */
  readonly names: readonly string[];
  private readonly props: AlarmSetProps;

  constructor(scope: Construct, id: string, props: AlarmSetProps) {
    super(scope, id);
    this.props = props;
    const made = new Map<string, CfnAlarm>();
    const chosen = alarmsFor(props.subject, props.capabilities);
    for (const alarm of chosen) made.set(alarm.id, this.addAlarm(alarm));
    for (const alarm of chosen) {
      if (!isExplained(alarm)) continue;
      const own = made.get(alarm.id) as CfnAlarm;
      this.addPage(
        alarm,
        own,
        (alarm.explainedBy ?? []).map((other) => made.get(other) as CfnAlarm),
      );
    }
    const { system, database } = props;
    const ofWriter = chosen.filter(({ everywhere }) => !everywhere);
    this.names = ofWriter.flatMap((alarm) => [
      alarmName(system, database, alarm.id),
      ...(isExplained(alarm) ? [pageName(system, database, alarm.id)] : []),
    ]);
  }

  private addAlarm(alarm: ChosenAlarm): CfnAlarm {
    const { system, database } = this.props;
    const [datapointsToAlarm, evaluationPeriods] = alarm.periods;
    const dimension = dimensionOf(alarm.metric);
    return new CfnAlarm(this, alarm.id, {
      alarmName: alarmName(system, database, alarm.id),
      alarmDescription: this.text(alarm),
      namespace: metricNamespace,
      metricName: alarm.metric,
      dimensions: [{ name: dimension, value: dimension === 'System' ? system : database }],
      statistic: alarm.statistic,
      period: alarm.periodSeconds,
      comparisonOperator: alarm.comparison === 'above' ? 'GreaterThanThreshold' : 'LessThanThreshold',
      threshold: alarm.limit,
      datapointsToAlarm,
      evaluationPeriods,
      treatMissingData: alarm.missing,
      // Also where it tells nobody by itself: what is muted here is not counted as on.
      actionsEnabled: this.isArmed(alarm),
      ...(isExplained(alarm) ? {} : this.actions(alarm)),
    });
  }

  private addPage(alarm: ChosenAlarm, own: CfnAlarm, others: readonly CfnAlarm[]): void {
    const { system, database } = this.props;
    const state = (name: string | undefined) => `ALARM("${name}")`;
    const platform = (alarm.explainedByPlatform ?? []).map((id) => alarmName(system, undefined, id));
    const explanations = [...others.map((other) => other.alarmName), ...platform];
    const page = new CfnCompositeAlarm(this, `${alarm.id}-page`, {
      alarmName: pageName(system, database, alarm.id),
      alarmDescription: this.text(alarm),
      alarmRule: [state(own.alarmName), ...explanations.map((name) => `NOT ${state(name)}`)].join(' AND '),
      ...this.actions(alarm),
    });
    for (const alarm of [own, ...others]) page.addResourceDependency(alarm);
  }

  private text(alarm: ChosenAlarm): string {
    const { database, runbooks } = this.props;
    const { severity, runbook } = alarm;
    return writeAlarmText({
      severity,
      about: database,
      says: sentenceOf(alarm),
      runbook: runbookLink(runbook, runbooks),
    });
  }

  private isArmed({ everywhere }: ChosenAlarm): boolean {
    return this.props.watching || everywhere === true;
  }

  private actions(alarm: ChosenAlarm) {
    const topic = topicArn(this, alarmTopicName(this.props.system));
    return { actionsEnabled: this.isArmed(alarm), alarmActions: [topic], okActions: [topic] };
  }
}
