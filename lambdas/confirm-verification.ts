import { getText, type ObjectStore, openStore, putOnce } from '../lib/aws/object-store.ts';
import { parseAnyManifest } from '../lib/core/any-manifest.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { prefixOfManifest, verificationKey } from '../lib/core/keys.ts';
import { backupBytes } from '../lib/core/manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import type { BatchResult, Verification, VerificationSummary } from '../lib/core/verification.ts';
import { defineHandler } from './define-handler.ts';

interface Event {
  readonly settings: DatabaseSettings;
  readonly manifestKey: string;
  readonly results: readonly BatchResult[];
}

/**
 * Holds the sum of what the batches read against the whole manifest, and writes down that the backup is verified. What
 * an earlier run wrote down stands: the answer says which of the two it was.
 */
export const handler = defineHandler(
  async ({ settings, manifestKey, results }: Event): Promise<VerificationSummary> => {
    const store = openStore(settings.bucket);
    const manifest = parseAnyManifest(await getText(store, manifestKey, 'BackupNotFound'), manifestKey);
    const sum = (of: (result: BatchResult) => number) => results.reduce((total, result) => total + of(result), 0);
    const bytes = sum((result) => result.bytes);
    const parts = sum((result) => result.parts);
    const expectedParts = manifest.objects.reduce((total, object) => total + object.parts.length, 0);
    if (bytes !== backupBytes(manifest) || parts !== expectedParts) {
      throw new PgdrError(
        'ObjectTruncated',
        `${parts} parts with ${bytes} bytes were read back, the manifest lists ${expectedParts} with ${backupBytes(manifest)}`,
      );
    }
    const verification: Verification = {
      schemaVersion: 1,
      manifestKey,
      verifiedAt: new Date().toISOString(),
      bytes,
      parts,
    };
    const recorded = await record(store, verification);
    return { ...verification, backupId: manifest.id, objects: manifest.objects.length, recorded };
  },
);

/** Whether it was written: not where an earlier run verified the same backup. */
async function record(store: ObjectStore, verification: Verification): Promise<boolean> {
  const key = verificationKey(prefixOfManifest(verification.manifestKey));
  try {
    await putOnce(store, key, Buffer.from(`${JSON.stringify(verification, null, 2)}\n`));
    return true;
  } catch (error) {
    if (!(error instanceof PgdrError) || error.name !== 'ManifestConflict') throw error;
    return false;
  }
}
