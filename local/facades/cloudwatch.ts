import { AwsError, type Facade, type Operation, type World } from '../facade.ts';
import type { MetricAlarm } from '../runtime/alarm-definition.ts';
import { alarmOperations } from '../runtime/alarm-operations.ts';
import { alarmResources } from '../runtime/alarm-resources.ts';
import { type AlarmChange, type AlarmOptions, alarmStore } from '../runtime/alarms.ts';
import { authorizer, epochMilliseconds, page } from '../runtime/api.ts';
import { createDashboards } from '../runtime/dashboards.ts';
import type { MetricSample } from '../runtime/metric.ts';
import { metricDataOperations, type SamplesOf } from '../runtime/metric-data.ts';

export type { AlarmState } from '../runtime/alarm-definition.ts';
export type { AlarmChange, AlarmOptions } from '../runtime/alarms.ts';
export type { MetricSample } from '../runtime/metric.ts';

export interface CloudWatchFacade extends Facade {
  /** Takes in a sample that came another way than PutMetricData: embedded in a log line, or from a service itself. */
  record(sample: MetricSample): void;
  /** The latest samples of a namespace, of one metric when it is named, in the order of their coming. */
  samples(namespace: string, name?: string): readonly MetricSample[];
  /** Called for every sample; returns the remover. */
  onSample(listener: (sample: MetricSample) => void): () => void;
  /** Called for every change of an alarm's state; returns the remover. */
  onAlarm(listener: (change: AlarmChange) => void): () => void;
  /** What an alarm on a metric watches; undefined when there is no such alarm. */
  metricAlarm(region: string, name: string): MetricAlarm | undefined;
  /** The samples that such an alarm is judged by. */
  samplesFor(region: string, alarm: MetricAlarm): readonly MetricSample[];
}

interface Metric {
  readonly region: string;
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  samples: MetricSample[];
}

/** Samples kept per metric, and per namespace. */
const KEPT_SAMPLES = 10_000;

/** CloudWatch: metrics with their statistics, alarms that notify topics, and dashboards as they were made. */
export function createCloudWatch(world: World, options: AlarmOptions = {}): CloudWatchFacade {
  const metrics = new Map<string, Metric>();
  const listeners = new Set<(sample: MetricSample) => void>();
  /** By namespace, so that one that is told every minute pushes out no other. */
  const arrivals = new Map<string, MetricSample[]>();
  const authorize = authorizer(world, 'monitoring');

  const record = (sample: MetricSample): void => {
    const { region, namespace, name, dimensions } = sample;
    const key = metricKey(region, namespace, name, dimensions);
    const metric = metrics.get(key) ?? { region, namespace, name, dimensions, samples: [] };
    metrics.set(key, metric);
    keep(metric.samples, sample);
    const arrived = arrivals.get(namespace) ?? [];
    arrivals.set(namespace, arrived);
    keep(arrived, sample);
    for (const listener of listeners) listener(sample);
  };

  const samplesFor = (
    region: string,
    of: Pick<MetricAlarm, 'namespace' | 'metricName' | 'dimensions' | 'unit'>,
  ): readonly MetricSample[] => {
    const metric = metrics.get(metricKey(region, of.namespace, of.metricName, of.dimensions));
    return (metric?.samples ?? []).filter((sample) => !of.unit || sample.unit === of.unit);
  };
  const samplesOf: SamplesOf = (region, { Namespace, MetricName, Dimensions }, unit) =>
    samplesFor(region, { namespace: Namespace, metricName: MetricName, dimensions: dimensionMap(Dimensions), unit });
  const alarms = alarmStore(world, options, samplesFor);
  const dashboards = createDashboards(world, authorize);

  const operations: Readonly<Record<string, Operation>> = {
    ...alarmOperations(world, alarms, authorize),
    ...dashboards.operations,
    ...metricDataOperations(authorize, samplesOf),

    PutMetricData: async (input, context) => {
      await authorize(context, {
        operation: 'PutMetricData',
        resource: '*',
        input: { Namespace: input.Namespace },
        conditions: { 'cloudwatch:namespace': input.Namespace },
      });
      if (!input.Namespace) throw new AwsError('MissingParameter', 'The parameter Namespace is required.');
      if (String(input.Namespace).startsWith('AWS/')) {
        throw new AwsError('InvalidParameterValue', 'The value AWS/ for parameter Namespace is invalid.');
      }
      const read = (input.MetricData ?? []).map((datum: any) =>
        readDatum(datum, String(input.Namespace), context.region, world.now()),
      );
      for (const sample of read) record(sample);
    },

    ListMetrics: async (input, context) => {
      await authorize(context, { operation: 'ListMetrics', resource: '*', input });
      const filters: { Name: string; Value?: string }[] = input.Dimensions ?? [];
      const found = [...metrics.values()]
        .filter((metric) => metric.region === context.region)
        .filter((metric) => !input.Namespace || metric.namespace === input.Namespace)
        .filter((metric) => !input.MetricName || metric.name === input.MetricName)
        .filter(({ dimensions }) =>
          filters.every(({ Name, Value }) => Name in dimensions && (Value === undefined || dimensions[Name] === Value)),
        );
      const { items, next } = page(found, input.NextToken, 500);
      return {
        Metrics: items.map(({ namespace, name, dimensions }) => ({
          Namespace: namespace,
          MetricName: name,
          Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
        })),
        NextToken: next,
      };
    },
  };

  return {
    service: 'monitoring',
    xmlNamespace: 'http://monitoring.amazonaws.com/doc/2010-08-01/',
    operations,
    resources: { ...alarmResources(alarms), 'AWS::CloudWatch::Dashboard': dashboards.make },
    record,
    samples: (namespace, name) => (arrivals.get(namespace) ?? []).filter((sample) => !name || sample.name === name),
    onSample: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onAlarm: alarms.onChange,
    metricAlarm: (region, name) => alarms.find(region, name)?.metric,
    samplesFor,
  };
}

