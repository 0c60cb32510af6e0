/**
 * The alarms of a region's pgdr itself. Most watch metrics that AWS publishes; `of` says of which of our resources.
 * docs/runbooks has a page for each `runbook`.
 */
export interface PlatformAlarm {
  readonly says: string;
  readonly namespace: string;
  readonly metric: string;
  /** `system`: the dimension System. Every other kind has an alarm for each resource of that kind. */
  readonly of: 'system' | 'schedule-dead-letters' | 'slack-dead-letters' | 'schedules' | 'functions' | 'machines';
  readonly statistic: 'Sum' | 'Maximum';
  readonly periodSeconds: 60 | 300;
  readonly comparison: 'above' | 'below';
  readonly limit: number;
  readonly periods: readonly [m: number, of: number];
  readonly missing: 'breaching' | 'notBreaching';
  readonly severity: 'critical' | 'warning';
  readonly runbook: string;
  /** Resources of the kind that are left out. */
  readonly except?: readonly string[];
  /** Told elsewhere: the alarm has a state, which the dashboard and `pgdr status` show, and pages nobody. */
  readonly quiet?: true;
}

export const platformAlarms = {
  'dead-man': {
    says: 'Nothing is heard from pgdr of the other region',
    namespace: 'pgdr',
    metric: 'PeerHeard',
    of: 'system',
    statistic: 'Sum',
    periodSeconds: 300,
    comparison: 'below',
    limit: 1,
    // CloudWatch looks two periods further back for a datapoint: a quarter of an hour of silence.
    periods: [1, 1],
    missing: 'breaching',
    severity: 'critical',
    runbook: 'dead-man',
  },
  'dead-letters-slack': {
    says: 'Slack could not be told, and messages lie in the dead-letter queue',
    namespace: 'AWS/SQS',
    metric: 'ApproximateNumberOfMessagesVisible',
    of: 'slack-dead-letters',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    limit: 0,
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'critical',
    runbook: 'dead-letters',
  },
  'dead-letters-schedules': {
    says: 'What a schedule could not start lies in the dead-letter queue',
    namespace: 'AWS/SQS',
    metric: 'ApproximateNumberOfMessagesVisible',
    of: 'schedule-dead-letters',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    limit: 0,
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'warning',
    runbook: 'dead-letters',
    // schedule-dropped tells when it happens; this one stays on until somebody has looked.
    quiet: true,
  },
  'schedule-dropped': {
    says: 'A schedule could not start what it should',
    namespace: 'AWS/Scheduler',
    metric: 'InvocationDroppedCount',
    of: 'schedules',
    statistic: 'Sum',
    periodSeconds: 300,
    comparison: 'above',
    limit: 0,
    // What goes on being dropped within the hour is told once.
    periods: [1, 12],
    missing: 'notBreaching',
    severity: 'critical',
    runbook: 'schedule-dropped',
  },
  'function-throttled': {
    says: 'A function was throttled',
    namespace: 'AWS/Lambda',
    metric: 'Throttles',
    of: 'functions',
    statistic: 'Sum',
    periodSeconds: 300,
    comparison: 'above',
    limit: 0,
    periods: [3, 3],
    missing: 'notBreaching',
    severity: 'warning',
    runbook: 'function-throttled',
  },
  'function-errors': {
    says: 'A function that measures or tells goes on failing',
    namespace: 'AWS/Lambda',
    metric: 'Errors',
    of: 'functions',
    statistic: 'Sum',
    periodSeconds: 300,
    comparison: 'above',
    limit: 0,
    periods: [2, 3],
    missing: 'notBreaching',
    severity: 'warning',
    runbook: 'function-errors',
    // What it could not tell ends in a dead-letter queue, which tells.
    except: ['notify-slack'],
  },
  'execution-failed': {
    says: 'An execution failed',
    namespace: 'AWS/States',
    metric: 'ExecutionsFailed',
    of: 'machines',
    statistic: 'Sum',
    periodSeconds: 300,
    comparison: 'above',
    limit: 0,
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'warning',
    runbook: 'execution-failed',
    // Its own outcome is told to Slack with the failing step and the first error.
    quiet: true,
  },
} satisfies Record<string, PlatformAlarm>;

export type PlatformAlarmId = keyof typeof platformAlarms;
