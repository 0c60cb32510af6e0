import type { Failure } from './errors.ts';

/** How a workflow ended: the message on the SNS topic, the input of Slack, the output of an execution. */

export type Workflow = 'backup-logical' | 'restore-test';

export interface BackupSummary {
  readonly id: string;
  readonly manifestKey: string;
  readonly takenAt: string;
  readonly bytes: number;
  readonly rawBytes: number;
  readonly tables: number;
  readonly objects: number;
  /** Seconds that the task took, of which the uploads. */
  readonly taskSeconds: number;
  readonly uploadSeconds: number;
  readonly skipped: number;
}

export type ProofLevel = 'L0' | 'L1' | 'L2' | 'L3' | 'L4';

export interface ProofSummary {
  readonly id: string;
  readonly reportKey: string;
  readonly backupId: string;
  /** The highest level that held with every level below it; null when not even L0 did. */
  readonly level: ProofLevel | null;
  readonly tables: number;
  readonly rows: string;
  readonly restoreSeconds: number;
  readonly proofSeconds: number;
  /** Age of the backup's snapshot when the test began. */
  readonly rpoSeconds: number;
  /** From nothing to a proven database. */
  readonly rtoSeconds: number;
}

export interface WorkflowFailure extends Failure {
  /** The state of the execution that failed. */
  readonly step: string;
}

export interface Outcome {
  readonly schemaVersion: 1;
  readonly workflow: Workflow;
  readonly database: string;
  readonly ok: boolean;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationSeconds: number;
  readonly region: string;
  readonly executionArn: string;
  readonly executionUrl: string;
  readonly objectives: { readonly rpoSeconds: number; readonly rtoSeconds: number };
  readonly backup?: BackupSummary;
  readonly proof?: ProofSummary;
  readonly failure?: WorkflowFailure;
}
