import { type MetricName, metricCatalogue, metricNamespace } from '../lib/core/metrics.ts';

/**
 * Publishes metrics in CloudWatch's embedded format: a line of the log that becomes metrics, without a permission or a
 * call (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
 */
export function publishMetrics(database: string, values: Partial<Record<MetricName, number>>): void {
  const names = Object.keys(values) as MetricName[];
  if (names.length === 0) return;
  const directive = {
    Namespace: metricNamespace,
    Dimensions: [['Database']],
    Metrics: names.map((Name) => ({ Name, Unit: metricCatalogue[Name].unit })),
  };
  const line = { _aws: { Timestamp: Date.now(), CloudWatchMetrics: [directive] }, Database: database, ...values };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
