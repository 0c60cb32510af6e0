/**
 * The one catalogue of metrics: emitters, alarms, dashboard and docs are made from it. Each has the dimension
 * Database, but for those of a whole system, which have the dimension System.
 */

export const metricNamespace = 'pgdr';

/** What publishes a metric. */
export type Emitter =
  | 'backup'
  | 'base backup'
  | 'restore test'
  | 'posture'
  | 'WAL receiver'
  | 'WAL audit'
  | 'probe'
  | 'failover'
  | 'drill';

interface MetricDefinition {
  readonly unit: 'Count' | 'Seconds' | 'Bytes' | 'Percent' | 'None';
  readonly meaning: string;
  readonly by: readonly Emitter[];
  /** @default 'Database' */
  readonly dimension?: 'System';
}

export const metricCatalogue = {
  BackupSucceeded: {
    unit: 'Count',
    meaning: '1 when a backup was taken and verified, 0 when it failed',
    by: ['backup'],
  },
  BackupAgeSeconds: {
    unit: 'Seconds',
    meaning: 'since the newest verified backup was verified; silent when there is none',
    by: ['posture'],
  },
  BackupBytes: { unit: 'Bytes', meaning: 'stored size of a backup', by: ['backup'] },
  BackupDurationSeconds: {
    unit: 'Seconds',
    meaning: 'from the start of the execution to the verified backup',
    by: ['backup'],
  },
  BackupSizeDeviationPercent: {
    unit: 'Percent',
    meaning: 'how far the size of the newest backup is from the mean of the 7 days before it, either way',
    by: ['posture'],
  },
  UploadSeconds: { unit: 'Seconds', meaning: 'time in which the objects of a backup were written', by: ['backup'] },
  StoredBytes: { unit: 'Bytes', meaning: 'size of all verified backups of the last 35 days', by: ['posture'] },
  BaseBackupSucceeded: {
    unit: 'Count',
    meaning: '1 when a base backup was taken and verified, 0 when it failed',
    by: ['base backup'],
  },
  BaseBackupBytes: { unit: 'Bytes', meaning: 'stored size of a base backup', by: ['base backup'] },
  BaseBackupDurationSeconds: {
    unit: 'Seconds',
    meaning: 'from the start of the execution to the verified base backup',
    by: ['base backup'],
  },
  WalLagSeconds: {
    unit: 'Seconds',
    meaning: 'age of the newest commit that is stored: what a loss of the server would cost now',
    by: ['WAL receiver'],
  },
  WalGaps: {
    unit: 'Count',
    meaning: 'what is missing, altered or unreadable in the stored WAL from the oldest verified base backup on',
    by: ['WAL receiver', 'WAL audit'],
  },
  WalRetainedBytes: {
    unit: 'Bytes',
    meaning: 'WAL that the server keeps for the receiver',
    by: ['WAL receiver'],
  },
  WalSlotHealthy: {
    unit: 'Count',
    meaning: '1 while the server promises to keep the WAL that the receiver needs, 0 when it may remove it or did',
    by: ['WAL receiver'],
  },
  RecoverableWindowSeconds: {
    unit: 'Seconds',
    meaning:
      'from the oldest to the newest moment that can be recovered; with WAL, all stretches of it, without their gaps',
    by: ['posture', 'WAL audit'],
  },
  RestoreTestSucceeded: {
    unit: 'Count',
    meaning: '1 when a restore was proven, 0 when it failed',
    by: ['restore test'],
  },
  RestoreTestSeconds: {
    unit: 'Seconds',
    meaning: 'from the start of the execution to the proof',
    by: ['restore test'],
  },
  RestoreTestAgeSeconds: {
    unit: 'Seconds',
    meaning: 'since the last restore test that held; before the first one, since the oldest backup',
    by: ['posture'],
  },
  ProofLevel: {
    unit: 'None',
    meaning: 'highest proof level that held, 0 to 5; -1 when none did',
    by: ['restore test'],
  },
  PrimaryUp: { unit: 'Count', meaning: '1 when the primary took a heartbeat, 0 when it did not', by: ['probe'] },
  HeartbeatAgeSeconds: { unit: 'Seconds', meaning: 'age of the newest heartbeat of the primary', by: ['probe'] },
  ReplicationLagSeconds: {
    unit: 'Seconds',
    meaning: 'age of the newest heartbeat that the standby shows',
    by: ['probe'],
  },
  ReplicationLagBytes: { unit: 'Bytes', meaning: 'WAL that the standby has not replayed', by: ['probe'] },
  SecondaryIsWriter: {
    unit: 'None',
    meaning: 'above zero while the standby of the configuration is the writer, below while the primary is',
    by: ['failover'],
  },
  DrillSucceeded: { unit: 'Count', meaning: '1 when a drill held, 0 when it failed', by: ['drill'] },
  MeasuredRtoSeconds: {
    unit: 'Seconds',
    meaning:
      'time from no server to a restored and proven database, of a failover, or of what a drill knows of one; with the dimension Phase besides, of one phase',
    by: ['restore test', 'failover', 'drill'],
  },
  MeasuredRpoSeconds: {
    unit: 'Seconds',
    meaning: 'age of the proven data when the restore test began, or what a failover lost or would have',
    by: ['restore test', 'failover', 'drill'],
  },
  RtoRegressionPercent: {
    unit: 'Percent',
    meaning: 'how much longer the last restore test took than the one before; 0 below a minute of difference',
    by: ['posture'],
  },
  RpoRegressionPercent: {
    unit: 'Percent',
    meaning: 'how much older the data of the last restore test was than of the one before; 0 below a minute',
    by: ['posture'],
  },
  RegionalCopyLagSeconds: {
    unit: 'Seconds',
    meaning: 'age of the oldest recent backup that is not yet in the other region; 0 when all are',
    by: ['posture'],
  },
  TaskImageAgeSeconds: {
    unit: 'Seconds',
    meaning: 'since the image of the tasks was deployed: as old are the security fixes in it',
    by: ['posture'],
  },
  PeerHeard: {
    unit: 'Count',
    meaning: "a sign of life from the other region's pgdr, published by it into this region",
    by: ['posture'],
    dimension: 'System',
  },
} satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricCatalogue;

export const dimensionOf = (name: MetricName): 'Database' | 'System' =>
  (metricCatalogue[name] as MetricDefinition).dimension ?? 'Database';
