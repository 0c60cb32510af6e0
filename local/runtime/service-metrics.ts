import type { World } from '../facade.ts';
import type { MetricSample } from './metric.ts';

/**
 * What services publish of themselves: names, dimensions and units as AWS documents them.
 * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
 * https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
 */
const catalogue = {
  'AWS/Lambda': {
    dimension: 'FunctionName',
    units: { Invocations: 'Count', Errors: 'Count', Throttles: 'Count', Duration: 'Milliseconds' },
  },
  'AWS/States': {
    dimension: 'StateMachineArn',
    units: {
      ExecutionsStarted: 'Count',
      ExecutionsSucceeded: 'Count',
      ExecutionsFailed: 'Count',
      ExecutionsTimedOut: 'Count',
      ExecutionsAborted: 'Count',
      ExecutionTime: 'Milliseconds',
    },
  },
  'AWS/Scheduler': {
    dimension: 'ScheduleGroup',
    units: {
      InvocationAttemptCount: 'Count',
      TargetErrorCount: 'Count',
      TargetErrorThrottledCount: 'Count',
      InvocationDroppedCount: 'Count',
      InvocationsSentToDeadLetterCount: 'Count',
      InvocationsFailedToBeSentToDeadLetterCount: 'Count',
    },
  },
  'AWS/SQS': {
    dimension: 'QueueName',
    units: {
      ApproximateNumberOfMessagesVisible: 'Count',
      ApproximateNumberOfMessagesNotVisible: 'Count',
      ApproximateAgeOfOldestMessage: 'Seconds',
    },
  },
} as const;

type Catalogue = typeof catalogue;
export type OnMetric = (sample: MetricSample) => void;
type Values<N extends keyof Catalogue> = Partial<Record<keyof Catalogue[N]['units'], number>>;

/** What publishes the metrics of one service, but in a region that is down. `resource`: the value of its one dimension. */
export function measures<N extends keyof Catalogue>(world: World, namespace: N, onMetric: OnMetric = () => {}) {
  const { dimension } = catalogue[namespace];
  const units: Readonly<Record<string, string>> = catalogue[namespace].units;
  return (region: string, resource: string, values: Values<N>): void => {
    if (world.outages.state(region) === 'down') return;
    for (const [name, value] of Object.entries<number>(values as Record<string, number>))
      onMetric({
        region,
        namespace,
        name,
        dimensions: { [dimension]: resource },
        unit: units[name] as string,
        timestamp: world.now(),
        values: [value],
      });
  };
}
