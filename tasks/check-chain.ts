import { type ObjectStore, sizeOf } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { PhysicalManifest } from '../lib/core/physical-manifest.ts';

/**
 * Looks whether every object of a chain is there in its size, before anything is built on it or recovered from it. What
 * has been altered within its size is found when it is read. Throws `AncestorMissing`, or for the last one itself
 * `ObjectMissing` and `ObjectTruncated`.
 */
export async function checkChain(store: ObjectStore, chain: readonly PhysicalManifest[]): Promise<void> {
  const last = chain.at(-1);
  for (const backup of chain) {
    const problems = await Promise.all(backup.objects.map((object) => problemOf(store, object)));
    const problem = problems.find((one) => one !== undefined);
    if (!problem) continue;
    if (backup === last) throw problem;
    throw new PgdrError('AncestorMissing', `base backup ${last?.id} builds on ${backup.id}: ${problem.message}`, {
      cause: problem,
    });
  }
}

async function problemOf(
  store: ObjectStore,
  { key, bytes, versionId }: PhysicalManifest['objects'][number],
): Promise<PgdrError | undefined> {
  try {
    const stored = await sizeOf(store, key, versionId);
    if (stored === bytes) return undefined;
    return new PgdrError('ObjectTruncated', `${key} has ${stored} bytes, the manifest says ${bytes}`);
  } catch (error) {
    if (error instanceof PgdrError && error.name === 'ObjectMissing') return error;
    throw error;
  }
}
