/** Values of one metric at one time, however they came: PutMetricData, or a log line in embedded metric format. */
export interface MetricSample {
  readonly region: string;
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly values: readonly number[];
  /** How often each value occurred. @default once each */
  readonly counts?: readonly number[];
  /** In place of values, when only their summary was sent. */
  readonly statistics?: {
    readonly sampleCount: number;
    readonly sum: number;
    readonly minimum: number;
    readonly maximum: number;
  };
}

/**
 * The metrics that a log line holds in CloudWatch's embedded metric format; none for any other line. Text before the
 * JSON (Lambda's own prefix of time and request id) is skipped, as CloudWatch does.
 */
export function embeddedMetrics(region: string, line: string, now: number): MetricSample[] {
  const start = line.indexOf('{');
  if (start < 0 || !line.includes('"_aws"')) return [];
  let root: Record<string, any>;
  try {
    root = JSON.parse(line.slice(start));
  } catch {
    return [];
  }
  const directives = root._aws?.CloudWatchMetrics;
  if (!Array.isArray(directives)) return [];
  const timestamp = Number(root._aws.Timestamp ?? now);
  return directives.flatMap((directive: any) =>
    dimensionSets(directive).flatMap((keys) =>
      (directive.Metrics ?? []).flatMap((metric: any): MetricSample[] => {
        const values = [root[metric.Name]].flat().filter((value) => typeof value === 'number');
        // A set whose dimension the line does not give is no metric at all.
        if (values.length === 0 || keys.some((key) => root[key] === undefined)) return [];
        const dimensions = Object.fromEntries(keys.map((key) => [key, String(root[key])]));
        return [
          {
            region,
            namespace: String(directive.Namespace),
            name: metric.Name,
            dimensions,
            unit: metric.Unit ?? 'None',
            timestamp,
            values,
          },
        ];
      }),
    ),
  );
}

const dimensionSets = (directive: any): string[][] =>
  Array.isArray(directive.Dimensions) && directive.Dimensions.length > 0 ? directive.Dimensions : [[]];
