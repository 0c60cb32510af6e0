import { PgdrError } from './errors.ts';
import { manifestKey, prefixOfManifest } from './keys.ts';
import { type DatabaseBackup, databaseOf, type Manifest } from './manifest.ts';

/** Which of the backups below a folder a restore uses. */
export interface BackupChoice {
  /** Of older backups that would do as well, the newest first. */
  readonly others: readonly string[];
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
  const committed = committedAmong(keys, where, asked);
  const verified = new Set(foldersWith('verification.json', keys));
  const [chosen, ...others] = committed.filter((folder) => asked !== null || verified.has(folder)).reverse();
  if (chosen) {
    const passedOver = committed.slice(committed.indexOf(chosen) + 1);
    return { manifestKey: manifestKey(chosen), passedOver, others: others.map(manifestKey) };
  }
  const count = committed.length === 1 ? 'the only backup' : `none of the ${committed.length} backups`;
  throw new PgdrError(
    'BackupNotFound',
    `${count} below ${where} was ${committed.length === 1 ? 'never ' : ''}verified; name one to use it all the same`,
  );
}

/** The manifest of the newest one, verified or not. Throws `BackupNotFound`. */
export const newestOf = (keys: readonly string[], where: string, asked: string | null): string =>
  manifestKey(committedAmong(keys, where, asked).at(-1) as string);

const foldersWith = (file: string, keys: readonly string[]): string[] =>
  keys.filter((key) => key.endsWith(`/${file}`)).map(prefixOfManifest);

function committedAmong(keys: readonly string[], where: string, asked: string | null): string[] {
  const committed = foldersWith('manifest.json', keys);
  if (committed.length > 0) return committed;
  const what =
    asked === null ? 'nothing with a manifest' : `no backup ${asked} (\`pgdr list\` shows those that there are)`;
  throw new PgdrError('BackupNotFound', `${what} below ${where}`);
}

/**
 * What a manifest names and this bucket does not hold: S3 copies the objects of a backup to the other region in no
 * order, so that a manifest may be there before them.
 *
 * @param keys what lies below the folder of all backups
 */
export const missingObjects = ({ objects }: Pick<Manifest, 'objects'>, keys: ReadonlySet<string>): string[] =>
  objects.map(({ key }) => key).filter((key) => !keys.has(key));

/** The newest of a choice whose objects are all there; of none, the first, which then says what is missing. */
export async function firstComplete<M extends Pick<Manifest, 'objects'>>(
  { manifestKey: first, others }: BackupChoice,
  keys: readonly string[],
  asked: string | null,
  read: (key: string) => Promise<M>,
): Promise<{ readonly key: string; readonly manifest: M; readonly incomplete: readonly string[] }> {
  const here = new Set(keys);
  const incomplete: string[] = [];
  let fallback: M | undefined;
  for (const key of [first, ...others]) {
    const manifest = await read(key);
    fallback ??= manifest;
    // Only the folder of the one that was asked for was listed.
    if (asked !== null || missingObjects(manifest, here).length === 0) return { key, manifest, incomplete };
    incomplete.push(prefixOfManifest(key));
  }
  return { key: first, manifest: fallback as M, incomplete: [] };
}

/** The database of a backup that was asked for, or the only one. Throws `DatabaseNotInBackup` or `RequestInvalid`. */
export function databaseToRestore(manifest: Manifest, asked: string | null): DatabaseBackup {
  const names = manifest.databases.map(({ name }) => name);
  if (asked === null && names.length > 1) {
    throw new PgdrError(
      'RequestInvalid',
      `${manifest.id} holds ${names.join(', ')}: name one (fromDatabase, --database)`,
    );
  }
  const database = databaseOf(manifest, asked ?? names[0] ?? '');
  if (database) return database;
  throw new PgdrError('DatabaseNotInBackup', `${asked} is not in ${manifest.id}, which holds ${names.join(', ')}`);
}
