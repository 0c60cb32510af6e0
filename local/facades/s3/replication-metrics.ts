import type { World } from '../../facade.ts';
import type { MetricSample } from '../../runtime/metric.ts';
import type { Bucket, Version } from './model.ts';
import { type ReplicationRule, targetsOf } from './replication-rules.ts';

/** A version that has not arrived everywhere, and since when. */
export interface Pending {
  readonly bucket: Bucket;
  readonly version: Version;
  readonly since: number;
}

export interface ReplicationMetrics {
  /** From the first version on that a rule with metrics is to copy, they are told every minute. */
  begin(bucket: Bucket): void;
  failed(bucket: Bucket, rule: ReplicationRule): void;
  close(): void;
}

const minute = 60_000;

/**
 * CloudWatch's metrics of replication rules: what is pending, in the destination's region, and what failed, in the
 * source's. https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html
 */
export function replicationMetrics(
  world: World,
  bucketOf: (name: string) => Bucket | undefined,
  pending: () => readonly Pending[],
  record: (sample: MetricSample) => void,
): ReplicationMetrics {
  const watched = new Set<Bucket>();
  const failures = new Map<string, number>();
  const nameOf = (bucket: Bucket, rule: ReplicationRule) => `${bucket.name} ${rule.id} ${rule.destination}`;
  let cancel: (() => void) | undefined;

  const tell = (bucket: Bucket, rule: ReplicationRule, all: readonly Pending[]): void => {
    const target = bucketOf(rule.destination);
    const own = all.filter((one) => one.bucket === bucket && targetsOf(bucket, one.version).includes(rule));
    const put = (region: string, name: string, unit: string, value: number): void =>
      record({
        region,
        namespace: 'AWS/S3',
        name,
        dimensions: { SourceBucket: bucket.name, DestinationBucket: rule.destination, RuleId: rule.id },
        unit,
        timestamp: world.now(),
        values: [value],
      });
    if (world.outages.state(bucket.region) !== 'down') {
      put(bucket.region, 'OperationsFailedReplication', 'Count', failures.get(nameOf(bucket, rule)) ?? 0);
      failures.delete(nameOf(bucket, rule));
    }
    // What is known of the source goes the way of the copies.
    if (!target || !world.outages.reachable(bucket.region, target.region, 's3')) return;
    const bytes = own.reduce((sum, { version }) => sum + version.size, 0);
    const oldest = own.reduce((time, { since }) => Math.min(time, since), world.clock.now());
    put(target.region, 'BytesPendingReplication', 'Bytes', bytes);
    put(target.region, 'OperationsPendingReplication', 'Count', own.length);
    put(target.region, 'ReplicationLatency', 'Seconds', (world.clock.now() - oldest) / 1000);
  };

  const tick = (): void => {
    const all = pending();
    for (const bucket of watched)
      for (const rule of bucket.configuration.replication?.rules ?? []) if (rule.metrics) tell(bucket, rule, all);
    cancel = world.clock.timer(minute, tick);
  };

  return {
    begin: (bucket) => {
      if (!bucket.configuration.replication?.rules.some(({ metrics }) => metrics)) return;
      watched.add(bucket);
      cancel ??= world.clock.timer(minute, tick);
    },
    failed: (bucket, rule) => void failures.set(nameOf(bucket, rule), (failures.get(nameOf(bucket, rule)) ?? 0) + 1),
    close: () => cancel?.(),
  };
}
