import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { parseLsn } from './lsn.ts';
import { objectSchema } from './manifest.ts';
import { checkPlace, lsn, oid, settingName, timestamp } from './manifest-fields.ts';
import { isSegmentSize } from './wal.ts';

/** `manifest.json` of a base backup: the commit, as that of a logical backup is. */

export const physicalObjectSchema = objectSchema.extend({
  /** `tablespace`: {@link PhysicalObject.oid} says which; `backup-manifest`: PostgreSQL's own list of files. */
  role: z.enum(['base', 'tablespace', 'backup-manifest']),
  oid: oid.optional(),
});

export const physicalManifestSchema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('physical'),
  id: z.string(),
  /** The backup that this one, an incremental one, needs beside it; null for a full one. */
  parentId: z.string().nullable(),
  /** Why it is a full one though an increment was asked for; null: it is an increment, or full as configured. */
  fullBecause: z.string().nullable().optional(),
  system: z.string(),
  database: z.string(),
  lineage: z.string(),
  systemIdentifier: z.string().regex(/^\d+$/),
  serverVersionNum: z.number().int(),
  timeline: z.number().int().positive(),
  /** Recovery begins at `startLsn` and is consistent from `stopLsn` on. */
  startLsn: lsn,
  stopLsn: lsn,
  startedAt: timestamp,
  /** By the server's clock, when the backup had ended: no earlier time can be recovered with it. */
  stoppedAt: timestamp,
  /** Every transaction with a lower number had ended when the backup had: it cannot be a target of a recovery. */
  oldestRunningXid: z.string().regex(/^\d+$/),
  walSegmentBytes: z.number().int().refine(isSegmentSize),
  dataChecksums: z.boolean(),
  tablespaces: z.array(z.object({ oid, location: z.string() })),
  databases: z.array(z.object({ name: z.string(), bytes: z.number().int() })),
  /** Roles that may do everything: what a recovered server is entered as. */
  superusers: z.array(z.string()).min(1),
  /** Settings that a recovering server needs at least as large as the source had them. */
  limits: z.record(settingName, z.number().int()),
  preloadLibraries: z.string(),
  objects: z.array(physicalObjectSchema).min(2),
  lockUntil: timestamp.nullable(),
});

export type PhysicalObject = z.infer<typeof physicalObjectSchema>;
export type PhysicalManifest = z.infer<typeof physicalManifestSchema>;

/** Throws `ManifestInvalid` naming the first field that is not as it should be. */
export function parsePhysicalManifest(text: string, key: string): PhysicalManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PgdrError('ManifestInvalid', `${key} is not JSON`, { cause });
  }
  const result = physicalManifestSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PgdrError('ManifestInvalid', `${key}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const manifest = result.data;
  checkPlace(manifest, key);
  if (parseLsn(manifest.stopLsn) < parseLsn(manifest.startLsn)) {
    throw new PgdrError('ManifestInvalid', `${key}: the backup stops before it starts`);
  }
  return manifest;
}
