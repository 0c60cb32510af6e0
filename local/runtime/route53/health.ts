import { randomUUID } from 'node:crypto';
import { AwsError, type World } from '../../facade.ts';
import type { CloudWatchFacade } from '../../facades/cloudwatch.ts';
import { type AlarmState, COMPARISONS, type MetricAlarm } from '../alarm-definition.ts';
import { datapointsOf, evaluate } from '../alarm-evaluation.ts';

export interface HealthCheckConfig {
  readonly type: 'CLOUDWATCH_METRIC' | 'CALCULATED';
  readonly inverted: boolean;
  readonly disabled: boolean;
  readonly alarm?: { readonly region: string; readonly name: string };
  readonly insufficientData?: 'Healthy' | 'Unhealthy' | 'LastKnownStatus';
  readonly threshold?: number;
  readonly children?: readonly string[];
}

export interface HealthCheck {
  readonly id: string;
  readonly callerReference: string;
  readonly version: number;
  readonly config: HealthCheckConfig;
  /** The alarm as it was when the check was made or changed: later changes of it do not reach the check. */
  readonly metric?: MetricAlarm;
  /** What the alarm's data last said, where they said anything. */
  lastKnown?: boolean;
}

export interface HealthChecks {
  /** @throws AwsError InvalidInput */
  create(callerReference: string, given: any): HealthCheck;
  update(id: string, given: any): HealthCheck;
  remove(id: string): void;
  find(id: string): HealthCheck;
  has(id: string): boolean;
  all(): readonly HealthCheck[];
  isHealthy(id: string): boolean;
  /** Why it is as it is, as a checker would report. */
  report(id: string): string;
}

const KNOWN = [
  'AlarmIdentifier',
  'ChildHealthChecks',
  'Disabled',
  'HealthThreshold',
  'InsufficientDataHealthStatus',
  'Inverted',
  'Type',
];
const STATISTICS = ['Average', 'Minimum', 'Maximum', 'Sum', 'SampleCount'];
const REGION = 'us-east-1';
/** Data are looked at when they come, when an answer depends on them, and so often besides. */
const EVERY = 10_000;

const invalid = (message: string): AwsError => new AwsError('InvalidInput', message);

/**
 * Health checks on the data that a CloudWatch alarm watches (not on the alarm's state, which a hand can set) and on
 * other health checks. AWS's checkers need up to a minute for what is seen here at once.
 */
