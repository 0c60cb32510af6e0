import { clientEncryption } from './encryption.ts';
import type { DatabaseBackup, Manifest, ManifestObject, TableFingerprint } from './manifest.ts';

/**
 * Incremental backups: a table whose fingerprint is that of the parent backup need not be stored again; the manifest
 * names the parent's object instead. Manifests stay self-contained: each lists every object that its restore needs.
 */

/** When an object was stored: its key holds the time-ordered id of the backup that stored it. */
export function storedAt(key: string): Date | undefined {
  const id = /\/(?:logical|adhoc)\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]+\//.exec(key);
  if (!id) return undefined;
  const [, year, month, day, hour, minute, second] = id;
  return new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** Whether a backup can stand on this parent at all: the same server, read by tools of the same major. */
export const canBeParent = (parent: Manifest, of: { systemIdentifier: string; serverVersionNum: number }): boolean =>
  parent.systemIdentifier === of.systemIdentifier &&
  Math.floor(parent.serverVersionNum / 10_000) === Math.floor(of.serverVersionNum / 10_000);

/**
 * The parent's object that already holds this table's content, with its further volumes. None when the content or the
 * columns differ, or when the object is older than `maxAgeSeconds`: a table that never changes is stored anew from time
 * to time, so that not every backup hangs on one object.
 */
export function reusableObjects(
  parent: Pick<DatabaseBackup, 'tables' | 'objects'>,
  table: TableFingerprint,
  options: { readonly now: Date; readonly maxAgeSeconds: number; readonly encrypted: boolean },
): ManifestObject[] {
  const before = parent.tables.find(({ relation }) => relation === table.relation);
  if (!before || !sameContent(before, table)) return [];
  const volumes = parent.objects.filter((o) => o.role === 'table' && o.relation === table.relation);
  const [object] = volumes;
  // Encryption that was turned on holds for all of a backup, and one that was turned off asks for no key.
  if ((object?.encryption === clientEncryption) !== options.encrypted) return [];
  const stored = object && storedAt(object.key);
  if (!stored || options.now.getTime() - stored.getTime() > options.maxAgeSeconds * 1000) return [];
  return volumes;
}

/** Equal rows under equal columns: an archive names columns, so a renamed one makes an old archive unusable. */
const sameContent = (a: TableFingerprint, b: TableFingerprint): boolean =>
  a.rows === b.rows && a.hash1 === b.hash1 && a.hash2 === b.hash2 && a.columns === b.columns;

/** Every key that some manifest needs: what retention must keep. */
export const referencedKeys = (manifests: readonly Manifest[]): ReadonlySet<string> =>
  new Set(manifests.flatMap((manifest) => manifest.objects.map((object) => object.key)));

/** Bytes that a backup added to the store, its share of earlier ones left aside. */
export const newBytes = (manifest: Manifest, prefix: string): number =>
  manifest.objects.filter((o) => o.key.startsWith(prefix)).reduce((sum, o) => sum + o.bytes, 0);
