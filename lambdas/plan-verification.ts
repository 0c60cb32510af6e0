import { getText, list, type ObjectStore, openStore } from '../lib/aws/object-store.ts';
import { parseAnyManifest } from '../lib/core/any-manifest.ts';
import { newestOf } from '../lib/core/backup-choice.ts';
import { storedFoldersOf } from '../lib/core/keys.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { type Batch, planBatches } from '../lib/core/verification.ts';
import { defineHandler } from './define-handler.ts';

interface Event {
  readonly settings: DatabaseSettings;
  /** Of the backup that was just taken. */
  readonly manifestKey?: string;
  /** Without `manifestKey`: which of those that are stored, of either kind; null: the newest daily one. */
  readonly backupId?: string | null;
}

/** Reads a manifest and cuts its objects into batches of parts, each small enough for one function. */
export const handler = defineHandler(
  async ({ settings, manifestKey, backupId = null }: Event): Promise<{ manifestKey: string; batches: Batch[] }> => {
    const store = openStore(settings.bucket);
    const key = manifestKey ?? (await findManifest(store, settings, backupId));
    const manifest = parseAnyManifest(await getText(store, key, 'BackupNotFound'), key);
    return { manifestKey: key, batches: planBatches(manifest, key) };
  },
);

/** Verified before or not: the one whose verification failed is the one that somebody wants to read again. */
async function findManifest(store: ObjectStore, settings: DatabaseSettings, backupId: string | null): Promise<string> {
  const folders = storedFoldersOf(settings, backupId);
  const keys = (await Promise.all(folders.map((folder) => Array.fromAsync(list(store, folder))))).flat();
  return newestOf(keys, `s3://${store.bucket}/${folders[0]}`, backupId);
}
