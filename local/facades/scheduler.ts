import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  AwsError,
  type CallContext,
  type Facade,
  type ResourceContext,
  type ResourceMaker,
  type World,
} from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { onlyKnown, required, tagMap } from '../runtime/properties.ts';
import { sendJson } from '../runtime/rest.ts';
import {
  assertTrusted,
  type Delivery,
  deliver,
  type ScheduleTarget,
  targetProblem,
} from '../runtime/schedule-delivery.ts';
import { readScheduleExpression, type ScheduleTimes } from '../runtime/schedule-expression.ts';
import { measures, type OnMetric } from '../runtime/service-metrics.ts';

export interface SchedulerFacade extends Facade {
  /**
   * Makes a schedule's time come now: what its timer would do. Settles when the target took it.
   *
   * @param at the scheduled time that the target is told. @default now
   * @throws AwsError the last refusal, once the retry policy is exhausted and the dead-letter queue was told
   */
  fire(region: string, nameOrArn: string, at?: Date): Promise<{ executionArn?: string }>;
  /** When a schedule's time comes next; undefined when it is disabled or over. */
  next(region: string, nameOrArn: string): Date | undefined;
}

interface Schedule {
  readonly arn: string;
  readonly name: string;
  readonly group: string;
  readonly region: string;
  readonly properties: Readonly<Record<string, any>>;
  readonly target: ScheduleTarget;
  readonly enabled: boolean;
  readonly times: ScheduleTimes;
  readonly start?: number;
  readonly end?: number;
  readonly created: Date;
  cancel?: () => void;
}

interface Group {
  readonly arn: string;
  readonly name: string;
  readonly region: string;
  readonly created: Date;
  readonly tags: Readonly<Record<string, string>>;
}

const SCHEDULE = [
  'Description',
  'EndDate',
  'FlexibleTimeWindow',
  'GroupName',
  'KmsKeyArn',
  'Name',
  'ScheduleExpression',
  'ScheduleExpressionTimezone',
  'StartDate',
  'State',
  'Target',
];
const TARGET = ['Arn', 'DeadLetterConfig', 'Input', 'RetryPolicy', 'RoleArn'];
/** After a machine has slept, what came due in this many milliseconds before is made up for. */
const LONGEST_CATCH_UP = 86_400_000;

/**
 * EventBridge Scheduler on the cloud's clock. A flexible time window is used at its very start, which it allows.
 * Delivery is at least once in AWS; here it is once. What comes due while its region is down is not made up for.
 */
