import type { TocEntry } from './archive-toc.ts';
import { PgdrError } from './errors.ts';
import type { DatabaseBackup, ManifestObject } from './manifest.ts';
import { type Selection, select } from './restore-selection.ts';
import { parseRelation, relationKey } from './sql-statements.ts';

/** What a restore will fetch and make, known from the manifest and the table of contents of the schema's archive. */
export interface RestorePlan {
  readonly scope: 'database' | 'schemas' | 'tables';
  readonly schemaOnly: boolean;
  /** null: everything in the archives. */
  readonly selection: Selection | null;
  /** Tables whose rows are restored, as the manifest names them. */
  readonly tables: readonly string[];
  /** Objects that are read: definitions and roles, then data, the largest first. */
  readonly objects: readonly ManifestObject[];
  readonly data: readonly ManifestObject[];
  /** What belongs to the selection and cannot come back with it alone. */
  readonly omitted: readonly Omission[];
}

export interface Omission {
  readonly what: string;
  readonly why: string;
}

export interface Wanted {
  readonly tables: readonly string[];
  readonly schemas: readonly string[];
  readonly schemaOnly: boolean;
}

/** Throws `TableNotInBackup` or `RequestInvalid`. `toc` is that of the object with the role `schema`. */
export function planRestore(manifest: DatabaseBackup, toc: readonly TocEntry[], wanted: Wanted): RestorePlan {
  const { tables, schemas, schemaOnly } = wanted;
  const whole = tables.length === 0 && schemas.length === 0;
  const withRows = new Set(manifest.tables.flatMap(({ relation }) => keyOf(relation) ?? []));
  const selection = whole
    ? null
    : select(toc, {
        tables: tables.map((name) => findTable(toc, name)),
        schemas: schemas.map(existing(toc)),
        withRows,
      });
  const chosen = schemaOnly
    ? []
    : manifest.tables.filter(({ relation }) => selection === null || selection.tables.has(keyOf(relation) ?? ''));
  const data = schemaOnly ? [] : dataOf(manifest, selection === null ? null : chosen);
  return {
    scope: whole ? 'database' : tables.length > 0 ? 'tables' : 'schemas',
    schemaOnly,
    selection,
    tables: chosen.map(({ relation }) => relation),
    objects: [objectOf(manifest, 'globals'), objectOf(manifest, 'schema'), ...data],
    data,
    omitted: (selection?.omitted ?? []).map(({ what, why }) => ({ what, why })),
  };
}

/** The one object of a role. Throws `ManifestInvalid` when the manifest lists none. */
export function objectOf(manifest: Pick<DatabaseBackup, 'objects'>, role: ManifestObject['role']): ManifestObject {
  const object = manifest.objects.find((o) => o.role === role);
  if (!object) throw new PgdrError('ManifestInvalid', `the manifest lists no ${role} object`);
  return object;
}

/** The objects with these tables' rows (null: with all data), the largest first. Tables without rows need none. */
function dataOf(
  manifest: DatabaseBackup,
  tables: readonly { relation: string; rows: string }[] | null,
): ManifestObject[] {
  const own = manifest.objects.filter((o) => o.role === 'table');
  let needed: ManifestObject[];
  if (tables === null) needed = [...own, objectOf(manifest, 'main')];
  else {
    const filled = tables.filter(({ rows }) => rows !== '0').map(({ relation }) => relation);
    needed = own.filter((o) => filled.includes(o.relation ?? ''));
    if (needed.length < filled.length) needed.push(objectOf(manifest, 'main'));
  }
  return needed.sort((a, b) => b.rawBytes - a.rawBytes);
}

/**
 * The entries of a data archive that a plan restores; null when that is all of them. The object of one table also
 * holds the values of its sequences, but of the time when it was stored: later backups may refer to the same object.
 */
export function dataEntries(toc: readonly TocEntry[], plan: RestorePlan, object: ManifestObject): number[] | null {
  const own = object.role === 'table' ? keyOf(object.relation ?? '') : undefined;
  if (own !== undefined) return ids(toc, (entry) => entry.kind === 'TABLE DATA' && key(entry) === own);
  const { selection } = plan;
  if (selection === null) return null;
  return ids(
    toc,
    (entry) =>
      (entry.kind === 'TABLE DATA' && selection.tables.has(key(entry))) ||
      (entry.kind === 'SEQUENCE SET' && selection.sequences.has(key(entry))),
  );
}

const ids = (toc: readonly TocEntry[], chosen: (entry: TocEntry) => boolean): number[] =>
  toc.filter(chosen).map(({ id }) => id);

const key = ({ schema, tag }: TocEntry): string => relationKey({ schema, name: tag });

/** A relation of a manifest as a key; undefined for what is not one (large objects have a name of their own). */
function keyOf(relation: string): string | undefined {
  const parsed = parseRelation(relation);
  return parsed && relationKey(parsed);
}

function findTable(toc: readonly TocEntry[], text: string): TocEntry {
  const relation = parseRelation(text);
  if (!relation) throw new PgdrError('RequestInvalid', `${text} is not of the form schema.table`);
  const named = toc.filter((entry) => entry.schema === relation.schema && entry.tag === relation.name);
  const table = named.find(({ kind }) => kind === 'TABLE' || kind === 'FOREIGN TABLE');
  if (table) return table;
  const other = named.find(({ kind }) => /^(VIEW|MATERIALIZED VIEW|SEQUENCE)$/.test(kind));
  const hint = other ? `, but a ${other.kind.toLowerCase()}: restore its schema` : '';
  throw new PgdrError('TableNotInBackup', `${text} is no table of this backup${hint}`);
}

const existing =
  (toc: readonly TocEntry[]) =>
  (name: string): string => {
    if (toc.some((entry) => entry.schema === name || (entry.kind === 'SCHEMA' && entry.tag === name))) return name;
    throw new PgdrError('TableNotInBackup', `there is no schema ${name} in this backup`);
  };
