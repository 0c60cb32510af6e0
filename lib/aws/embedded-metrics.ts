import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { RtoPhase } from '../core/failover/measure.ts';
import { type MetricName, metricCatalogue, metricNamespace } from '../core/metrics.ts';

const units = {
  Count: MetricUnit.Count,
  Seconds: MetricUnit.Seconds,
  Bytes: MetricUnit.Bytes,
  Percent: MetricUnit.Percent,
  None: MetricUnit.NoUnit,
};

/** Metrics of a database as one log line that CloudWatch turns into metrics, so that a function needs no permission. */
export function publishEmbedded(
  database: string,
  values: ReadonlyMap<MetricName, number>,
  dimensions: Readonly<Record<string, string>> = {},
): void {
  if (values.size === 0) return;
  const metrics = new Metrics({ namespace: metricNamespace });
  // Without the `service` dimension that Metrics adds by itself: the catalogue knows one dimension.
  metrics.clearDefaultDimensions();
  metrics.addDimension('Database', database);
  metrics.addDimensions({ ...dimensions });
  for (const [name, value] of values) metrics.addMetric(name, units[metricCatalogue[name].unit], value);
  metrics.publishStoredMetrics();
}

/** RTO by phase: one line for each, since its dimension differs. */
export function publishPhases(database: string, phases: ReadonlyMap<RtoPhase, number>): void {
  for (const [Phase, seconds] of phases)
    publishEmbedded(database, new Map([['MeasuredRtoSeconds', seconds]]), { Phase });
}
