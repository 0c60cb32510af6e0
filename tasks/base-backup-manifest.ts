import type { Lineage } from '../lib/core/keys.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';
import type { Cluster } from '../lib/postgres/cluster.ts';
import type { StoredBaseBackup } from './base-backup-store.ts';

export interface BaseBackupFacts {
  readonly id: string;
  readonly lineage: Lineage;
  readonly cluster: Cluster;
  readonly stored: StoredBaseBackup;
  /** Milliseconds since the epoch. */
  readonly began: number;
  /** What {@link readBackupEnd} gave when it had ended. */
  readonly end: { readonly at: string; readonly oldestRunningXid: string };
  readonly parentId: string | null;
  /** Why it is no increment; see {@link PhysicalManifest}. */
  readonly fullBecause: string | null;
  readonly lockUntil: Date | null;
}

export function makeManifest(facts: BaseBackupFacts): PhysicalManifest {
  const { cluster, end, lineage, lockUntil, stored } = facts;
  const { backup, objects, refusal } = stored;
  return {
    schemaVersion: 1,
    kind: 'physical',
    id: facts.id,
    parentId: refusal === undefined ? facts.parentId : null,
    fullBecause: refusal ?? facts.fullBecause,
    system: lineage.system,
    database: lineage.database,
    lineage: lineage.lineage,
    systemIdentifier: cluster.identity.systemIdentifier,
    serverVersionNum: cluster.identity.serverVersionNum,
    timeline: backup.timeline,
    startLsn: backup.startLsn,
    stopLsn: backup.stopLsn,
    startedAt: new Date(facts.began).toISOString(),
    stoppedAt: end.at,
    oldestRunningXid: end.oldestRunningXid,
    walSegmentBytes: cluster.walSegmentBytes,
    dataChecksums: cluster.dataChecksums,
    tablespaces: [...backup.tablespaces],
    databases: cluster.databases,
    superusers: cluster.superusers,
    limits: cluster.limits,
    preloadLibraries: cluster.preloadLibraries,
    objects,
    lockUntil: lockUntil?.toISOString() ?? null,
  };
}
