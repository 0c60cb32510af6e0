import type { Failure } from './errors.ts';
import type { Diverged } from './failover/diverged.ts';
import type { DrillFigures } from './failover/drill.ts';
import type { LossBracket, PhaseSeconds } from './failover/measure.ts';
import type { FenceProof, Operation, ServerName } from './failover/role.ts';
import type { Omission } from './restore-plan.ts';
import type { RetentionSummary } from './retention/summary.ts';
import type { VerificationSummary } from './verification.ts';

/** How a workflow ended: the message on the SNS topic, the input of Slack, the output of an execution. */

export type Workflow =
  | 'backup-logical'
  | 'backup-physical'
  | 'restore-test'
  | 'restore'
  | 'retention'
  | 'verify'
  | 'failover'
  | 'failback'
  | 'drill';

export interface BackupSummary {
  readonly id: string;
  readonly manifestKey: string;
  readonly takenAt: string;
  readonly bytes: number;
  readonly rawBytes: number;
  /** Of `bytes`, what this backup added to the store; the rest are objects of earlier backups. */
  readonly newBytes: number;
  /** Databases of the server. */
  readonly databases: readonly string[];
  /** In words, what the backup is limited to; null: it is of everything. */
  readonly partial: string | null;
  /** Of a selection that somebody asked for: no daily backup, and no default of a restore. */
  readonly adhoc: boolean;
  readonly tables: number;
  readonly objects: number;
  /** Seconds that the task took, of which the uploads. */
  readonly taskSeconds: number;
  readonly uploadSeconds: number;
  readonly skipped: number;
  /** Of a base backup. */
  readonly physical?: {
    readonly timeline: number;
    readonly startLsn: string;
    readonly stopLsn: string;
    readonly parentId: string | null;
    /** Why it is a full one though an increment was asked for. */
    readonly fullBecause: string | null;
  };
}

export type ProofLevel = 'L0' | 'L1' | 'L2' | 'L3' | 'L4' | 'L5';

export interface ProofSummary {
  readonly id: string;
  readonly reportKey: string;
  readonly backupId: string;
  /** The highest level that held with every level below it; null when not even L0 did. */
  readonly level: ProofLevel | null;
  readonly databases: readonly string[];
  /** In words, what the backup is limited to, and so the proof; null: it is of everything. */
  readonly partial: string | null;
  readonly tables: number;
  readonly rows: string;
  readonly restoreSeconds: number;
  readonly proofSeconds: number;
  /** Age, when the test began, of the newest restored heartbeat, or of the backup's snapshot where there is none. */
  readonly rpoSeconds: number;
  /** From nothing to a proven database. */
  readonly rtoSeconds: number;
}

/** What a server was recovered to before anything was restored from it. */
export interface RecoverySummary {
  /** The backup that was taken of the recovered server, from which the restore is made. */
  readonly id: string;
  /** What was asked for, in words. */
  readonly target: string;
  readonly baseBackupId: string;
  readonly timeline: number;
  /** End of the last record that was replayed. */
  readonly lsn: string;
  /** Time of the last transaction that is in it; null when there was none since the base backup. */
  readonly lastTransactionAt: string | null;
  readonly walBytes: number;
  readonly fetchSeconds: number;
  readonly replaySeconds: number;
  readonly taskSeconds: number;
}

export interface RestoreSummary {
  readonly backupId: string;
  /** Which database of the backup. */
  readonly fromDatabase: string;
  /** In words, what the backup is limited to; null: it is of everything. */
  readonly partial: string | null;
  readonly takenAt: string;
  /** `host:port` of the target server. */
  readonly host: string;
  readonly toDatabase: string;
  /** null: the names that the schemas had. */
  readonly toSchema: string | null;
  readonly scope: 'database' | 'schemas' | 'tables';
  readonly schemaOnly: boolean;
  /** Tables and rows whose content was compared with the manifest. */
  readonly tables: number;
  readonly rows: string;
  /** What was read from the store. */
  readonly objects: number;
  readonly bytes: number;
  readonly taskSeconds: number;
  /** Whether data of the target gave way, which somebody typed the name for. */
  readonly replaced: boolean;
  /** What belongs to the selection and did not come back, with the number of what is not listed. */
  readonly omitted: readonly Omission[];
  readonly moreOmitted: number;
  /** Of a restore to a point in time. */
  readonly recovery?: RecoverySummary;
}

export interface FailoverSummary {
  readonly operation: Operation;
  readonly from: ServerName;
  readonly to: ServerName;
  /** The one that the new writer writes under. */
  readonly epoch: number;
  /** Through which the first write went. */
  readonly name: string;
  /** null: the target was the writer already. */
  readonly fence: FenceProof | null;
  /** Of the decision. */
  readonly reasons: readonly string[];
  readonly phases: readonly PhaseSeconds[];
  readonly rtoSeconds: number;
  /** What was lost, between two bounds; `upperSeconds` null: no bound is known. null: nothing is known. */
  readonly loss: (Omit<LossBracket, 'upperSeconds'> & { readonly upperSeconds: number | null }) | null;
  readonly sequences: { readonly bumped: number; readonly exhausted: readonly string[] } | null;
  /** Why the old writer takes no write. */
  readonly oldWriter: string;
  readonly applications: readonly { readonly service: string; readonly restarted: boolean }[];
  /** Of a failback: the transactions that only the server that came back had; null: there were none. */
  readonly diverged: Diverged | null;
}

/** Of an isolated drill: a throwaway replica of the standby was promoted and compared with it. */
export interface DrillSummary extends DrillFigures {
  readonly reportKey: string;
  /** RFC 3339: as of when the replica was cut off, and where in the WAL. */
  readonly cutAt: string;
  readonly lsn: string;
  readonly serverVersion: string;
  readonly bytes: number;
  readonly copySeconds: number;
  readonly catchUpSeconds: number;
  /** Before and after the promotion. */
  readonly timelines: readonly [number, number];
  readonly sequences: { readonly bumped: number; readonly exhausted: readonly string[] };
  /** Tables whose content was compared with that of the standby at the same position; `note`: why not all. */
  readonly compared: {
    readonly tables: number;
    readonly of: number;
    readonly rows: string;
    readonly note: string | null;
  };
  /** What is worse than the objectives or than the drill before, in sentences. */
  readonly regressions: readonly string[];
  readonly lastId: string | null;
}

export interface WorkflowFailure extends Failure {
  /** The state of the execution that failed. */
  readonly step: string;
}

export interface Outcome {
  readonly schemaVersion: 1;
  readonly workflow: Workflow;
  readonly database: string;
  /** Of a selection that somebody asked for. */
  readonly adhoc?: true;
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
  readonly restore?: RestoreSummary;
  readonly retention?: RetentionSummary;
  readonly verification?: VerificationSummary;
  readonly failover?: FailoverSummary;
  readonly drill?: DrillSummary;
  readonly failure?: WorkflowFailure;
}
