import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { selectionSchema } from './selection.ts';

/** How Fargate runs a job, and for how long. */
export const taskSettingsSchema = z.object({
  /** CPU units and MiB, as Fargate takes them. */
  cpu: z.string(),
  memory: z.string(),
  storageGiB: z.number().int(),
  timeoutSeconds: z.number().int(),
  heartbeatSeconds: z.number().int(),
});

/**
 * What a workflow knows of one database: written by its database stack into the SSM parameter
 * `/{system}/databases/{database}`, read by the state machine's first state and handed to tasks.
 * It holds names, never secrets, and stays small: container overrides take 8,192 characters in all.
 */
export const settingsSchema = z.object({
  schemaVersion: z.literal(1),
  system: z.string(),
  database: z.string(),
  lineage: z.string(),
  /** PostgreSQL major of the server. */
  version: z.number().int(),
  /** Name of the Secrets Manager secret: {host, port, username, password, dbname, sslmode?, sslrootcert?}. */
  secret: z.string(),
  bucket: z.string(),
  /** Of a bucket that others may have written over: the first version of a key is the true one. Absent: the newest. */
  firstVersions: z.boolean().optional(),
  /** Family of the task definition whose image holds this major's tools. */
  taskDefinition: z.string(),
  /** The one for restore tests, of the same major or, as a check before an upgrade, of a newer one. */
  restoreTaskDefinition: z.string(),
  /** Roles that the tasks of this database run as; each may touch this database's secret and keys alone. */
  backupRoleArn: z.string(),
  restoreRoleArn: z.string(),
  recoverRoleArn: z.string(),
  logical: z.object({
    /** Databases of the server; null is the one of the secret. */
    databases: z.literal('all').or(z.array(z.string()).min(1)).nullable(),
    /** What is taken of each; absent: everything. */
    select: selectionSchema.optional(),
    /** How many of the largest tables get a stream and an object of their own. */
    ownStreams: z.number().int().min(0),
    /** How many streams run at a time. */
    concurrency: z.number().int().min(1),
    zstdLevel: z.number().int().min(1).max(19),
    lockTimeoutSeconds: z.number().int().min(1),
    /** A table that has not changed refers to the object of an earlier backup up to this age; 0 stores all anew. */
    reuseSeconds: z.number().int().min(0),
    /** Alias of the key that everything is encrypted with before it is stored; without it, S3's own encryption alone. */
    clientKey: z.string().optional(),
    /** Kinds of content that may be left out: see lib/postgres/preflight.ts. */
    allowSkipped: z.array(z.string()),
  }),
  restoreTest: z.object({
    /** SQL that must be true of a restored database: one statement each, one boolean. Of every one, or of one alone. */
    assertions: z.array(z.string().or(z.object({ database: z.string(), sql: z.string() }))),
  }),
  /** Size and patience of the tasks; the state machines read them. */
  tasks: z.object({ backup: taskSettingsSchema, restore: taskSettingsSchema, recover: taskSettingsSchema }),
  /** Servers that restores may write to beside the database's own: their secrets, and tools of their major. */
  restore: z.object({ targets: z.array(z.object({ secret: z.string(), taskDefinition: z.string() })) }),
  /** Object Lock of every object of a backup, counted from its start. */
  lock: z.object({ mode: z.enum(['GOVERNANCE', 'COMPLIANCE']), seconds: z.number().int().positive() }),
  objectives: z.object({ rpoSeconds: z.number(), rtoSeconds: z.number() }),
});

export type DatabaseSettings = z.infer<typeof settingsSchema>;

/** What must be true of this database of the server. */
export const assertionsOf = ({ restoreTest }: Pick<DatabaseSettings, 'restoreTest'>, database: string): string[] =>
  restoreTest.assertions.flatMap((assertion) => {
    if (typeof assertion === 'string') return [assertion];
    return assertion.database === database ? [assertion.sql] : [];
  });

/** Throws `SettingsInvalid` with the first field that is wrong. */
export function parseSettings(value: unknown): DatabaseSettings {
  const result = settingsSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PgdrError('SettingsInvalid', `settings.${issue?.path.join('.')}: ${issue?.message}`);
  }
  return result.data;
}
