import { list, type ObjectStore } from '../lib/aws/object-store.ts';
import { chooseAmong, firstComplete } from '../lib/core/backup-choice.ts';
import { foldersOf } from '../lib/core/keys.ts';
import type { Manifest } from '../lib/core/manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { readManifest } from './backup-store.ts';
import { log } from './log.ts';

/** The manifest of the backup that was asked for, or of the newest verified one. Throws `BackupNotFound`. */
export async function chooseBackup(
  store: ObjectStore,
  settings: DatabaseSettings,
  backupId: string | null,
): Promise<{ key: string; manifest: Manifest }> {
  // Listed rather than read: without the right to list a whole bucket, S3 answers 403 for what does not exist.
  const folders = foldersOf(settings, backupId);
  const keys = (await Promise.all(folders.map((folder) => Array.fromAsync(list(store, folder))))).flat();
  const choice = chooseAmong(keys, `s3://${store.bucket}/${folders[0]}`, backupId);
  if (choice.passedOver.length > 0) log('newer backups were never verified', { passedOver: choice.passedOver });
  const { key, manifest, incomplete } = await firstComplete(choice, keys, backupId, (each) =>
    readManifest(store, each, { missing: 'BackupNotFound' }),
  );
  if (incomplete.length > 0) log('newer backups are not all here yet', { incomplete });
  return { key, manifest };
}
