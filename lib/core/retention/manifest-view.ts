import { z } from 'zod';
import { PgdrError } from '../errors.ts';
import { manifestKey, prefixOfManifest, verificationKey } from '../keys.ts';
import { parseLsn } from '../lsn.ts';
import type { PlacedBackup } from './plan.ts';

/**
 * The little of a manifest, of any kind, that retention needs. What is read for a restore may grow; a manifest that
 * lacks one of these must stop retention, since it may name objects of other backups.
 */
const common = {
  id: z.string(),
  stoppedAt: z.string(),
  lockUntil: z.string().nullable(),
  objects: z.array(z.object({ key: z.string() })),
};
const view = z.discriminatedUnion('kind', [
  z.object({ ...common, kind: z.literal('logical'), adhoc: z.boolean().optional() }),
  z.object({
    ...common,
    kind: z.literal('physical'),
    parentId: z.string().nullable(),
    timeline: z.number().int(),
    startLsn: z.string(),
  }),
]);

/** `verified`: whether `verification.json` lies beside it. @throws PgdrError ManifestInvalid */
export function viewManifest(text: string, key: string, verified: boolean): PlacedBackup {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PgdrError('ManifestInvalid', `${key} is not JSON`, { cause });
  }
  const { data, error } = view.safeParse(value);
  if (!data) {
    const issue = error.issues[0];
    throw new PgdrError('ManifestInvalid', `${key}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const prefix = prefixOfManifest(key);
  const own = [manifestKey(prefix), ...(verified ? [verificationKey(prefix)] : [])];
  const shared = {
    id: data.id,
    at: Date.parse(data.stoppedAt),
    verified,
    lockUntil: data.lockUntil === null ? null : Date.parse(data.lockUntil),
    prefix,
    keys: [...own, ...data.objects.map((object) => object.key)],
  };
  if (data.kind === 'logical') return { ...shared, kind: 'logical', complete: data.adhoc !== true };
  const { parentId, timeline } = data;
  return { ...shared, kind: 'physical', parentId, timeline, startLsn: parseLsn(data.startLsn) };
}
