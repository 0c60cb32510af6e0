import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { recoveryTargetSchema } from './recovery-target.ts';

/** What an operator asks of a restore: the input of the workflow, beside the database. Absent is null. */

/** A name that a PostgreSQL server would cut short is not what was asked for. */
const identifier = z
  .string()
  .min(1)
  .refine((name) => Buffer.byteLength(name) <= 63 && !name.includes('\0'), { error: 'longer than 63 bytes' });

export const restoreRequestSchema = z.strictObject({
  /** null: the newest. */
  backupId: z.string().nullable().default(null),
  /** A point in time of the whole server, recovered from a base backup and WAL; null: what a logical backup holds. */
  at: recoveryTargetSchema.nullable().default(null),
  /** Which database of the backup; null: the only one. */
  fromDatabase: z.string().nullable().default(null),
  /** `schema.name`; with their indexes, constraints, triggers, policies, comments, grants and sequences. */
  tables: z.array(z.string()).default([]),
  schemas: z.array(z.string()).default([]),
  /** Definitions without rows. */
  schemaOnly: z.boolean().default(false),
  /** null: a new one, {@link newDatabaseName}. */
  toDatabase: identifier.nullable().default(null),
  /** Another name for the one schema that is restored. */
  toSchema: identifier.nullable().default(null),
  /** Name of the secret of another server, one of those that the configuration allows. */
  targetSecret: z.string().nullable().default(null),
  /** The name of the target database, typed: its data may be replaced. */
  overwrite: z.string().nullable().default(null),
});

export type RestoreRequest = z.output<typeof restoreRequestSchema>;

/**
 * A task's overrides hold 8,192 characters, the settings of the database and the task token among them:
 * https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
 */
const mostCharacters = 1500;

/** Throws `RequestInvalid` with what is wrong. */
export function parseRestoreRequest(value: unknown): RestoreRequest {
  const result = restoreRequestSchema.safeParse(value);
  if (!result.success) {
    const [{ path, message } = { path: [], message: 'not a request' }] = result.error.issues;
    const given = path.reduce<unknown>((part, key) => (part as Record<PropertyKey, unknown> | undefined)?.[key], value);
    throw invalid(`${path.length > 0 ? `${path.join('.')} ${JSON.stringify(given)}: ` : ''}${message}`);
  }
  const request = result.data;
  if (JSON.stringify(request).length > mostCharacters) {
    throw invalid(`it names too much (${mostCharacters} characters); restore a schema, or several times`);
  }
  if (request.at !== null && request.backupId !== null) {
    throw invalid('a point in time (at) chooses its own backup: leave out backupId');
  }
  if (request.toSchema !== null && request.tables.length === 0 && request.schemas.length !== 1) {
    throw invalid('another schema name needs one schema, or tables of one schema');
  }
  return request;
}

const invalid = (what: string) => new PgdrError('RequestInvalid', what);

/** `orders_restored_20261121_020000`, short enough for PostgreSQL. */
export function newDatabaseName(source: string, at: Date): string {
  const suffix = `_restored_${at
    .toISOString()
    .replace(/[-:]|\.\d+Z/g, '')
    .replace('T', '_')}`;
  return `${shorten(source, 63 - suffix.length)}${suffix}`;
}

/** Cut to so many bytes, between characters. */
export function shorten(name: string, bytes: number): string {
  let short = name;
  while (Buffer.byteLength(short) > bytes) short = [...short].slice(0, -1).join('');
  return short;
}
