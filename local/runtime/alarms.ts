import { AwsError, type World } from '../facade.ts';
import {
  type AlarmActions,
  type AlarmState,
  type MetricAlarm,
  readActions,
  readMetricAlarm,
} from './alarm-definition.ts';
import { datapointsOf, evaluate } from './alarm-evaluation.ts';
import { messageOf, type ShownAlarm, subjectOf, type Transition } from './alarm-message.ts';
import { type AlarmRule, readAlarmRule } from './alarm-rule.ts';
import type { MetricSample } from './metric.ts';

export interface AlarmOptions {
  /** SNS's: publishes as a service, not as a role. @default every action fails */
  readonly publishFromService?: PublishFromService;
}

export type PublishFromService = (
  topicArn: string,
  message: { readonly subject: string; readonly text: string },
  from: { readonly servicePrincipal: string; readonly sourceArn: string },
) => Promise<void> | void;

export interface AlarmChange extends Transition {
  readonly region: string;
  readonly alarmName: string;
}

export interface Alarm {
  readonly region: string;
  readonly arn: string;
  readonly name: string;
  readonly metric?: MetricAlarm;
  readonly rule?: AlarmRule;
  readonly actions: AlarmActions;
  readonly shown: ShownAlarm;
}

export interface HistoryItem {
  readonly AlarmName: string;
  readonly AlarmType: 'MetricAlarm' | 'CompositeAlarm';
  readonly Timestamp: Date;
  readonly HistoryItemType: 'ConfigurationUpdate' | 'StateUpdate' | 'Action';
  readonly HistorySummary: string;
  readonly HistoryData: string;
  readonly region: string;
}

export interface AlarmStore {
  /** Makes or changes an alarm; one that stays keeps its state. @throws AwsError ValidationError */
  put(region: string, given: any, composite: boolean): Alarm;
  find(region: string, nameOrArn: string): Alarm | undefined;
  all(region: string): readonly Alarm[];
  remove(region: string, name: string): void;
  enable(region: string, name: string, enabled: boolean): void;
  setState(region: string, name: string, state: AlarmState, reason: string, data?: string): void;
  /** Oldest first. */
  history(region: string): readonly HistoryItem[];
  onChange(listener: (change: AlarmChange) => void): () => void;
}

const MINUTE = 60_000;
const HIGH_RESOLUTION = 10_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** CloudWatch keeps 30 days of history; here the latest items stay. */
const KEPT_HISTORY = 5000;

