/** An entry of the catalogue of errors, and the words that many share. */

export interface CatalogueEntry {
  /** What it means, in one sentence. */
  readonly meaning: string;
  readonly intact: string;
  readonly tryNext: string;
  /** The page in docs/runbooks that continues from here. */
  readonly runbook:
    | 'backup-failed'
    | 'restore-test-failed'
    | 'restore'
    | 'configuration'
    | 'retention-failed'
    | 'encryption-key-refused'
    | 'wal-gap'
    | 'wal-lag'
    | 'primary-down'
    | 'drill-failed';
}

export const entry = (
  runbook: CatalogueEntry['runbook'],
  meaning: string,
  intact: string,
  tryNext: string,
): CatalogueEntry => ({ meaning, intact, tryNext, runbook });

export const earlierBackups =
  'Earlier backups are untouched; this attempt left no manifest, so no restore can pick it up.';
export const nothingStarted = 'Nothing was started and nothing was written.';
export const backupStands = 'The source and every stored object are untouched; only what was being restored is lost.';
export const nothingMoved = 'The writer, its name and its epoch are as they were.';
export const pointPassed = 'The old writer is fenced; nothing that the new one acknowledged is at stake.';
