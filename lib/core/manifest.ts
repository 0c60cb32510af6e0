import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { checkPlace, decimal, lsn, qualifiedName, sha256, timestamp } from './manifest-fields.ts';
import { resolvedSelectionSchema } from './selection.ts';

/**
 * `manifest.json`: the commit of a backup. It is written last and once; a restore, a retention count or a metric
 * knows a backup only through it. Numbers that can pass 2^53 (system identifier, hashes) are decimal strings.
 */

export const partSchema = z.object({ bytes: z.number().int().positive(), sha256 });

export const objectSchema = z.object({
  key: z.string(),
  role: z.enum(['schema', 'main', 'table', 'globals', 'fingerprint', 'details']),
  /** The database that it is of; absent for the globals. */
  database: z.string().optional(),
  /** For `table`: the relation whose data this object holds, as `schema.name` quoted by PostgreSQL. */
  relation: qualifiedName.optional(),
  /** From 2: the object goes on with what the one before it began; see tasks/volumes.ts. */
  volume: z.number().int().min(2).optional(),
  /** Stored size, and the size before compression. */
  bytes: z.number().int().nonnegative(),
  rawBytes: z.number().int().nonnegative(),
  sha256,
  parts: z.array(partSchema),
  versionId: z.string().optional(),
  /** S3's own encryption, or `aws-encryption-sdk` where the bytes were encrypted before they came to S3. */
  encryption: z.string().optional(),
});

/** Two 64-bit sums over the rows' text; see lib/postgres/fingerprint.ts. */
export const tableFingerprintSchema = z.object({
  relation: qualifiedName,
  rows: decimal,
  hash1: decimal,
  hash2: decimal,
  /** SHA-256 over names and types of the columns, by name; empty for what has none. */
  columns: z.string(),
});

export const sequenceSchema = z.object({
  sequence: qualifiedName,
  lastValue: decimal,
  isCalled: z.boolean(),
  /** A cycling sequence may go both ways, so its values cannot be compared. */
  direction: z.enum(['up', 'down', 'cycle']),
});

/** A role without its password. Both lists are words in a fixed order: `login`, `connection limit 5`. */
export const roleSchema = z.object({
  name: z.string(),
  attributes: z.array(z.string()),
  /** Roles that it is a member of, `pg_` ones included, with what differs from a plain membership: `ops with admin`. */
  memberOf: z.array(z.string()),
});

/** Privileges on one object that differ from those it was born with: `SELECT to shop`, `no EXECUTE to PUBLIC`. */
export const grantSchema = z.object({ object: z.string(), privileges: z.array(z.string()) });

/** `ALTER DATABASE … SET` and `ALTER ROLE … [IN DATABASE …] SET`. */
export const configuredSettingSchema = z.object({ scope: z.string(), name: z.string(), value: z.string() });

/** What was amiss in the source itself when it was backed up: a faithful restore shows the same, and nothing else. */
export const defectsSchema = z.object({
  constraintsNotValidated: z.array(z.string()),
  indexesInvalid: z.array(z.string()),
  /** Sequences that would hand out a value which their column has already. */
  sequencesBehind: z.array(z.string()),
});

/** One database of the server, as its own snapshot saw it: snapshots cannot be shared across databases. */
export const databaseSchema = z.object({
  name: z.string(),
  encoding: z.string(),
  collation: z.string(),
  ctype: z.string(),
  collationVersion: z.string().nullable(),
  extensions: z.array(z.object({ name: z.string(), version: z.string() })),
  /** `transactions`: which it shows, `xmin:xmax:xip,…`; core/capture-point.ts. Backups of earlier versions lack it. */
  snapshot: z.object({
    lsn,
    takenAt: timestamp,
    transactions: z
      .string()
      .regex(/^\d+:\d+:(\d+(,\d+)*)?$/)
      .optional(),
  }),
  /** null: everything. Otherwise the backup is a partial one, and counts and lists below are of what it brings. */
  selection: resolvedSelectionSchema.nullable(),
  /** With no rows for those whose rows are left out. */
  tables: z.array(tableFingerprintSchema),
  sequences: z.array(sequenceSchema),
  /** Not in any fingerprint: a restore computes them anew. One that was never filled stays so. */
  materializedViews: z.array(z.object({ relation: qualifiedName, populated: z.boolean() })),
  /** What the source had beside tables, by kind, so that a restore can be compared: `index` → 31. */
  inventory: z.record(z.string(), z.number().int()),
  grants: z.array(grantSchema),
  /** How many objects each role owns. */
  owners: z.record(z.string(), z.number().int()),
  /** Those that hold in this database: its own and those of roles. */
  settings: z.array(configuredSettingSchema),
  defects: defectsSchema,
});

