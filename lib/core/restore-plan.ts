import type { TocEntry } from './archive-toc.ts';
import { PgdrError } from './errors.ts';
import type { DatabaseBackup, ManifestObject } from './manifest.ts';
import { describeEntry, type Selection, select } from './restore-selection.ts';
import { describeSelection } from './selection.ts';
import { parseRelation, relationKey } from './sql-statements.ts';

/** What a restore will fetch and make, known from the manifest and the table of contents of the schema's archive. */
export interface RestorePlan {
  readonly scope: 'database' | 'schemas' | 'tables';
  readonly schemaOnly: boolean;
  /** What a backup of a part is limited to, in words; null: it is of everything. */
  readonly partial: string | null;
  /** Entries of the definitions that a restore of everything makes; null: all of them. */
  readonly entries: readonly number[] | null;
  /** null: everything in the archives. */
  readonly selection: Selection | null;
  /** Tables whose rows are restored, as the manifest names them. */
  readonly tables: readonly string[];
  /** Objects that are read: definitions and roles, then data, the largest first. */
  readonly objects: readonly ManifestObject[];
  readonly data: readonly DataObject[];
  /** What belongs to the selection and cannot come back with it alone. */
  readonly omitted: readonly Omission[];
}

/** An archive of rows: its first object, and all that it consists of, in order; the sizes are those of the whole. */
export interface DataObject extends ManifestObject {
  readonly volumes: readonly ManifestObject[];
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
export function planRestore(manifest: DatabaseBackup, archive: readonly TocEntry[], wanted: Wanted): RestorePlan {
  const { selection: part } = manifest;
  const schemaOnly = wanted.schemaOnly || (part?.asked.schemaOnly ?? false);
  const asked = wanted.tables.length > 0 || wanted.schemas.length > 0;
  // What a backup includes is what a restore of it brings, unless a part of that is asked for.
  const { tables, schemas } = asked ? wanted : (part?.included ?? wanted);
  const whole = !asked && !part?.included;
  const left = entriesLeftOut(archive, part?.leftOut ?? []);
  const toc = archive.filter((entry) => !left.has(entry));
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
  if (asked) requireRows(manifest, wanted, chosen);
  const data = schemaOnly ? [] : dataOf(manifest, selection === null ? null : chosen);
  return {
    scope: whole ? 'database' : tables.length > 0 ? 'tables' : 'schemas',
    schemaOnly,
    partial: describeSelection(part),
    entries: left.size > 0 ? toc.map(({ id }) => id) : null,
    selection,
    tables: chosen.map(({ relation }) => relation),
    objects: [objectOf(manifest, 'globals'), objectOf(manifest, 'schema'), ...data.flatMap(({ volumes }) => volumes)],
    data,
    omitted: [
      ...[...left].flatMap(([entry, why]) => (why === undefined ? [] : [{ what: describeEntry(entry), why }])),
      ...(selection?.omitted ?? []).map(({ what, why }) => ({ what, why })),
    ],
  };
}

/** Entries that the manifest says no restore can make, with the reason, and what is said about them, without one. */
function entriesLeftOut(
  toc: readonly TocEntry[],
  leftOut: readonly { kind: string; schema: string; tag: string; why: string }[],
): Map<TocEntry, string | undefined> {
  const found = new Map<TocEntry, string | undefined>();
  if (leftOut.length === 0) return found;
  const reasons = new Map(leftOut.map(({ kind, schema, tag, why }) => [JSON.stringify([kind, schema, tag]), why]));
  for (const entry of toc) {
    const why = reasons.get(JSON.stringify([entry.kind, entry.schema, entry.tag]));
    if (why !== undefined) found.set(entry, why);
  }
  const ids = new Set([...found.keys()].map(({ id }) => id));
  for (const entry of toc) if (entry.dependencies.some((id) => ids.has(id))) found.set(entry, found.get(entry));
  return found;
}

/**
 * Whoever asks for a table by name wants its rows, and nobody wants a schema of empty tables because the backup was one
 * of another schema. Throws `TableNotInBackup`.
 */
function requireRows(
  { selection, id }: DatabaseBackup,
  wanted: Wanted,
  chosen: readonly { readonly relation: string }[],
): void {
  if (selection === null) return;
  const expected = ({ relation }: { readonly relation: string }) => {
    const own = parseRelation(relation)?.schema ?? '';
    return wanted.tables.length > 0 || !(selection.included?.schemas.includes(own) ?? true);
  };
  const bare = chosen.filter((table) => selection.withoutRows.includes(table.relation) && expected(table));
  if (bare.length === 0) return;
  const names = bare.slice(0, 10).map(({ relation }) => relation);
  const why = `${id} was taken without the rows of ${names.join(', ')}`;
  throw new PgdrError('TableNotInBackup', `${why}; take another backup, or restore the definitions alone`);
}

/** The one object of a role. Throws `ManifestInvalid` when the manifest lists none. */
export function objectOf(manifest: Pick<DatabaseBackup, 'objects'>, role: ManifestObject['role']): ManifestObject {
  const object = manifest.objects.find((o) => o.role === role && o.volume === undefined);
  if (!object) throw new PgdrError('ManifestInvalid', `the manifest lists no ${role} object`);
  return object;
}

/** The objects with these tables' rows (null: with all data), the largest first. Tables without rows need none. */
function dataOf(manifest: DatabaseBackup, tables: readonly { relation: string; rows: string }[] | null): DataObject[] {
  const own = manifest.objects.filter((o) => o.role === 'table' && o.volume === undefined);
  let needed: ManifestObject[];
  if (tables === null) needed = [...own, objectOf(manifest, 'main')];
  else {
    const filled = tables.filter(({ rows }) => rows !== '0').map(({ relation }) => relation);
    needed = own.filter((o) => filled.includes(o.relation ?? ''));
    if (needed.length < filled.length) needed.push(objectOf(manifest, 'main'));
  }
  return needed.map((first) => withVolumes(manifest, first)).sort((a, b) => b.rawBytes - a.rawBytes);
}

/** Throws `ManifestInvalid` when a volume is missing between others; the archive itself tells when its last one is. */
function withVolumes(manifest: DatabaseBackup, first: ManifestObject): DataObject {
  const further = manifest.objects
    .filter((o) => o.role === first.role && o.relation === first.relation && o.volume !== undefined)
    .sort((a, b) => (a.volume ?? 0) - (b.volume ?? 0));
  const missing = further.findIndex(({ volume }, i) => volume !== i + 2);
  if (missing >= 0) throw new PgdrError('ManifestInvalid', `${first.key} has no volume ${missing + 2}`);
  const volumes = [first, ...further];
  const sum = (size: 'bytes' | 'rawBytes') => volumes.reduce((total, volume) => total + volume[size], 0);
  return { ...first, bytes: sum('bytes'), rawBytes: sum('rawBytes'), volumes };
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
