import type { Manifest } from '../../core/manifest.ts';
import { dimensionOf, type Emitter, type MetricName, metricCatalogue } from '../../core/metrics.ts';
import type { ProofLevel } from '../../core/outcome.ts';
import { checksOf, failedChecks, type ProofReport, proofLevels, tablesOf } from '../../core/proof.ts';
import type { Verification } from '../../core/verification.ts';
import type { Metrics } from '../evidence.ts';

/** Whether a rehearsal proved what it set out to prove: every check must hold, and each says what it saw. */

export interface RehearsalCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface Evidence {
  readonly backup: { readonly status: string; readonly manifest?: Manifest; readonly verification?: Verification };
  readonly restore: { readonly status: string; readonly proof?: ProofReport };
  readonly metrics: Metrics;
  readonly slackMessages: number;
  readonly slackRefused: readonly string[];
  readonly commitsDuringBackup: number;
}

/** A mean of sizes and a comparison of two restore tests need more than one; with WAL its audit measures the window. */
const later = [
  'BackupSizeDeviationPercent',
  'RtoRegressionPercent',
  'RpoRegressionPercent',
  'RecoverableWindowSeconds',
];
const ofBackups: readonly Emitter[] = ['backup', 'restore test', 'posture'];
/** What a backup, a restore test and a look at both must have published. */
export const expectedMetrics = (Object.keys(metricCatalogue) as MetricName[]).filter(
  (name) =>
    !later.includes(name) &&
    dimensionOf(name) === 'Database' &&
    metricCatalogue[name].by.some((emitter) => ofBackups.includes(emitter)),
);

export function judgeRehearsal(evidence: Evidence): RehearsalCheck[] {
  const { backup, restore, metrics } = evidence;
  const { manifest, verification } = backup;
  const { proof } = restore;
  const parts = manifest?.objects.reduce((sum, object) => sum + object.parts.length, 0);
  const proven = proof ? tablesOf(proof) : [];
  const unequal = proven.filter((table) => !table.hashesEqual || table.rows !== table.expectedRows);
  const failed = failedChecks(proof ? checksOf(proof) : []);
  const unproven = manifest?.databases.flatMap(({ name, tables }) => {
    const own = proof?.databases.find((database) => database.name === name)?.tables ?? [];
    return tables.filter(({ relation }) => !own.some((table) => table.relation === relation));
  });
  const silent = expectedMetrics.filter((name) => metrics[name] === undefined);
  return [
    check('backup-logical succeeded', backup.status === 'SUCCEEDED', backup.status),
    check('manifest is in the bucket', manifest !== undefined, manifest?.id ?? 'there is none'),
    check(
      'every part was read back',
      verification !== undefined && verification.parts === parts,
      verification ? `${verification.parts} of ${parts} parts in verification.json` : 'there is no verification.json',
    ),
    check('restore-test succeeded', restore.status === 'SUCCEEDED', restore.status),
    check(
      'the proof is of this backup',
      proof !== undefined && proof.backupId === manifest?.id,
      proof ? `proof of ${proof.backupId}` : 'there is no report',
    ),
    check(
      'the proof holds to L4',
      proof?.holds === true && failed.length === 0 && reaches(proof, 'L4'),
      proof?.level ?? 'none',
    ),
    check(
      'every table is proven equal',
      proven.length > 0 && unequal.length === 0 && unproven?.length === 0,
      unequal.length + (unproven?.length ?? 0) === 0
        ? `${proven.length} tables`
        : [...unequal, ...(unproven ?? [])].map((table) => table.relation).join(', '),
    ),
    check(
      'metric BackupSucceeded = 1',
      metrics.BackupSucceeded === 1,
      String(metrics.BackupSucceeded ?? 'not published'),
    ),
    check(
      'metric RestoreTestSucceeded = 1',
      metrics.RestoreTestSucceeded === 1,
      String(metrics.RestoreTestSucceeded ?? 'not published'),
    ),
    check('every metric of backups and restore tests came', silent.length === 0, silent.join(', ') || 'all of them'),
    check(
      'Slack took two messages',
      evidence.slackMessages === 2 && evidence.slackRefused.length === 0,
      `${evidence.slackMessages} taken${evidence.slackRefused.length > 0 ? `; refused: ${evidence.slackRefused.join('; ')}` : ''}`,
    ),
    check(
      'the source was written to meanwhile',
      evidence.commitsDuringBackup > 0,
      `${evidence.commitsDuringBackup} commits during the backup`,
    ),
  ];
}

/** L5 needs an extension that a PostgreSQL without its contrib modules does not have. */
const reaches = ({ level }: ProofReport, least: ProofLevel): boolean =>
  level !== null && proofLevels.indexOf(level) >= proofLevels.indexOf(least);

const check = (name: string, ok: boolean, detail: string): RehearsalCheck => ({ name, ok, detail });
