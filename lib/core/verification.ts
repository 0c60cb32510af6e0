import type { ManifestObject } from './manifest.ts';

/**
 * Reading a backup back by ranges: the parts whose hashes the manifest holds are spread over batches that functions
 * verify side by side. A batch names parts by number only, so that its size does not grow with the backup.
 */

/** An entry of a manifest, as far as reading it back takes. */
type Stored = Pick<ManifestObject, 'key' | 'bytes' | 'parts'>;

export interface Batch {
  readonly manifestKey: string;
  readonly ranges: readonly { readonly key: string; readonly fromPart: number; readonly toPart: number }[];
}

/** What one batch found; the sum over all batches must be the whole backup. */
export interface BatchResult {
  readonly bytes: number;
  readonly parts: number;
}

/** `verification.json`, written once when every part was read back. */
export interface Verification {
  readonly schemaVersion: 1;
  readonly manifestKey: string;
  readonly verifiedAt: string;
  readonly bytes: number;
  readonly parts: number;
}

/** Of the workflow that verifies a backup again. */
export interface VerificationSummary extends Verification {
  readonly backupId: string;
  readonly objects: number;
  /** Whether this is what `verification.json` says from now on; false: an earlier verification wrote it. */
  readonly recorded: boolean;
}

/** A function reads and hashes about 50 MB/s beside its neighbours: 4 GiB take it some 90 s of its 15 minutes. */
const batchBytes = 4 * 1024 ** 3;
/** An execution's payload ends at 256 KiB: a backup with very many objects gets larger batches, not more of them. */
const mostBatches = 400;

/** Cuts the objects into batches of consecutive parts. Empty objects have no parts and are checked by their size. */
export function planBatches(manifest: { readonly objects: readonly Stored[] }, manifestKey: string): Batch[] {
  const total = manifest.objects.reduce((sum, object) => sum + object.bytes, 0);
  const target = Math.max(batchBytes, Math.ceil(total / mostBatches));
  const batches: Batch['ranges'][number][][] = [[]];
  let filled = 0;
  for (const object of manifest.objects) {
    let fromPart = 0;
    for (let part = 0; part < object.parts.length; part++) {
      filled += object.parts[part]?.bytes ?? 0;
      const last = part === object.parts.length - 1;
      if (filled < target && !last) continue;
      batches.at(-1)?.push({ key: object.key, fromPart, toPart: part });
      fromPart = part + 1;
      if (filled >= target) {
        batches.push([]);
        filled = 0;
      }
    }
  }
  return batches.filter((ranges) => ranges.length > 0).map((ranges) => ({ manifestKey, ranges }));
}

/** Inclusive byte offsets of one part of an object. */
export function partRange(object: Stored, part: number): { from: number; to: number } {
  const from = object.parts.slice(0, part).reduce((sum, p) => sum + p.bytes, 0);
  return { from, to: from + (object.parts[part]?.bytes ?? 0) - 1 };
}
