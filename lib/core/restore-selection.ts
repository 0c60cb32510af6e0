import type { TocEntry } from './archive-toc.ts';
import { relationKey } from './sql-statements.ts';

/**
 * Which entries of an archive bring back some of its tables or schemas, complete: `pg_restore --table` alone would
 * leave indexes, constraints, triggers, policies, comments, grants and sequences behind.
 */
export interface Selection {
  /** What was asked for with all that belongs to it, in the archive's order. */
  readonly chosen: readonly TocEntry[];
  /** What that cannot be made without (types, functions, extensions, parents), and what belongs to these. */
  readonly needed: readonly TocEntry[];
  /**
   * The other extensions with their schemas, for a database that has none: an archive does not say that a constraint
   * needs an operator class.
   */
  readonly extensions: readonly TocEntry[];
  /** Keys ({@link relationKey}) of tables whose rows come back, and of sequences with their values. */
  readonly tables: ReadonlySet<string>;
  readonly sequences: ReadonlySet<string>;
  /** Materialized views to be filled. */
  readonly materializedViews: ReadonlySet<string>;
  /** What belongs to the selection but needs a table beside it. */
  readonly omitted: readonly { entry: TocEntry; what: string; why: string }[];
}

export interface Asked {
  readonly tables: readonly TocEntry[];
  readonly schemas: readonly string[];
  /** Keys of the tables that hold rows: a partitioned table does not, its partitions do. */
  readonly withRows: ReadonlySet<string>;
}

/** Settings at the head of every archive. */
const preamble = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);
/** What follows any object. */
const remarks = new Set(['COMMENT', 'ACL', 'SECURITY LABEL']);
/** What belongs to the table that it depends on. */
const parts = new Set(['INDEX', 'SEQUENCE', 'SEQUENCE OWNED BY', 'STATISTICS', 'STATISTICS DATA', 'INDEX ATTACH']);
/** The same, where other tables may be depended on too: the tag begins with the table's name. */
const namedParts = new Set([
  'CONSTRAINT',
  'CHECK CONSTRAINT',
  'FK CONSTRAINT',
  'TRIGGER',
  'POLICY',
  'RULE',
  'DEFAULT',
  'ROW SECURITY',
  'TABLE ATTACH',
]);
/** What a whole schema brings is all but these: they belong to the database, or come by what they depend on. */
const notOfSchema = /^(PUBLICATION|SUBSCRIPTION|EVENT TRIGGER|DATABASE)/;

const keyOf = ({ schema, tag }: TocEntry): string => relationKey({ schema, name: tag });
const holdsRows = (entry: TocEntry): boolean => entry.kind === 'TABLE' || entry.kind === 'MATERIALIZED VIEW';

export function select(toc: readonly TocEntry[], asked: Asked): Selection {
  const byId = new Map(toc.map((entry) => [entry.id, entry]));
  const users = new Map<number, TocEntry[]>();
  for (const entry of toc) {
    for (const id of new Set(entry.dependencies)) {
      const known = users.get(id);
      if (known) known.push(entry);
      else users.set(id, [entry]);
    }
  }
  /** The entries that need this one themselves. */
  const usersOf = ({ id }: TocEntry): readonly TocEntry[] => users.get(id) ?? [];
  const dependenciesOf = (entry: TocEntry) => entry.dependencies.flatMap((id) => byId.get(id) ?? []);
  /** All that an entry needs, directly or not. */
  const closure = memoized((entry: TocEntry) => {
    const found = new Set<TocEntry>();
    const open = [entry];
    for (let next = open.pop(); next; next = open.pop()) {
      for (const dependency of dependenciesOf(next)) {
        if (found.has(dependency)) continue;
        found.add(dependency);
        open.push(dependency);
      }
    }
    return found;
  });

  const ofSchema = toc.filter(
    (entry) =>
      (asked.schemas.includes(entry.schema) && !notOfSchema.test(entry.kind)) ||
      (entry.kind === 'SCHEMA' && asked.schemas.includes(entry.tag)),
  );
  const roots = new Set<TocEntry>(asked.tables);
  for (const entry of ofSchema) if (entry.kind === 'TABLE' || entry.kind === 'FOREIGN TABLE') roots.add(entry);
  for (const entry of roots) {
    for (const partition of partitionsOf(entry, usersOf(entry), byId, asked.withRows)) roots.add(partition);
    // A sequence that the table owns lives and dies with it.
    for (const other of usersOf(entry)) if (other.kind === 'SEQUENCE') roots.add(other);
  }

  const chosen = new Set(roots);
  const needed = new Set<TocEntry>();
  const need = (entry: TocEntry) => {
    for (const dependency of closure(entry)) if (!chosen.has(dependency)) needed.add(dependency);
  };
  for (const root of roots) need(root);
  // A partition comes with the head that it is part of: its primary key belongs to the head's.
  for (const part of [...chosen, ...needed]) {
    for (const head of headsOf(part, usersOf, byId)) {
      if (!chosen.has(head)) needed.add(head);
      need(head);
    }
  }

  const has = (entry: TocEntry) => chosen.has(entry) || needed.has(entry);
  const omitted = new Map<TocEntry, string>();
  /** What an entry would pull in that was not asked for and would come back without its rows. */
  const missing = (entry: TocEntry) => {
    const absent = [...closure(entry)].filter((other) => !has(other));
    return absent.find(holdsRows) ?? absent.find(({ kind }) => kind === 'INDEX' || kind === 'CONSTRAINT');
  };
  const add = (entry: TocEntry, to: Set<TocEntry>): boolean => {
    const without = missing(entry);
    if (without) {
      omitted.set(entry, `it needs ${describeEntry(without)}, which is not restored`);
      return false;
    }
    omitted.delete(entry);
    to.add(entry);
    need(entry);
    return true;
  };

  for (const entry of ofSchema) {
    if (needed.delete(entry)) chosen.add(entry);
    else if (!chosen.has(entry) && !remarks.has(entry.kind)) add(entry, chosen);
  }
  // What belongs to something may have something that belongs to it: an index has a comment.
  for (let moved = true; moved; ) {
    moved = false;
    for (const entry of toc) {
      if (has(entry)) continue;
      const owner = ownerOf(entry, dependenciesOf(entry).filter(has), asked.withRows, chosen);
      if (owner && add(entry, chosen.has(owner) ? chosen : needed)) moved = true;
    }
  }

  const extensions = new Set<TocEntry>();
  for (const entry of toc.filter(({ kind }) => kind === 'EXTENSION')) {
    for (const each of [entry, ...closure(entry)]) if (!has(each)) extensions.add(each);
  }

  const inOrder = (entries: ReadonlySet<TocEntry>) => toc.filter((entry) => entries.has(entry));
  const keysOf = (kind: string, entries: Iterable<TocEntry>) =>
    new Set([...entries].filter((entry) => entry.kind === kind).map(keyOf));
  return {
    chosen: toc.filter((entry) => chosen.has(entry) || preamble.has(entry.kind)),
    needed: inOrder(needed),
    extensions: inOrder(extensions),
    tables: new Set([...keysOf('TABLE', chosen)].filter((key) => asked.withRows.has(key))),
    sequences: new Set([...keysOf('SEQUENCE', chosen), ...keysOf('SEQUENCE', needed)]),
    materializedViews: keysOf('MATERIALIZED VIEW', chosen),
    omitted: toc
      .filter((entry) => omitted.has(entry) && !dependenciesOf(entry).some((other) => omitted.has(other)))
      .map((entry) => ({ entry, what: describeEntry(entry), why: omitted.get(entry) as string })),
  };
}

