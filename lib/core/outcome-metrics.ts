import type { RtoPhase } from './failover/measure.ts';
import type { MetricName } from './metrics.ts';
import type { Outcome } from './outcome.ts';

/** The metrics that an outcome is worth: a failure publishes its zero, so that silence and failure look different. */
export function metricsOf(outcome: Outcome): ReadonlyMap<MetricName, number> {
  const metrics = new Map<MetricName, number>();
  const { backup, proof, ok, durationSeconds } = outcome;
  if (outcome.workflow === 'backup-logical') {
    // A part that somebody asked for says nothing about the daily backup, whichever way it ends.
    if (outcome.adhoc) return metrics;
    metrics.set('BackupSucceeded', ok ? 1 : 0);
    if (ok && backup) {
      metrics.set('BackupBytes', backup.bytes);
      metrics.set('BackupDurationSeconds', durationSeconds);
      metrics.set('UploadSeconds', backup.uploadSeconds);
    }
    return metrics;
  }
  if (outcome.workflow === 'backup-physical') {
    metrics.set('BaseBackupSucceeded', ok ? 1 : 0);
    if (ok && backup) {
      metrics.set('BaseBackupBytes', backup.bytes);
      metrics.set('BaseBackupDurationSeconds', durationSeconds);
    }
    return metrics;
  }
  // These happen when somebody asks; a number of theirs would be an alarm's noise.
  if (outcome.workflow === 'restore' || outcome.workflow === 'retention' || outcome.workflow === 'verify')
    return metrics;
  if (outcome.workflow === 'failover' || outcome.workflow === 'failback' || outcome.workflow === 'drill') {
    const { failover, drill } = outcome;
    if (outcome.workflow === 'drill') metrics.set('DrillSucceeded', ok ? 1 : 0);
    if (drill) metrics.set('MeasuredRtoSeconds', drill.rtoSeconds);
    if (drill?.loss && drill.loss.upperSeconds !== null) metrics.set('MeasuredRpoSeconds', drill.loss.upperSeconds);
    // A planned change is no recovery: what it took says nothing about one.
    if (outcome.workflow === 'failback') return metrics;
    if (failover) metrics.set('MeasuredRtoSeconds', failover.rtoSeconds);
    if (failover?.loss && failover.loss.upperSeconds !== null)
      metrics.set('MeasuredRpoSeconds', failover.loss.upperSeconds);
    return metrics;
  }
  metrics.set('RestoreTestSucceeded', ok ? 1 : 0);
  metrics.set('ProofLevel', proof?.level ? Number(proof.level.slice(1)) : -1);
  if (ok && proof) {
    metrics.set('RestoreTestSeconds', durationSeconds);
    metrics.set('MeasuredRtoSeconds', proof.rtoSeconds);
    metrics.set('MeasuredRpoSeconds', proof.rpoSeconds);
  }
  return metrics;
}

/** RTO by phase, of what was measured: `MeasuredRtoSeconds` with the dimension Phase beside Database. */
export function phaseMetricsOf({ failover, drill }: Outcome): ReadonlyMap<RtoPhase, number> {
  const measured = (drill?.phases ?? []).filter(({ how }) => how === 'measured');
  const phases = [...(failover?.phases ?? []), ...measured];
  return new Map(phases.flatMap(({ phase, seconds }) => (seconds === null ? [] : [[phase, seconds] as const])));
}
