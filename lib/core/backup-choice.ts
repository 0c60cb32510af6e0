import { PgdrError } from './errors.ts';
import { manifestKey, prefixOfManifest } from './keys.ts';
import { type DatabaseBackup, databaseOf, type Manifest } from './manifest.ts';

/** Which of the backups below a folder a restore uses. */
export interface BackupChoice {
  readonly manifestKey: string;
  /** Folders of newer backups that were never verified. */
  readonly passedOver: readonly string[];
}

/**
 * The one that was asked for, or the newest one that was verified to its last byte: one whose verification failed is
 * taken only by its name. Throws `BackupNotFound`.
 *
 * @param keys what lies below `where`, in the order of S3, which is that of time
 */
export function chooseAmong(keys: readonly string[], where: string, asked: string | null): BackupChoice {
  const folders = (file: string) => keys.filter((key) => key.endsWith(`/${file}`)).map(prefixOfManifest);
  const committed = folders('manifest.json');
  const verified = new Set(folders('verification.json'));
  if (committed.length === 0) throw new PgdrError('BackupNotFound', `nothing with a manifest below ${where}`);
  const chosen = committed.findLast((folder) => asked !== null || verified.has(folder));
  if (chosen) return { manifestKey: manifestKey(chosen), passedOver: committed.slice(committed.indexOf(chosen) + 1) };
  const count = committed.length === 1 ? 'the only backup' : `none of the ${committed.length} backups`;
  throw new PgdrError(
    'BackupNotFound',
    `${count} below ${where} was ${committed.length === 1 ? 'never ' : ''}verified; name one to use it all the same`,
  );
}

/** The database of a backup that was asked for, or the only one. Throws `DatabaseNotInBackup` or `RequestInvalid`. */
export function databaseToRestore(manifest: Manifest, asked: string | null): DatabaseBackup {
  const names = manifest.databases.map(({ name }) => name);
  if (asked === null && names.length > 1) {
    throw new PgdrError('RequestInvalid', `${manifest.id} holds ${names.join(', ')}: name one (fromDatabase)`);
  }
  const database = databaseOf(manifest, asked ?? names[0] ?? '');
  if (database) return database;
  throw new PgdrError('DatabaseNotInBackup', `${asked} is not in ${manifest.id}, which holds ${names.join(', ')}`);
}
