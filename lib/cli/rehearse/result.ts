import type { BackupSummary, ProofLevel, RecoverySummary } from '../../core/outcome.ts';
import type { TableProof } from '../../core/proof.ts';
import type { ErrorReport } from '../errors.ts';
import type { Metrics } from '../evidence.ts';
import type { StepRecord } from '../steps.ts';
import type { FailoverRehearsal } from './failover/rehearse-failover.ts';
import type { RehearsalCheck } from './verdict.ts';
import type { SlackMessage } from './webhook.ts';

/** What `pgdr rehearse --json` prints: a contract, documented in docs/cli.md. Fields are added, never changed. */
export interface RehearsalResult {
  readonly schemaVersion: 1;
  readonly ok: boolean;
  readonly startedAt: string;
  readonly seconds: number;
  readonly postgres: { readonly version: string; readonly major: number };
  /** With `--restore-version`: what was restored into. */
  readonly restorePostgres?: { readonly version: string; readonly major: number };
  readonly sourceBytes?: number;
  readonly steps: readonly StepRecord[];
  readonly backup?: BackupSummary & { readonly verifiedAt: string | null };
  readonly proof?: {
    readonly id: string;
    readonly reportKey: string;
    readonly backupId: string;
    readonly level: ProofLevel | null;
    readonly holds: boolean;
    readonly databases: readonly string[];
    readonly partial: string | null;
    readonly tables: number;
    readonly rows: string;
    readonly restoreSeconds: number;
    readonly proofSeconds: number;
    readonly perTable: readonly TableProof[];
    readonly checks: readonly { level: ProofLevel; name: string; held: boolean; detail: string }[];
  };
  /** The restore to a moment before an accident. */
  readonly pointInTime?: RecoverySummary;
  readonly rpoSeconds?: number;
  readonly rtoSeconds?: number;
  readonly objectives?: { readonly rpoSeconds: number; readonly rtoSeconds: number };
  readonly slack: { readonly messages: readonly SlackMessage[] };
  readonly metrics: Metrics;
  readonly writeLoad?: { readonly commits: number; readonly perSecond: number };
  readonly checks: readonly RehearsalCheck[];
  /** Absent with `--no-failover`, and where it could not be rehearsed, for the reason in `failoverOmitted`. */
  readonly failover?: FailoverRehearsal;
  readonly failoverOmitted?: string;
  readonly fault?: FaultResult;
  readonly error?: ErrorReport;
  /** The page for people. */
  readonly reportPath: string;
}

export interface FaultResult {
  readonly name: string;
  readonly summary: string;
  readonly expectedError: string;
  /** True when the system ended as it must: by the expected name, told everywhere, with nothing half-written. */
  readonly held: boolean;
  readonly checks: readonly RehearsalCheck[];
}
