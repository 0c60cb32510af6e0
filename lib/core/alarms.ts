import { humanSeconds } from './human.ts';
import type { MetricName } from './metrics.ts';
import type { PlatformAlarmId } from './platform-alarms.ts';

/**
 * The alarms of a database: one row each, from which CloudWatch's alarms, docs/alarms.md and the tests are made.
 * docs/runbooks has a page for each `runbook`.
 */

/** What has to be configured for an alarm to mean something. */
export type Capability = 'backups' | 'replication' | 'wal' | 'standby';

/** What thresholds are made from. */
export interface AlarmSubject {
  /** The longest time between two backups, and between two restore tests, that the schedules allow. */
  readonly backupIntervalSeconds: number;
  readonly restoreTestIntervalSeconds: number;
  readonly objectives: { readonly rpoSeconds: number; readonly rtoSeconds: number };
}

export interface AlarmDefinition {
  readonly metric: MetricName;
  /** What is wrong, in the words of the message: the threshold follows. */
  readonly says: string;
  readonly statistic: 'Maximum' | 'Minimum';
  readonly periodSeconds: 60 | 300;
  readonly comparison: 'above' | 'below';
  /** In the metric's unit; undefined: not with these settings. */
  readonly threshold: (subject: AlarmSubject) => number | undefined;
  /** How the threshold is chosen, for the page of alarms. */
  readonly thresholdText: string;
  /** M of N periods. */
  readonly periods: readonly [m: number, of: number];
  /** `breaching` where silence is danger; `ignore` keeps the state of a metric that comes once a run. */
  readonly missing: 'breaching' | 'notBreaching' | 'ignore';
  readonly severity: 'critical' | 'warning';
  readonly needs: Capability;
  /** Its metric comes where something was measured, a drill in the recovery region say: armed in both. @default false */
  readonly everywhere?: true;
  readonly runbook: string;
  /** Alarms that explain this one: while one of them is on, this one does not page. One incident, one page. */
  readonly explainedBy?: readonly AlarmId[];
  /** The same, of the alarms of pgdr itself in the same region. */
  readonly explainedByPlatform?: readonly PlatformAlarmId[];
}

const minute = 60;
const day = 86_400;

/** A profile that wants seconds to minutes: objectives of 5 minutes of data or 30 minutes of time. */
export const isTight = ({ objectives }: AlarmSubject): boolean =>
  objectives.rpoSeconds <= 5 * minute || objectives.rtoSeconds <= 30 * minute;