export function createHealthChecks(world: World, cloudwatch: CloudWatchFacade): HealthChecks {
  const checks = new Map<string, HealthCheck>();
  let ticking = false;

  const find = (id: string): HealthCheck => {
    const check = checks.get(id);
    if (check) return check;
    throw new AwsError('NoSuchHealthCheck', `A health check with id ${id} does not exist.`, 404);
  };

  const alarmState = ({ config, metric }: HealthCheck): AlarmState => {
    if (!config.alarm || !metric || world.outages.state(config.alarm.region) !== 'up') return 'INSUFFICIENT_DATA';
    const samples = cloudwatch.samplesFor(config.alarm.region, metric);
    // A sample of this very millisecond counts.
    const points = datapointsOf(metric, samples, world.now() + 1);
    return evaluate({ ...metric, treatMissingData: 'missing' }, points, 'INSUFFICIENT_DATA').state;
  };

  const observe = (check: HealthCheck): boolean => {
    const { config } = check;
    if (config.type === 'CALCULATED') {
      const healthy = (config.children ?? []).filter((id) => checks.has(id) && isHealthy(id)).length;
      return healthy >= (config.threshold ?? 0);
    }
    const state = alarmState(check);
    if (state !== 'INSUFFICIENT_DATA') {
      check.lastKnown = state === 'OK';
      return check.lastKnown;
    }
    if (config.insufficientData === 'LastKnownStatus') return check.lastKnown ?? true;
    return config.insufficientData === 'Healthy';
  };

  const isHealthy = (id: string): boolean => {
    const check = find(id);
    const { disabled, inverted } = check.config;
    return (disabled || observe(check)) !== inverted;
  };

  const tick = (): void => {
    const isMinute = world.now() % 60_000 < EVERY;
    for (const { id } of checks.values()) {
      const healthy = isHealthy(id);
      if (!isMinute || world.outages.state(REGION) === 'down') continue;
      cloudwatch.record({
        region: REGION,
        namespace: 'AWS/Route53',
        name: 'HealthCheckStatus',
        dimensions: { HealthCheckId: id },
        unit: 'None',
        timestamp: world.now(),
        values: [healthy ? 1 : 0],
      });
    }
    schedule();
  };
  const schedule = (): void => {
    ticking = true;
    world.clock.timer(EVERY - (world.now() % EVERY), tick);
  };

  const keep = (check: HealthCheck): HealthCheck => {
    checks.set(check.id, check);
    observe(check);
    if (!ticking) schedule();
    return check;
  };

  cloudwatch.onSample((sample) => {
    for (const check of checks.values()) {
      const { metric, config } = check;
      const isOwn = metric?.metricName === sample.name && config.alarm?.region === sample.region;
      if (isOwn && metric.namespace === sample.namespace) observe(check);
    }
  });

  const read = (given: any): Pick<HealthCheck, 'config' | 'metric'> => {
    const unknown = Object.keys(given).find((name) => given[name] !== undefined && !KNOWN.includes(name));
    if (unknown) throw invalid(`HealthCheckConfig: the local cloud does not know ${unknown}.`);
    const switches = {
      inverted: String(given.Inverted) === 'true',
      disabled: String(given.Disabled) === 'true',
    };
    if (given.Type === 'CALCULATED') {
      const children: string[] = given.ChildHealthChecks ?? [];
      for (const id of children) {
        if (find(id).config.type === 'CALCULATED')
          throw invalid(`The health check ${id} is a calculated one and cannot be a child.`);
      }
      const threshold = Number(given.HealthThreshold);
      if (!(threshold >= 0 && threshold <= 256)) throw invalid('HealthThreshold must be 0 to 256.');
      return { config: { type: 'CALCULATED', ...switches, children, threshold } };
    }
    if (given.Type !== 'CLOUDWATCH_METRIC')
      throw invalid(`The local cloud has CLOUDWATCH_METRIC and CALCULATED health checks, not ${given.Type}.`);
    const { Region: region, Name: name } = given.AlarmIdentifier ?? {};
    const metric = cloudwatch.metricAlarm(String(region), String(name));
    if (!metric) throw invalid(`There is no alarm ${name} on a metric in ${region}.`);
    if (!STATISTICS.includes(metric.statistic)) throw invalid('Extended statistics are not supported.');
    if (metric.period < 60_000) throw invalid('High-resolution metrics are not supported.');
    if (metric.datapointsToAlarm !== metric.evaluationPeriods)
      throw invalid('Alarms of M out of N datapoints are not supported.');
    const insufficientData = given.InsufficientDataHealthStatus ?? 'LastKnownStatus';
    if (!['Healthy', 'Unhealthy', 'LastKnownStatus'].includes(insufficientData))
      throw invalid(`InsufficientDataHealthStatus must not be ${insufficientData}.`);
    return {
      config: { type: 'CLOUDWATCH_METRIC', ...switches, alarm: { region, name }, insufficientData },
      metric,
    };
  };

  return {
    create: (callerReference, given) => {
      const earlier = [...checks.values()].find((check) => check.callerReference === callerReference);
      const made = read(given);
      if (earlier && JSON.stringify(earlier.config) !== JSON.stringify(made.config))
        throw new AwsError('HealthCheckAlreadyExists', 'The CallerReference was used for another health check.', 409);
      return earlier ?? keep({ id: randomUUID(), callerReference, version: 1, ...made });
    },
    update: (id, given) => {
      const before = find(id);
      const { HealthCheckVersion: version, ...changes } = given;
      if (version !== undefined && Number(version) !== before.version)
        throw new AwsError('HealthCheckVersionMismatch', `The version is ${before.version}, not ${version}.`, 409);
      const made = read({ ...describeConfig(before), ...changes });
      const isSameAlarm = JSON.stringify(made.config.alarm) === JSON.stringify(before.config.alarm);
      const lastKnown = isSameAlarm ? before.lastKnown : undefined;
      return keep({ ...before, ...made, version: before.version + 1, lastKnown });
    },
    remove: (id) => void checks.delete(find(id).id),
    find,
    has: (id) => checks.has(id),
    all: () => [...checks.values()],
    isHealthy,
    report: (id) => {
      const check = find(id);
      const { metric } = check;
      if (check.config.type === 'CALCULATED')
        throw invalid('The status of a calculated health check cannot be asked for by this operation.');
      const what = metric && `${metric.metricName} ${COMPARISONS[metric.comparison].words} ${metric.threshold}`;
      return `${isHealthy(id) ? 'Success' : 'Failure'}: the alarm on ${what} is ${alarmState(check)}`;
    },
  };
}

/** The configuration in the API's names; lists are plain. */
export function describeConfig({ config }: HealthCheck): Record<string, any> {
  const { alarm } = config;
  return {
    Type: config.type,
    Inverted: config.inverted,
    Disabled: config.disabled,
    HealthThreshold: config.threshold,
    ChildHealthChecks: config.children,
    AlarmIdentifier: alarm && { Region: alarm.region, Name: alarm.name },
    InsufficientDataHealthStatus: config.insufficientData,
  };
}
