/** The one catalogue of metrics: emitters, alarms, dashboard and docs are made from it. Dimension: Database. */

export const metricNamespace = 'pgdr';

interface MetricDefinition {
  readonly unit: 'Count' | 'Seconds' | 'Bytes' | 'Percent' | 'None';
  readonly meaning: string;
}

export const metricCatalogue = {
  BackupSucceeded: { unit: 'Count', meaning: '1 when a backup was taken and verified, 0 when it failed' },
  BackupBytes: { unit: 'Bytes', meaning: 'stored size of a backup' },
  BackupDurationSeconds: { unit: 'Seconds', meaning: 'from the start of the execution to the verified backup' },
  UploadSeconds: { unit: 'Seconds', meaning: 'time in which the objects of a backup were written' },
  RestoreTestSucceeded: { unit: 'Count', meaning: '1 when a restore was proven, 0 when it failed' },
  RestoreTestSeconds: { unit: 'Seconds', meaning: 'from the start of the execution to the proof' },
  ProofLevel: { unit: 'None', meaning: 'highest proof level that held, 0 to 5; -1 when none did' },
  MeasuredRtoSeconds: { unit: 'Seconds', meaning: 'time from no server to a restored and proven database' },
  MeasuredRpoSeconds: { unit: 'Seconds', meaning: 'age of the proven data when the restore test began' },
} satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricCatalogue;