const metricKey = (
  region: string,
  namespace: string,
  name: string,
  dimensions: Readonly<Record<string, string>>,
): string =>
  JSON.stringify([region, namespace, name, Object.entries(dimensions).toSorted(([a], [b]) => (a < b ? -1 : 1))]);

const dimensionMap = (dimensions: any[] | undefined): Record<string, string> =>
  Object.fromEntries((dimensions ?? []).map(({ Name, Value }) => [Name, String(Value)]));

function keep(samples: MetricSample[], sample: MetricSample): void {
  samples.push(sample);
  if (samples.length > 2 * KEPT_SAMPLES) samples.splice(0, samples.length - KEPT_SAMPLES);
}

function readDatum(datum: any, namespace: string, region: string, now: number): MetricSample {
  const summary = datum.StatisticValues;
  const values: number[] = (datum.Values ?? (datum.Value === undefined ? [] : [datum.Value])).map(Number);
  const counts: number[] | undefined = datum.Counts?.map(Number);
  const invalid = (message: string) =>
    new AwsError('InvalidParameterValue', `MetricData ${datum.MetricName}: ${message}`);
  if (!datum.MetricName)
    throw new AwsError('MissingParameter', 'The parameter MetricData.member.1.MetricName is required.');
  if (values.length === 0 && !summary) throw invalid('one of Value, Values or StatisticValues is required');
  if (values.some((value) => !Number.isFinite(value))) throw invalid('values must be finite numbers');
  if (counts && counts.length !== values.length) throw invalid('Counts and Values must be of the same length');
  if ((datum.Dimensions ?? []).length > 30) throw invalid('at most 30 dimensions');
  return {
    region,
    namespace,
    name: datum.MetricName,
    dimensions: dimensionMap(datum.Dimensions),
    unit: datum.Unit ?? 'None',
    timestamp: epochMilliseconds(datum.Timestamp) ?? now,
    values,
    ...(counts && { counts }),
    ...(summary && {
      statistics: {
        sampleCount: Number(summary.SampleCount),
        sum: Number(summary.Sum),
        minimum: Number(summary.Minimum),
        maximum: Number(summary.Maximum),
      },
    }),
  };
}