export function createScheduler(world: World, options: { readonly onMetric?: OnMetric } = {}): SchedulerFacade {
  const schedules = new Map<string, Schedule>();
  const groups = new Map<string, Group>();
  const deliveries = new Set<Promise<unknown>>();
  const closing = new AbortController();
  const authorize = authorizer(world, 'scheduler');
  const measure = measures(world, 'AWS/Scheduler', options.onMetric);

  const prefix = (region: string): string => `arn:aws:scheduler:${region}:${world.account}`;

  const find = (region: string, nameOrArn: string, group?: string): Schedule => {
    const found = [...schedules.values()].filter(
      (schedule) =>
        schedule.arn === nameOrArn ||
        (schedule.region === region && schedule.name === nameOrArn && (!group || schedule.group === group)),
    );
    if (found.length > 1) throw new Error(`${found.length} groups have a schedule ${nameOrArn}: name it by its ARN`);
    if (found[0]) return found[0];
    throw new AwsError('ResourceNotFoundException', `Schedule ${nameOrArn} does not exist.`, 404);
  };

  const nextTime = (schedule: Schedule, after: number): number | undefined => {
    if (!schedule.enabled) return undefined;
    const time = schedule.times.next(Math.max(after, (schedule.start ?? 0) - 1));
    return time === undefined || (schedule.end !== undefined && time > schedule.end) ? undefined : time;
  };

  const carryOut = (schedule: Schedule, scheduledTime: Date): Promise<{ executionArn?: string }> => {
    const { arn: scheduleArn, target, region, group } = schedule;
    const delivery: Delivery = {
      scheduleArn,
      target,
      scheduledTime,
      count: (what) => measure(region, group, { [what]: 1 }),
    };
    const work = deliver(world, delivery, closing.signal);
    deliveries.add(work);
    work.finally(() => deliveries.delete(work)).catch(() => {});
    return work;
  };

  const arm = (schedule: Schedule, after: number): void => {
    const time = nextTime(schedule, after);
    if (time === undefined || closing.signal.aborted) return;
    schedule.cancel = world.clock.timer(time - world.now(), () => {
      // deliver() has noted why it failed.
      if (world.outages.state(schedule.region) !== 'down') carryOut(schedule, new Date(time)).catch(() => {});
      arm(schedule, Math.max(time, world.now() - LONGEST_CATCH_UP));
    });
  };

  const http = async (request: IncomingMessage, response: ServerResponse, context: CallContext): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://cloud');
    const [, kind, encoded] = /^\/(schedules|schedule-groups)(?:\/([^/]+))?\/?$/.exec(pathname) ?? [];
    const name = encoded && decodeURIComponent(encoded);
    const query = (key: string): string | undefined => searchParams.get(key) ?? undefined;
    const limit = Number(query('MaxResults') ?? 100);
    if (request.method !== 'GET' || !kind) {
      throw new AwsError(
        'UnknownOperationException',
        `scheduler has no ${request.method} ${pathname} in this cloud.`,
        404,
      );
    }
    if (kind === 'schedules' && name) {
      const group = query('groupName') ?? 'default';
      const resource = `${prefix(context.region)}:schedule/${group}/${name}`;
      await authorize(context, { operation: 'GetSchedule', resource, input: { Name: name, GroupName: group } });
      return sendJson(response, describeSchedule(find(context.region, name, group)));
    }
    if (kind === 'schedules') {
      await authorize(context, { operation: 'ListSchedules', resource: '*' });
      const own = [...schedules.values()].filter(
        (schedule) =>
          schedule.region === context.region &&
          (!query('ScheduleGroup') || schedule.group === query('ScheduleGroup')) &&
          schedule.name.startsWith(query('NamePrefix') ?? '') &&
          (!query('State') || query('State') === stateOf(schedule)),
      );
      const { items, next } = page(own, query('NextToken'), limit);
      return sendJson(response, { Schedules: items.map(summarise), NextToken: next });
    }
    const all = [...groups.values()].filter(({ region }) => region === context.region);
    if (name) {
      const resource = `${prefix(context.region)}:schedule-group/${name}`;
      await authorize(context, { operation: 'GetScheduleGroup', resource, input: { Name: name } });
      const group = all.find((candidate) => candidate.name === name);
      if (!group) throw new AwsError('ResourceNotFoundException', `Schedule group ${name} does not exist.`, 404);
      return sendJson(response, describeGroup(group));
    }
    await authorize(context, { operation: 'ListScheduleGroups', resource: '*' });
    const { items, next } = page(all, query('NextToken'), limit);
    return sendJson(response, { ScheduleGroups: items.map(describeGroup), NextToken: next });
  };

  const resources: Readonly<Record<string, ResourceMaker>> = {
    'AWS::Scheduler::ScheduleGroup': (properties, context) => {
      const type = 'AWS::Scheduler::ScheduleGroup';
      onlyKnown(type, context, properties, ['Name', 'Tags']);
      const name = properties.Name ?? context.generatedName;
      const arn = `${prefix(context.region)}:schedule-group/${name}`;
      const created = new Date(world.now());
      if (groups.has(arn)) throw new Error(`${type} ${name} exists already in ${context.region}`);
      groups.set(arn, { arn, name, region: context.region, created, tags: tagMap(properties.Tags) });
      return {
        ref: name,
        attributes: {
          Arn: arn,
          State: 'ACTIVE',
          CreationDate: created.toISOString(),
          LastModificationDate: created.toISOString(),
        },
      };
    },

    'AWS::Scheduler::Schedule': (properties, context) => {
      const type = 'AWS::Scheduler::Schedule';
      onlyKnown(type, context, properties, SCHEDULE);
      const schedule = readSchedule(type, properties, context);
      assertTrusted(world, schedule.arn, schedule.target);
      if (schedules.has(schedule.arn)) throw new Error(`${type} ${schedule.name} exists already in ${context.region}`);
      schedules.set(schedule.arn, schedule);
      arm(schedule, world.now());
      return { ref: schedule.name, attributes: { Arn: schedule.arn } };
    },
  };

  const readSchedule = (type: string, properties: any, context: ResourceContext): Schedule => {
    const { region } = context;
    const fail = (message: string): never => {
      throw new Error(`${type} ${context.stack}/${context.logicalId}: ${message}`);
    };
    const target = required(type, context, properties, 'Target') as any;
    onlyKnown(`${type} Target`, context, target, TARGET);
    for (const name of ['Arn', 'RoleArn']) required(`${type} Target`, context, target, name);
    const problem = targetProblem(target.Arn);
    if (problem) fail(problem);
    if (target.Input !== undefined) parseInput(String(target.Input), fail);
    const windowMode = (required(type, context, properties, 'FlexibleTimeWindow') as any).Mode;
    if (!['OFF', 'FLEXIBLE'].includes(windowMode))
      fail(`FlexibleTimeWindow Mode must be OFF or FLEXIBLE, not ${windowMode}`);
    const minutes = Number(properties.FlexibleTimeWindow.MaximumWindowInMinutes);
    if (windowMode === 'FLEXIBLE' && !(minutes >= 1 && minutes <= 1440))
      fail('FlexibleTimeWindow MaximumWindowInMinutes must be 1 to 1440');
    const group = properties.GroupName ?? 'default';
    if (group !== 'default' && !groups.has(`${prefix(region)}:schedule-group/${group}`))
      fail(`there is no schedule group ${group}`);
    const name = properties.Name ?? context.generatedName;
    const time = (value: unknown) => (value === undefined ? undefined : Date.parse(String(value)));
    const start = time(properties.StartDate);
    const expression = String(required(type, context, properties, 'ScheduleExpression'));
    return {
      arn: `${prefix(region)}:schedule/${group}/${name}`,
      name,
      group,
      region,
      properties,
      target,
      enabled: properties.State !== 'DISABLED',
      times: readScheduleExpression(expression, properties.ScheduleExpressionTimezone ?? 'UTC', start ?? world.now()),
      start,
      end: time(properties.EndDate),
      created: new Date(world.now()),
    };
  };

  return {
    service: 'scheduler',
    http,
    resources,
    fire: (region, nameOrArn, at = new Date(world.now())) => carryOut(find(region, nameOrArn), at),
    next: (region, nameOrArn) => {
      const time = nextTime(find(region, nameOrArn), world.now());
      return time === undefined ? undefined : new Date(time);
    },
    close: async () => {
      closing.abort();
      for (const { cancel } of schedules.values()) cancel?.();
      await Promise.allSettled(deliveries);
    },
  };
}

