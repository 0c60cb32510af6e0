import { getText, list, type ObjectStore } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { backupPrefix, logicalPrefix } from '../lib/core/keys.ts';
import { type Manifest, parseManifest } from '../lib/core/manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';

/** The manifest of the backup that was asked for, or of the newest one: ids sort by time. Or `BackupNotFound`. */
export async function chooseBackup(
  store: ObjectStore,
  settings: DatabaseSettings,
  backupId: string | null,
): Promise<{ key: string; manifest: Manifest }> {
  const folder = backupId === null ? logicalPrefix(settings) : backupPrefix(settings, backupId);
  let key: string | undefined;
  // Listed rather than read: without the right to list a whole bucket, S3 answers 403 for what does not exist.
  for await (const found of list(store, folder)) if (found.endsWith('/manifest.json')) key = found;
  if (!key) throw new PgdrError('BackupNotFound', `nothing with a manifest below s3://${settings.bucket}/${folder}`);
  return { key, manifest: parseManifest(await getText(store, key, 'BackupNotFound'), key) };
}
