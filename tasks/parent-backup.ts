import { getText, list, type ObjectStore } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { logicalPrefix, manifestKey, verificationKey } from '../lib/core/keys.ts';
import { type Manifest, parseManifest } from '../lib/core/manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { readManifest } from './backup-store.ts';

/** How many backups to look at: behind a long row of failed ones, storing everything anew is the better answer. */
const mostLookedAt = 10;

/** The newest backup that was verified to its last byte, or none. What was never read back is nothing to build on. */
export async function findParent(store: ObjectStore, settings: DatabaseSettings): Promise<Manifest | undefined> {
  const folders: string[] = [];
  for await (const folder of list(store, logicalPrefix(settings), '/')) folders.push(folder);
  for (const folder of folders.sort().reverse().slice(0, mostLookedAt)) {
    if (!(await read(store, verificationKey(folder)))) continue;
    const text = await read(store, manifestKey(folder));
    if (!text) continue;
    const manifest = parseManifest(text, manifestKey(folder));
    // Encryption was turned off since: nothing of that backup is referred to, so nobody has to read it.
    if (manifest.sealed && !store.clientKey) return undefined;
    return readManifest(store, manifestKey(folder));
  }
  return undefined;
}

async function read(store: ObjectStore, key: string): Promise<string | undefined> {
  try {
    return await getText(store, key);
  } catch (error) {
    // Without the right to list a whole bucket, S3 answers 403 for what does not exist.
    const absent = error instanceof PgdrError && (error.name === 'ObjectMissing' || /AccessDenied/.test(error.message));
    if (absent) return undefined;
    throw error;
  }
}