/** A state machine refuses what is no JSON only when it is night; the attempt number is the one variable not in quotes. */
function parseInput(input: string, fail: (message: string) => never): void {
  try {
    JSON.parse(input.replace(/<aws\.scheduler\.attempt-number>/g, '1'));
  } catch (error) {
    fail(`Target.Input is not JSON: ${(error as Error).message}`);
  }
}

const stateOf = ({ enabled }: Schedule): string => (enabled ? 'ENABLED' : 'DISABLED');

const summarise = (schedule: Schedule) => ({
  Arn: schedule.arn,
  Name: schedule.name,
  GroupName: schedule.group,
  State: stateOf(schedule),
  Target: { Arn: schedule.target.Arn },
  CreationDate: schedule.created,
  LastModificationDate: schedule.created,
});

const describeSchedule = (schedule: Schedule) => ({
  ...summarise(schedule),
  ActionAfterCompletion: 'NONE',
  Description: schedule.properties.Description,
  KmsKeyArn: schedule.properties.KmsKeyArn,
  FlexibleTimeWindow: schedule.properties.FlexibleTimeWindow,
  ScheduleExpression: schedule.properties.ScheduleExpression,
  ScheduleExpressionTimezone: schedule.properties.ScheduleExpressionTimezone ?? 'UTC',
  StartDate: schedule.start === undefined ? undefined : new Date(schedule.start),
  EndDate: schedule.end === undefined ? undefined : new Date(schedule.end),
  Target: schedule.target,
});

const describeGroup = (group: Group) => ({
  Arn: group.arn,
  Name: group.name,
  State: 'ACTIVE',
  CreationDate: group.created,
  LastModificationDate: group.created,
});
