import { PgdrError } from './errors.ts';
import { countTables, type Manifest, type ManifestObject } from './manifest.ts';

/**
 * With client-side encryption, the manifest in the bucket says only what storage has to know: which objects belong to
 * the backup, their sizes and the hashes of their stored bytes, when and of which server it was taken. What describes
 * the content (names of tables, row counts, hash sums, which tell much of a small table, roles, grants) is the whole
 * manifest again in the encrypted object `details.json`.
 */

/** What anybody who reads the bucket may see. */
export const sealManifest = (manifest: Manifest, details: ManifestObject): Manifest => ({
  ...manifest,
  objects: [...manifest.objects.map(({ relation: _, ...object }) => object), details],
  roles: [],
  databases: manifest.databases.map((database) => ({
    ...database,
    tables: [],
    sequences: [],
    materializedViews: [],
    inventory: {},
    grants: [],
    owners: {},
    settings: [],
    defects: { constraintsNotValidated: [], indexesInvalid: [], sequencesBehind: [] },
  })),
  skipped: [],
  sealed: { tables: countTables(manifest) },
});

/**
 * The whole manifest again. Throws `ManifestInvalid` when the details are not those of this manifest: the objects that
 * they name must be the ones that the manifest committed.
 */
export function unsealManifest(manifest: Manifest, details: Manifest, key: string): Manifest {
  const own = manifest.objects.find(({ role }) => role === 'details');
  const listed = new Map(manifest.objects.map((object) => [object.key, object]));
  const same =
    own !== undefined &&
    manifest.id === details.id &&
    manifest.objects.length === details.objects.length + 1 &&
    details.objects.every(({ key, sha256, bytes }) => {
      const object = listed.get(key);
      return object?.sha256 === sha256 && object.bytes === bytes;
    });
  if (!same) throw new PgdrError('ManifestInvalid', `${key} and its encrypted details are not of one backup`);
  return { ...details, objects: [...details.objects, own] };
}
