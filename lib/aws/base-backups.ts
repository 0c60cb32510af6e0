import { PgdrError } from '../core/errors.ts';
import { basePrefix, type Lineage, manifestKey, prefixOfManifest, verificationKey } from '../core/keys.ts';
import { type PhysicalManifest, parsePhysicalManifest } from '../core/physical-manifest.ts';
import { getText, list, type ObjectStore } from './object-store.ts';

/**
 * The base backups of a lineage that were verified, the oldest first: no other is restored from.
 *
 * @param onInvalid is told of a manifest that cannot be read, which is left out; without it `ManifestInvalid` is thrown
 */
export async function listBaseBackups(
  store: ObjectStore,
  lineage: Lineage,
  onInvalid?: (key: string, error: PgdrError) => void,
): Promise<PhysicalManifest[]> {
  const keys = new Set(await Array.fromAsync(list(store, basePrefix(lineage))));
  const verified = [...keys].filter(
    (key) => key === manifestKey(prefixOfManifest(key)) && keys.has(verificationKey(prefixOfManifest(key))),
  );
  const read = await Promise.all(
    verified.sort().map(async (key) => {
      const text = await getText(store, key);
      try {
        return parsePhysicalManifest(text, key);
      } catch (error) {
        if (!onInvalid || !(error instanceof PgdrError)) throw error;
        onInvalid(key, error);
        return undefined;
      }
    }),
  );
  return read.filter((backup) => backup !== undefined);
}