const definitions = {
  'no-daily-backup': {
    metric: 'BackupAgeSeconds',
    says: 'No verified backup for',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    // A daily backup is verified a little later than the day before whenever it takes a little longer.
    threshold: ({ backupIntervalSeconds: interval }) => interval + Math.max(interval / 12, 15 * minute),
    thresholdText: 'the interval of `logical.schedule` and a twelfth of it, at least 15 minutes: 26 h when daily',
    // Silence is as bad: nobody knows of a backup then. CloudWatch looks two periods further back for a datapoint, so
    // that one missed measurement is no silence, and a quarter of an hour is.
    periods: [1, 1],
    missing: 'breaching',
    severity: 'critical',
    needs: 'backups',
    runbook: 'no-daily-backup',
  },
  'backup-size-deviation': {
    metric: 'BackupSizeDeviationPercent',
    says: 'The newest backup differs in size from the mean of 7 days by more than',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: () => 50,
    thresholdText: '50 %',
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'warning',
    needs: 'backups',
    runbook: 'backup-size-deviation',
  },
  'slow-upload': {
    metric: 'UploadSeconds',
    says: 'A backup uploaded for more than',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: () => 20 * minute,
    thresholdText: '20 minutes',
    periods: [1, 1],
    missing: 'ignore',
    severity: 'warning',
    needs: 'backups',
    runbook: 'slow-upload',
  },
  'restore-test-failed': {
    metric: 'RestoreTestSucceeded',
    says: 'A restore test failed: succeeded',
    statistic: 'Minimum',
    periodSeconds: 300,
    comparison: 'below',
    threshold: () => 1,
    thresholdText: 'any failure, until the next one that holds',
    periods: [1, 1],
    missing: 'ignore',
    severity: 'critical',
    needs: 'backups',
    runbook: 'restore-test-failed',
  },
  'restore-test-overdue': {
    metric: 'RestoreTestAgeSeconds',
    says: 'No restore test held for',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: ({ restoreTestIntervalSeconds }) => restoreTestIntervalSeconds + day,
    thresholdText: 'the interval of `restoreTest.schedule` and a day: 8 days when weekly',
    periods: [1, 1],
    // Silent only together with BackupAgeSeconds, which pages.
    missing: 'notBreaching',
    severity: 'critical',
    needs: 'backups',
    runbook: 'restore-test-overdue',
    explainedBy: ['restore-test-failed'],
  },
  'rto-regression': {
    metric: 'MeasuredRtoSeconds',
    says: 'Recovery took longer than its objective',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: ({ objectives }) => objectives.rtoSeconds,
    thresholdText: '`objectives.rto`',
    periods: [1, 1],
    missing: 'ignore',
    severity: 'warning',
    needs: 'backups',
    everywhere: true,
    runbook: 'rto-regression',
  },
  'rto-slower': {
    metric: 'RtoRegressionPercent',
    says: 'Recovery took longer than the time before by more than',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: () => 20,
    thresholdText: '20 %, and a minute',
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'warning',
    needs: 'backups',
    runbook: 'rto-regression',
    explainedBy: ['rto-regression'],
  },
  'rpo-regression': {
    metric: 'MeasuredRpoSeconds',
    says: 'More would have been lost than the objective allows',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: ({ objectives }) => objectives.rpoSeconds,
    thresholdText: '`objectives.rpo`',
    periods: [1, 1],
    missing: 'ignore',
    severity: 'warning',
    needs: 'backups',
    everywhere: true,
    runbook: 'rpo-regression',
  },
  'rpo-older': {
    metric: 'RpoRegressionPercent',
    says: 'More would have been lost than the time before by more than',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: () => 20,
    thresholdText: '20 %, and a minute',
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'warning',
    needs: 'backups',
    runbook: 'rpo-regression',
    explainedBy: ['rpo-regression'],
  },
  'drill-failed': {
    metric: 'DrillSucceeded',
    says: 'A drill failed: succeeded',
    statistic: 'Minimum',
    periodSeconds: 300,
    comparison: 'below',
    threshold: () => 1,
    thresholdText: 'any failure, until the next one that holds',
    periods: [1, 1],
    missing: 'ignore',
    severity: 'warning',
    needs: 'standby',
    everywhere: true,
    runbook: 'drill-failed',
  },
  'task-image-old': {
    metric: 'TaskImageAgeSeconds',
    says: 'The image of the tasks has had no security fixes for',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: () => 60 * day,
    thresholdText: '60 days',
    periods: [1, 1],
    missing: 'notBreaching',
    severity: 'warning',
    needs: 'backups',
    runbook: 'task-image-old',
  },
  'regional-copy-lag': {
    metric: 'RegionalCopyLagSeconds',
    says: 'A backup is not in the other region after',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'above',
    threshold: () => 15 * minute,
    thresholdText: '15 minutes',
    periods: [1, 1],
    missing: 'breaching',
    severity: 'warning',
    needs: 'replication',
    runbook: 'regional-copy-lag',
    // Both are silent together.
    explainedBy: ['no-daily-backup'],
    // Nothing can be copied into a region that is gone.
    explainedByPlatform: ['dead-man'],
  },
  'wal-gap': {
    metric: 'WalGaps',
    says: 'WAL is missing inside the recoverable window: gaps above',
    statistic: 'Maximum',
    periodSeconds: 60,
    comparison: 'above',
    threshold: () => 0,
    thresholdText: 'any',
    periods: [1, 1],
    // wal-lag tells of a silent receiver.
    missing: 'ignore',
    severity: 'critical',
    needs: 'wal',
    runbook: 'wal-gap',
  },
  'wal-lag': {
    metric: 'WalLagSeconds',
    says: 'Commits are not stored for',
    statistic: 'Maximum',
    periodSeconds: 60,
    comparison: 'above',
    threshold: () => 15 * minute,
    thresholdText: '15 minutes, or 15 minutes of silence',
    periods: [15, 15],
    missing: 'breaching',
    severity: 'warning',
    needs: 'wal',
    runbook: 'wal-lag',
    explainedBy: ['primary-down'],
  },
  'wal-slot': {
    metric: 'WalSlotHealthy',
    says: 'The server may remove WAL that is not stored yet, or has lost the slot: healthy',
    statistic: 'Minimum',
    periodSeconds: 60,
    comparison: 'below',
    threshold: () => 1,
    thresholdText: '`wal_status` is `unreserved` or `lost`, or there is no slot, for 2 minutes',
    periods: [2, 2],
    // wal-lag tells of a silent receiver.
    missing: 'notBreaching',
    severity: 'critical',
    needs: 'wal',
    runbook: 'wal-slot',
    explainedBy: ['wal-gap'],
  },
  'wal-retained': {
    metric: 'WalRetainedBytes',
    says: 'The server keeps more bytes of WAL for the receiver than',
    statistic: 'Minimum',
    periodSeconds: 60,
    comparison: 'above',
    threshold: () => 10 * 1e9,
    thresholdText: '10 GB',
    periods: [5, 5],
    missing: 'notBreaching',
    severity: 'warning',
    needs: 'wal',
    runbook: 'wal-slot',
    explainedBy: ['wal-lag'],
  },
  'wal-window': {
    metric: 'RecoverableWindowSeconds',
    says: 'No moment can be recovered from a base backup and its WAL: seconds',
    statistic: 'Maximum',
    periodSeconds: 300,
    comparison: 'below',
    threshold: () => 1,
    thresholdText: 'there is none, or nobody has looked for 2 hours',
    // The audit looks every hour.
    periods: [24, 24],
    missing: 'breaching',
    severity: 'critical',
    needs: 'wal',
    runbook: 'wal-window',
  },
  'primary-down': {
    metric: 'PrimaryUp',
    says: 'The primary takes no heartbeat: up',
    statistic: 'Maximum',
    periodSeconds: 60,
    comparison: 'below',
    threshold: () => 1,
    thresholdText: '5 minutes without a heartbeat',
    periods: [5, 5],
    missing: 'breaching',
    severity: 'critical',
    needs: 'standby',
    runbook: 'primary-down',
  },
  'replication-lag': {
    metric: 'ReplicationLagSeconds',
    says: 'The standby is behind by',
    statistic: 'Maximum',
    periodSeconds: 60,
    comparison: 'above',
    threshold: (subject) => (isTight(subject) ? 10 : 5 * minute),
    thresholdText:
      '5 minutes, or 10 s in the tight profile (RPO of 5 minutes or RTO of 30 minutes and less), or 6 minutes of silence',
    // Later than primary-down, so that a dead primary is told as what it is.
    periods: [6, 6],
    // A standby that does not answer is behind, whatever it would say.
    missing: 'breaching',
    severity: 'warning',
    needs: 'standby',
    runbook: 'replication-lag',
    explainedBy: ['primary-down'],
  },
  'replication-lag-critical': {
    metric: 'ReplicationLagSeconds',
    says: 'The standby is behind by',
    statistic: 'Maximum',
    periodSeconds: 60,
    comparison: 'above',
    threshold: (subject) => (isTight(subject) ? 60 : undefined),
    thresholdText: '60 s, in the tight profile alone',
    periods: [6, 6],
    missing: 'notBreaching',
    severity: 'critical',
    needs: 'standby',
    runbook: 'replication-lag',
    explainedBy: ['primary-down'],
  },
  'replication-lag-bytes': {
    metric: 'ReplicationLagBytes',
    says: 'The standby has not replayed more bytes than',
    statistic: 'Maximum',
    periodSeconds: 60,
    comparison: 'above',
    threshold: () => 1e9,
    thresholdText: '1 GB',
    periods: [6, 6],
    missing: 'notBreaching',
    severity: 'warning',
    needs: 'standby',
    runbook: 'replication-lag',
    explainedBy: ['primary-down', 'replication-lag'],
  },
} satisfies Record<string, Omit<AlarmDefinition, 'explainedBy'> & { readonly explainedBy?: readonly string[] }>;

