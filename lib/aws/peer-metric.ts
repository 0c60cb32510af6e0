import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { metricNamespace } from '../core/metrics.ts';

/**
 * Tells the other region that this one lives. It is a region that may be lost: a short patience, and the caller
 * decides what a failure means.
 */
export async function tellPeer(system: string, region: string): Promise<void> {
  const client = new CloudWatchClient({
    region,
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });
  try {
    await client.send(
      new PutMetricDataCommand({
        Namespace: metricNamespace,
        MetricData: [
          { MetricName: 'PeerHeard', Dimensions: [{ Name: 'System', Value: system }], Value: 1, Unit: 'Count' },
        ],
      }),
    );
  } finally {
    client.destroy();
  }
}
