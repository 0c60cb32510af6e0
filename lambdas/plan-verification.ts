import { getText, openStore } from '../lib/aws/object-store.ts';
import { parseAnyManifest } from '../lib/core/any-manifest.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { type Batch, planBatches } from '../lib/core/verification.ts';
import { defineHandler } from './define-handler.ts';

/** Reads a manifest and cuts its objects into batches of parts, each small enough for one function. */
export const handler = defineHandler(
  async ({
    settings,
    manifestKey,
  }: {
    settings: DatabaseSettings;
    manifestKey: string;
  }): Promise<{ batches: Batch[] }> => {
    const manifest = parseAnyManifest(
      await getText(openStore(settings.bucket), manifestKey, 'BackupNotFound'),
      manifestKey,
    );
    return { batches: planBatches(manifest, manifestKey) };
  },
);