/** Alarms that are evaluated every minute of the cloud's clock, or every ten seconds where their period is shorter. */
export function alarmStore(
  world: World,
  options: AlarmOptions,
  samplesOf: (region: string, metric: MetricAlarm) => readonly MetricSample[],
): AlarmStore {
  const alarms = new Map<string, Alarm>();
  const history: HistoryItem[] = [];
  const listeners = new Set<(change: AlarmChange) => void>();
  let ticking = false;

  const arnOf = (region: string, name: string): string =>
    name.startsWith('arn:') ? name : `arn:aws:cloudwatch:${region}:${world.account}:alarm:${name}`;
  const existing = (region: string, name: string): Alarm => {
    const alarm = alarms.get(arnOf(region, name));
    if (!alarm) throw new AwsError('ResourceNotFound', `There is no alarm ${name} in ${region}.`, 404);
    return alarm;
  };

  const note = (alarm: Alarm, type: HistoryItem['HistoryItemType'], summary: string, data: object): void => {
    history.push({
      AlarmName: alarm.name,
      AlarmType: alarm.rule ? 'CompositeAlarm' : 'MetricAlarm',
      Timestamp: new Date(world.now()),
      HistoryItemType: type,
      HistorySummary: summary,
      HistoryData: JSON.stringify(data),
      region: alarm.region,
    });
    if (history.length > 2 * KEPT_HISTORY) history.splice(0, history.length - KEPT_HISTORY);
  };

  const act = (alarm: Alarm, transition: Transition): void => {
    if (!alarm.actions.enabled) return;
    const from = { servicePrincipal: 'cloudwatch.amazonaws.com', sourceArn: alarm.arn };
    const message = {
      subject: subjectOf(alarm.shown, alarm.region, transition),
      text: messageOf(alarm.shown, alarm.region, world.account, transition),
    };
    for (const action of alarm.actions.byState[transition.to]) {
      void (async () => {
        if (!options.publishFromService) throw new Error('nothing here publishes to topics');
        await options.publishFromService(action, message, from);
      })().then(
        () => note(alarm, 'Action', `Successfully executed action ${action}`, { action }),
        (error: Error) => {
          note(alarm, 'Action', `Failed to execute action ${action}. Received error: "${error.message}"`, { action });
          world.note(`cloudwatch: alarm ${alarm.name} could not notify ${action}: ${error.message}`);
        },
      );
    }
  };

  const change = (alarm: Alarm, to: AlarmState, reason: string, data?: string): void => {
    const from: AlarmState = alarm.shown.StateValue;
    if (to === from) return;
    const time = new Date(world.now());
    const next: Alarm = {
      ...alarm,
      shown: {
        ...alarm.shown,
        StateValue: to,
        StateReason: reason,
        StateReasonData: data,
        StateUpdatedTimestamp: time,
        StateTransitionedTimestamp: time,
      },
    };
    alarms.set(alarm.arn, next);
    const transition = { from, to, reason, time };
    note(next, 'StateUpdate', `Alarm updated from ${from} to ${to}`, {
      version: '1.0',
      oldState: { stateValue: from, stateReason: alarm.shown.StateReason },
      newState: { stateValue: to, stateReason: reason },
    });
    act(next, transition);
    for (const listener of listeners) listener({ ...transition, region: alarm.region, alarmName: alarm.name });
  };

  const stateOf = (region: string, nameOrArn: string): AlarmState =>
    alarms.get(arnOf(region, nameOrArn))?.shown.StateValue ?? 'INSUFFICIENT_DATA';

  /** A composite's state may change another's: as often as there are composites, a change can go on. */
  const settleComposites = (): void => {
    const composites = () => [...alarms.values()].filter(({ rule }) => rule !== undefined);
    for (let round = composites().length; round > 0; round--) {
      let changed = false;
      for (const alarm of composites()) {
        if (world.outages.state(alarm.region) === 'down') continue;
        const holds = alarm.rule?.holds((name) => stateOf(alarm.region, name));
        const to = holds ? 'ALARM' : 'OK';
        if (to === alarm.shown.StateValue) continue;
        const time = new Date(world.now()).toISOString();
        change(
          alarm,
          to,
          `${arnOf(alarm.region, alarm.name)} transitioned to ${to} at ${time}: its rule was evaluated`,
        );
        changed = true;
      }
      if (!changed) return;
    }
  };

  const tick = (): void => {
    const now = world.now();
    for (const alarm of [...alarms.values()]) {
      if (!alarm.metric || world.outages.state(alarm.region) === 'down') continue;
      const every = cadence(alarm.metric);
      // Ten-second ticks come between the minutes too.
      if (now % every >= HIGH_RESOLUTION) continue;
      const points = datapointsOf(alarm.metric, samplesOf(alarm.region, alarm.metric), now - (now % every));
      const verdict = evaluate(alarm.metric, points, alarm.shown.StateValue);
      const recent = points.filter(({ value }) => value !== undefined).map(({ value }) => value);
      const { period, statistic, threshold } = alarm.metric;
      const data = { version: '1.0', period: period / 1000, statistic, threshold, recentDatapoints: recent };
      change(alarm, verdict.state, verdict.reason, JSON.stringify(data));
    }
    settleComposites();
  };

  const schedule = (): void => {
    if (alarms.size === 0) {
      ticking = false;
      return;
    }
    ticking = true;
    const isHigh = [...alarms.values()].some(({ metric }) => metric !== undefined && metric.period < MINUTE);
    const every = isHigh ? HIGH_RESOLUTION : MINUTE;
    world.clock.timer(every - (world.now() % every), () => {
      tick();
      schedule();
    });
  };

  const put = (region: string, given: any, composite: boolean): Alarm => {
    const name = String(given.AlarmName ?? '');
    if (!name || name.length > 255) throw new AwsError('ValidationError', 'AlarmName must have 1 to 255 characters.');
    const arn = arnOf(region, name);
    const before = alarms.get(arn);
    const rule = composite ? readAlarmRule(String(given.AlarmRule ?? '')) : undefined;
    for (const other of rule?.alarms ?? []) {
      if (arnOf(region, other) === arn || !alarms.has(arnOf(region, other)))
        throw new AwsError('ValidationError', `AlarmRule: there is no alarm ${other} in ${region} beside this one.`);
    }
    const metric = composite ? undefined : readMetricAlarm(given);
    const actions = readActions(given, region);
    const time = new Date(world.now());
    const shown: ShownAlarm = {
      ...given,
      ...(metric && {
        EvaluationPeriods: metric.evaluationPeriods,
        Threshold: metric.threshold,
        ...(given.DatapointsToAlarm !== undefined && { DatapointsToAlarm: metric.datapointsToAlarm }),
        ...(given.Period !== undefined && { Period: metric.period / 1000 }),
      }),
      AlarmName: name,
      AlarmArn: arn,
      ActionsEnabled: actions.enabled,
      StateValue: before?.shown.StateValue ?? 'INSUFFICIENT_DATA',
      StateReason: before?.shown.StateReason ?? 'Unchecked: Initial alarm creation',
      StateUpdatedTimestamp: before?.shown.StateUpdatedTimestamp ?? time,
      AlarmConfigurationUpdatedTimestamp: time,
    };
    const alarm: Alarm = { region, arn, name, metric, rule, actions, shown };
    alarms.set(arn, alarm);
    const what = before ? 'updated' : 'created';
    note(alarm, 'ConfigurationUpdate', `Alarm "${name}" ${what}`, {
      type: before ? 'Update' : 'Create',
      version: '1.0',
    });
    if (rule) settleComposites();
    if (!ticking) schedule();
    return alarm;
  };

  return {
    put,
    find: (region, nameOrArn) => alarms.get(arnOf(region, nameOrArn)),
    all: (region) => [...alarms.values()].filter((alarm) => alarm.region === region),
    remove: (region, name) => {
      const alarm = existing(region, name);
      const user = [...alarms.values()].find(({ rule }) =>
        rule?.alarms.some((one) => arnOf(region, one) === alarm.arn),
      );
      if (user) throw new AwsError('ValidationError', `The composite alarm ${user.name} depends on ${name}.`);
      alarms.delete(alarm.arn);
    },
    enable: (region, name, enabled) => {
      const alarm = existing(region, name);
      const actions = { ...alarm.actions, enabled };
      alarms.set(alarm.arn, { ...alarm, actions, shown: { ...alarm.shown, ActionsEnabled: enabled } });
    },
    setState: (region, name, state, reason, data) => {
      change(existing(region, name), state, reason, data);
      settleComposites();
    },
    history: (region) => history.filter((item) => item.region === region),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Milliseconds between two evaluations: an hour where more than a day is watched. */
function cadence({ period, evaluationPeriods }: MetricAlarm): number {
  if (period * evaluationPeriods > DAY) return HOUR;
  return period < MINUTE ? HIGH_RESOLUTION : MINUTE;
}
