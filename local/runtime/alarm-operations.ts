import { AwsError, type CallContext, type Operation, type World } from '../facade.ts';
import type { AlarmState } from './alarm-definition.ts';
import type { Alarm, AlarmStore } from './alarms.ts';
import { type Authorisation, epochMilliseconds, page } from './api.ts';

type Authorize = (context: CallContext, call: Authorisation) => Promise<void>;

const STATES: readonly string[] = ['OK', 'ALARM', 'INSUFFICIENT_DATA'] satisfies AlarmState[];

/** CloudWatch's API of alarms. */
export function alarmOperations(
  world: World,
  store: AlarmStore,
  authorize: Authorize,
): Readonly<Record<string, Operation>> {
  const arn = (region: string, name: unknown): string =>
    `arn:aws:cloudwatch:${region}:${world.account}:alarm:${name ?? '*'}`;

  const put =
    (operation: string, composite: boolean): Operation =>
    async (input, context) => {
      await authorize(context, { operation, resource: arn(context.region, input.AlarmName), input });
      if (input.ActionsSuppressor) throw new AwsError('ValidationError', 'The local cloud suppresses no actions.');
      const { Tags: _, ...given } = input;
      store.put(context.region, given, composite);
    };

  /** An operation on several alarms is one call, authorised for each of them. */
  const forNames =
    (operation: string, carryOut: (region: string, name: string) => void): Operation =>
    async (input, context) => {
      const names: string[] = input.AlarmNames ?? [];
      for (const name of names)
        await authorize(context, { operation, resource: arn(context.region, name), input: { AlarmNames: names } });
      for (const name of names) carryOut(context.region, name);
    };

  return {
    PutMetricAlarm: put('PutMetricAlarm', false),
    PutCompositeAlarm: put('PutCompositeAlarm', true),
    DeleteAlarms: forNames('DeleteAlarms', store.remove),
    EnableAlarmActions: forNames('EnableAlarmActions', (region, name) => store.enable(region, name, true)),
    DisableAlarmActions: forNames('DisableAlarmActions', (region, name) => store.enable(region, name, false)),

    SetAlarmState: async (input, context) => {
      const { AlarmName: name, StateValue: state, StateReason: reason } = input;
      await authorize(context, { operation: 'SetAlarmState', resource: arn(context.region, name), input });
      if (!STATES.includes(state)) throw new AwsError('ValidationError', `StateValue must be one of ${STATES}.`);
      if (reason === undefined) throw new AwsError('ValidationError', 'The parameter StateReason is required.');
      store.setState(context.region, String(name), state, String(reason), input.StateReasonData);
    },

    DescribeAlarms: async (input, context) => {
      await authorize(context, { operation: 'DescribeAlarms', resource: arn(context.region, undefined), input });
      const types: string[] = input.AlarmTypes ?? ['MetricAlarm'];
      const found = store
        .all(context.region)
        .filter((alarm) => types.includes(typeOf(alarm)))
        .filter(({ name }) => !input.AlarmNames || input.AlarmNames.includes(name))
        .filter(({ name }) => name.startsWith(input.AlarmNamePrefix ?? ''))
        .filter(({ shown }) => !input.StateValue || shown.StateValue === input.StateValue);
      const { items, next } = page(found, input.NextToken, Number(input.MaxRecords ?? 50));
      const ofType = (type: string) => items.filter((alarm) => typeOf(alarm) === type).map(({ shown }) => shown);
      return { MetricAlarms: ofType('MetricAlarm'), CompositeAlarms: ofType('CompositeAlarm'), NextToken: next };
    },

    DescribeAlarmHistory: async (input, context) => {
      const resource = arn(context.region, input.AlarmName);
      await authorize(context, { operation: 'DescribeAlarmHistory', resource, input });
      const types: string[] = input.AlarmTypes ?? ['MetricAlarm'];
      const from = epochMilliseconds(input.StartDate) ?? 0;
      const to = epochMilliseconds(input.EndDate) ?? Number.POSITIVE_INFINITY;
      const found = store
        .history(context.region)
        .filter((item) => (input.AlarmName ? item.AlarmName === input.AlarmName : types.includes(item.AlarmType)))
        .filter((item) => !input.HistoryItemType || item.HistoryItemType === input.HistoryItemType)
        .filter(({ Timestamp: time }) => time.getTime() >= from && time.getTime() <= to)
        .map(({ region: _, ...item }) => item);
      if (input.ScanBy !== 'TimestampAscending') found.reverse();
      const { items, next } = page(found, input.NextToken, Number(input.MaxRecords ?? 100));
      return { AlarmHistoryItems: items, NextToken: next };
    },
  };
}

const typeOf = ({ rule }: Alarm): string => (rule ? 'CompositeAlarm' : 'MetricAlarm');