/** Partitions come with the table that they are part of, for it holds no rows of its own. */
function partitionsOf(
  parent: TocEntry,
  children: readonly TocEntry[],
  byId: ReadonlyMap<number, TocEntry>,
  withRows: ReadonlySet<string>,
): TocEntry[] {
  if (parent.kind !== 'TABLE' || withRows.has(keyOf(parent))) return [];
  const attached = children
    .filter(({ kind }) => kind === 'TABLE ATTACH')
    .flatMap((attach) => attach.dependencies.map((id) => byId.get(id)))
    .filter((entry): entry is TocEntry => entry !== undefined && entry !== parent && entry.kind.endsWith('TABLE'));
  // PostgreSQL 13 attaches a partition where it makes it.
  return attached.length > 0 ? attached : children.filter(({ kind }) => kind === 'TABLE');
}

/** The tables above a partition, up to the one that is no partition itself. */
function headsOf(
  part: TocEntry,
  usersOf: (entry: TocEntry) => readonly TocEntry[],
  byId: ReadonlyMap<number, TocEntry>,
): TocEntry[] {
  if (part.kind !== 'TABLE') return [];
  const attach = usersOf(part).find(
    ({ kind, schema, tag }) => kind === 'TABLE ATTACH' && schema === part.schema && tag === part.tag,
  );
  const head = attach?.dependencies.map((id) => byId.get(id)).find((entry) => entry && entry !== part);
  return head ? [head, ...headsOf(head, usersOf, byId)] : [];
}

/** The restored entry that this one belongs to, if any. */
function ownerOf(
  entry: TocEntry,
  restored: readonly TocEntry[],
  withRows: ReadonlySet<string>,
  chosen: ReadonlySet<TocEntry>,
): TocEntry | undefined {
  if (remarks.has(entry.kind)) return restored[0];
  // Of a table that is only needed, the parts are left out, unless it is the head of partitions and has no rows.
  const complete = restored.filter(
    (owner) =>
      chosen.has(owner) || owner.kind === 'SEQUENCE' || (owner.kind === 'TABLE' && !withRows.has(keyOf(owner))),
  );
  if (entry.kind === 'INDEX ATTACH') return restored.length === entry.dependencies.length ? complete[0] : undefined;
  if (parts.has(entry.kind)) return complete.find((owner) => /TABLE|MATERIALIZED VIEW|SEQUENCE|INDEX/.test(owner.kind));
  if (!namedParts.has(entry.kind)) return undefined;
  return complete.find(
    (owner) => /TABLE|VIEW/.test(owner.kind) && (entry.tag === owner.tag || entry.tag.startsWith(`${owner.tag} `)),
  );
}

/** `table public.orders`, `schema sales`. */
export const describeEntry = ({ kind, schema, tag }: TocEntry): string =>
  `${kind.toLowerCase()} ${schema ? `${schema}.` : ''}${tag}`;

function memoized<A, R>(work: (argument: A) => R): (argument: A) => R {
  const known = new Map<A, R>();
  return (argument) => {
    const before = known.get(argument);
    if (before !== undefined) return before;
    const result = work(argument);
    known.set(argument, result);
    return result;
  };
}