export const manifestSchema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('logical'),
  id: z.string(),
  parentId: z.string().nullable(),
  system: z.string(),
  database: z.string(),
  lineage: z.string(),
  /** Taken with a selection of its own: no daily backup, and no default of a restore. */
  adhoc: z.boolean(),
  systemIdentifier: decimal,
  serverVersionNum: z.number().int(),
  toolVersion: z.string(),
  timeline: z.number().int(),
  startLsn: lsn,
  stopLsn: lsn,
  startedAt: timestamp,
  stoppedAt: timestamp,
  /** Of the whole server, kept once as `globals`. */
  roles: z.array(roleSchema),
  databases: z.array(databaseSchema).min(1),
  /** Every object that a restore needs, those of earlier backups among them. */
  objects: z.array(objectSchema).min(1),
  /** `database` is absent for what concerns the server. */
  skipped: z.array(z.object({ database: z.string().optional(), what: z.string(), why: z.string() })),
  lockUntil: timestamp.nullable(),
  /** The content is described in the encrypted object `details` alone; see sealed-manifest.ts. */
  sealed: z.object({ tables: z.number().int() }).optional(),
});

export type ManifestPart = z.infer<typeof partSchema>;
export type ManifestObject = z.infer<typeof objectSchema>;
export type TableFingerprint = z.infer<typeof tableFingerprintSchema>;
export type SequenceState = z.infer<typeof sequenceSchema>;
export type Role = z.infer<typeof roleSchema>;
export type Grant = z.infer<typeof grantSchema>;
export type ConfiguredSetting = z.infer<typeof configuredSettingSchema>;
export type Defects = z.infer<typeof defectsSchema>;
export type DatabaseRecord = z.infer<typeof databaseSchema>;
export type Manifest = z.infer<typeof manifestSchema>;

/** One database with what it takes from the whole: all that a restore or a proof of it needs to know. */
export interface DatabaseBackup extends DatabaseRecord, Pick<Manifest, 'id' | 'serverVersionNum' | 'roles'> {
  /** Its own, and the globals. */
  readonly objects: readonly ManifestObject[];
}

/** Parses a manifest; throws `ManifestInvalid` naming the first field that is not as it should be. */
export function parseManifest(text: string, key: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PgdrError('ManifestInvalid', `${key} is not JSON`, { cause });
  }
  const result = manifestSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PgdrError('ManifestInvalid', `${key}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  checkPlace(result.data, key);
  return result.data;
}

/** One database of a backup; undefined when the backup has none of this name. */
export function databaseOf(manifest: Manifest, name: string): DatabaseBackup | undefined {
  const database = manifest.databases.find((d) => d.name === name);
  if (!database) return undefined;
  const { id, serverVersionNum, roles } = manifest;
  const objects = manifest.objects.filter((o) => o.database === undefined || o.database === name);
  return { id, serverVersionNum, roles, ...database, objects };
}

/** Every database of a backup, in the order in which they were taken. */
export const databasesOf = (manifest: Manifest): DatabaseBackup[] =>
  manifest.databases.flatMap(({ name }) => databaseOf(manifest, name) ?? []);

/** The moment from which on writes may be missing: that of the first snapshot. */
export const takenAt = ({ databases }: Manifest): string =>
  databases.map(({ snapshot }) => snapshot.takenAt).reduce((a, b) => (a < b ? a : b));

/** Tables of all databases, even where the manifest does not say which. */
export const countTables = ({ databases, sealed }: Manifest): number =>
  sealed?.tables ?? databases.reduce((sum, { tables }) => sum + tables.length, 0);

/** `server_version_num` as people write it: 150018 → 15.18. */
export const versionText = (serverVersionNum: number): string =>
  `${Math.floor(serverVersionNum / 10_000)}.${serverVersionNum % 10_000}`;

/** Stored bytes of the whole backup, the manifest itself aside. */
export const backupBytes = (manifest: { readonly objects: readonly { readonly bytes: number }[] }): number =>
  manifest.objects.reduce((sum, o) => sum + o.bytes, 0);

/** Bytes before compression. */
export const backupRawBytes = (manifest: Manifest): number => manifest.objects.reduce((sum, o) => sum + o.rawBytes, 0);
