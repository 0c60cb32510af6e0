import { z } from 'zod';
import { PgdrError } from './errors.ts';

/**
 * What the fields of manifests are made of. Whoever can write to the bucket can write a manifest, and what it says goes
 * into SQL, paths and calculations: nothing that is not exactly of the form is taken.
 */

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
export const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);
export const decimal = z.string().regex(/^-?\d{1,40}$/);
export const oid = z.string().regex(/^\d{1,10}$/);

/** RFC 3339, microseconds where PostgreSQL gave them. */
export const timestamp = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/)
  .refine((text) => !Number.isNaN(Date.parse(text)), { error: 'no such time' });

/** `schema.name` as PostgreSQL's quote_ident writes both: bare where that is safe, else in double quotes. */
export const qualifiedName = z
  .string()
  .regex(/^(?:[a-z_][a-z0-9_]*|"(?:[^"\0]|"")+")\.(?:[a-z_][a-z0-9_]*|"(?:[^"\0]|"")+")$/);

/** Name of a setting of the server. */
export const settingName = z.string().regex(/^[a-z_]{1,63}$/);

interface Placed {
  readonly id: string;
  readonly system: string;
  readonly database: string;
  readonly lineage: string;
  readonly objects: readonly { readonly key: string }[];
}

/** A manifest that was copied below another backup, or that names objects of another database, is not believed. */
export function checkPlace({ id, system, database, lineage, objects }: Placed, key: string): void {
  if (!key.endsWith('/manifest.json')) return;
  const [of, ...folders] = [`${system}/${database}/${lineage}/`, ...key.split('/').slice(0, -1)];
  if (!key.startsWith(of) || folders.at(-1) !== id) {
    throw new PgdrError('ManifestInvalid', `${key} is the manifest of backup ${id} of ${of}`);
  }
  const foreign = objects.find((object) => !object.key.startsWith(`${system}/${database}/`));
  if (foreign) throw new PgdrError('ManifestInvalid', `${key} names ${foreign.key}, which is not of this database`);
}
