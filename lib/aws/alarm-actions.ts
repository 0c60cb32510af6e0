import {
  CloudWatchClient,
  DescribeAlarmsCommand,
  DisableAlarmActionsCommand,
  EnableAlarmActionsCommand,
  SetAlarmStateCommand,
} from '@aws-sdk/client-cloudwatch';

/**
 * Arms or mutes alarms, as many as one request takes (100). One that was in alarm while it was muted told nobody, and
 * would tell nobody until its next change of state: it is set back, so that the next look at its metric tells. But for
 * those that keep the state of a metric that comes once a run: what they last saw stands.
 */
export async function setAlarmActions(
  names: readonly string[],
  armed: boolean,
): Promise<{ changed: number; known: number }> {
  const cloudwatch = new CloudWatchClient({ maxAttempts: 4 });
  const AlarmNames = [...names];
  const { MetricAlarms = [], CompositeAlarms = [] } = await cloudwatch.send(
    new DescribeAlarmsCommand({ AlarmNames, AlarmTypes: ['MetricAlarm', 'CompositeAlarm'], MaxRecords: 100 }),
  );
  const all = [...MetricAlarms, ...CompositeAlarms];
  const wrong = all
    .filter(({ ActionsEnabled }) => ActionsEnabled !== armed)
    .map(({ AlarmName }) => AlarmName as string);
  if (wrong.length === 0) return { changed: 0, known: all.length };
  const request = { AlarmNames: wrong };
  await cloudwatch.send(armed ? new EnableAlarmActionsCommand(request) : new DisableAlarmActionsCommand(request));
  const untold = MetricAlarms.filter(
    ({ AlarmName, StateValue, TreatMissingData }) =>
      armed && StateValue === 'ALARM' && TreatMissingData !== 'ignore' && wrong.includes(AlarmName as string),
  );
  for (const { AlarmName } of untold) {
    const StateReason = 'pgdr: armed, since the writer is in this region';
    await cloudwatch.send(new SetAlarmStateCommand({ AlarmName, StateValue: 'INSUFFICIENT_DATA', StateReason }));
  }
  return { changed: wrong.length, known: all.length };
}