export type AlarmId = keyof typeof definitions;
export const alarmCatalogue = definitions as Readonly<Record<AlarmId, AlarmDefinition>>;

export interface ChosenAlarm extends AlarmDefinition {
  readonly id: AlarmId;
  readonly limit: number;
}

/** The alarms that a database has, with their thresholds; those that explain one are before it. */
export function alarmsFor(subject: AlarmSubject, capabilities: ReadonlySet<Capability>): ChosenAlarm[] {
  const chosen = (Object.entries(alarmCatalogue) as [AlarmId, AlarmDefinition][]).flatMap(([id, definition]) => {
    const limit = capabilities.has(definition.needs) ? definition.threshold(subject) : undefined;
    return limit === undefined ? [] : [{ ...definition, id, limit }];
  });
  const has = new Set(chosen.map(({ id }) => id));
  return chosen.map((alarm) => ({ ...alarm, explainedBy: alarm.explainedBy?.filter((id) => has.has(id)) }));
}

/** `No verified backup for 1 d 2 h`. */
export const sentenceOf = ({ says, comparison, metric, limit }: ChosenAlarm): string => {
  if (comparison === 'below') return `${says} < ${limit}`;
  if (metric.endsWith('Seconds')) return `${says}${/objective/.test(says) ? ', ' : ' '}${humanSeconds(limit)}`;
  return metric.endsWith('Percent') ? `${says} ${limit} %` : `${says} ${limit}`;
};
