import type { TocEntry } from './archive-toc.ts';
import type { DataObject } from './restore-plan.ts';
import { parseRelation, quoteIdentifier, relationKey } from './sql-statements.ts';

/**
 * In which order a database is filled: a table's indexes are built as soon as its rows are there, while the data of
 * others still streams; what takes longest to its end begins first.
 */
export interface RestoreStep {
  readonly kind: 'data' | 'indexes';
  readonly object: DataObject;
  /** Entries of the definitions' archive. */
  readonly indexes: readonly number[];
}

export interface Schedule {
  readonly steps: {
    /** The step to begin now; undefined when only steps that others are at may bring more. */
    next(): RestoreStep | undefined;
    done(step: RestoreStep): void;
  };
  /** What is left of the wanted entries after all steps: foreign keys, triggers, indexes of small tables, … */
  readonly remaining: readonly number[];
}

/** `wanted` are entries of `toc`, that of the definitions' archive; those before the data are made already. */
export function scheduleRestore(
  data: readonly DataObject[],
  toc: readonly TocEntry[],
  wanted: readonly number[],
): Schedule {
  const indexes = indexesByTable(toc, new Set(wanted));
  const stepFor = (object: DataObject): RestoreStep => {
    const relation = parseRelation(object.relation ?? '');
    return { kind: 'data', object, indexes: (relation && indexes.get(relationKey(relation))) ?? [] };
  };
  const waiting = data.map(stepFor);
  const early = new Set(waiting.flatMap((step) => step.indexes));
  const add = (step: RestoreStep): void => {
    waiting.push(step);
    waiting.sort((a, b) => weightOf(b) - weightOf(a));
  };
  waiting.sort((a, b) => weightOf(b) - weightOf(a));
  return {
    steps: {
      next: () => waiting.shift(),
      done: (step) => {
        if (step.kind === 'data' && step.indexes.length > 0) add({ ...step, kind: 'indexes' });
      },
    },
    remaining: wanted.filter((id) => !early.has(id)),
  };
}

/** Roughly, what has yet to be done for the table: an index costs about a fifth of loading the rows. */
const weightOf = ({ kind, object, indexes }: RestoreStep): number =>
  object.rawBytes * ((kind === 'data' ? 1 : 0) + indexes.length / 5);

/** Indexes and the constraints that are made of one, where they need one table and nothing else that comes late. */
function indexesByTable(toc: readonly TocEntry[], wanted: ReadonlySet<number>): Map<string, number[]> {
  const byId = new Map(toc.map((entry) => [entry.id, entry]));
  const found = new Map<string, number[]>();
  for (const entry of toc) {
    if (!wanted.has(entry.id) || entry.section !== 'post-data' || !/^(INDEX|CONSTRAINT)$/.test(entry.kind)) continue;
    // What is not in the archive is PostgreSQL's own.
    const needs = entry.dependencies.flatMap((id) => byId.get(id) ?? []);
    const tables = needs.filter(({ kind }) => kind === 'TABLE');
    const [table] = tables;
    if (!table || tables.length > 1 || needs.some(({ section }) => section === 'post-data')) continue;
    const key = keyOf(table);
    found.set(key, [...(found.get(key) ?? []), entry.id]);
  }
  return found;
}

const keyOf = ({ schema, tag }: TocEntry): string => relationKey({ schema, name: tag });

/**
 * COPY for tables that this restore has just made. To truncate an empty table changes nothing but that its file is of
 * the same transaction (statements that are sent together are one): under `wal_level = minimal` its rows then need no
 * WAL, and they can be frozen, which spares every later reader the look at who wrote them. Tables of extensions, which
 * may have rows already, and rows that go in by way of a partitioned table, keep their statement.
 */
export function copyIntoFresh(definitions: readonly TocEntry[]): (entry: TocEntry, statement: string) => string {
  const made = new Set(definitions.filter(({ kind }) => kind === 'TABLE').map(keyOf));
  return (entry, statement) => {
    const [, target = '', rest] = copyStatement.exec(statement) ?? [];
    const relation = parseRelation(target);
    const itself = relation !== undefined && relationKey(relation) === keyOf(entry) && made.has(keyOf(entry));
    if (!itself) return statement;
    const table = `${quoteIdentifier(entry.schema)}.${quoteIdentifier(entry.tag)}`;
    return `TRUNCATE ONLY ${table}; COPY ${target} ${rest}FROM stdin WITH (FREEZE);\n`;
  };
}

const copyStatement = /^COPY ((?:"(?:[^"]|"")+"|[^".\s]+)\.(?:"(?:[^"]|"")+"|[^".\s]+)) (.*)FROM stdin;\n$/s;
