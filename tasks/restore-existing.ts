import type { Client } from 'pg';
import type { TocEntry } from '../lib/core/archive-toc.ts';

/** How a database that exists compares with entries of an archive. */

const relations = /^(TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE)$/;

/** For each kind of object, whether one of the entry's name is there: $1 is its schema, $2 its tag. */
const questions: Readonly<Record<string, string>> = {
  SCHEMA: 'EXISTS (SELECT FROM pg_namespace WHERE nspname = $2 AND $1::text IS NOT NULL)',
  EXTENSION: 'EXISTS (SELECT FROM pg_extension WHERE extname = $2 AND $1::text IS NOT NULL)',
  TYPE: "to_regtype(format('%I.%I', $1::text, $2::text)) IS NOT NULL",
  COLLATION: `EXISTS (SELECT FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
                       WHERE n.nspname = $1 AND c.collname = $2)`,
  RELATION: "to_regclass(format('%I.%I', $1::text, $2::text)) IS NOT NULL",
  // The tag of a function is its signature: name(type, type).
  FUNCTION: `to_regprocedure(format('%I.%I', $1::text, split_part($2::text, '(', 1))
                             || substr($2::text, strpos($2::text, '('))) IS NOT NULL`,
};

function questionFor({ kind }: TocEntry): string | undefined {
  if (relations.test(kind)) return questions.RELATION;
  if (kind === 'DOMAIN' || kind === 'SHELL TYPE') return questions.TYPE;
  if (kind === 'PROCEDURE' || kind === 'AGGREGATE') return questions.FUNCTION;
  return questions[kind];
}

async function isThere(client: Client, entry: TocEntry): Promise<boolean | undefined> {
  const question = questionFor(entry);
  if (!question) return undefined;
  const { rows } = await client.query(`SELECT ${question} AS there`, [entry.schema, entry.tag]);
  return rows[0].there;
}

/** Entries that would make what is there already: relations, and schemas to be restored as a whole. */
export async function findConflicts(client: Client, chosen: readonly TocEntry[]): Promise<TocEntry[]> {
  const found: TocEntry[] = [];
  for (const entry of chosen) {
    if ((relations.test(entry.kind) || entry.kind === 'SCHEMA') && (await isThere(client, entry))) found.push(entry);
  }
  return found;
}

/**
 * Of what the selection cannot be made without, that which is not there, with what belongs to it. Kinds that cannot be
 * looked for are taken to be there; where they are not, the transaction fails and says so.
 */
export async function findMissing(client: Client, needed: readonly TocEntry[]): Promise<TocEntry[]> {
  const missing = new Set<TocEntry>();
  const ids = new Set<number>();
  const add = (entry: TocEntry) => {
    missing.add(entry);
    ids.add(entry.id);
  };
  for (const entry of needed) if ((await isThere(client, entry)) === false) add(entry);
  // Twice: an index of a missing table has a comment.
  for (let pass = 0; pass < 2; pass++) {
    for (const entry of needed) {
      if (!questionFor(entry) && entry.dependencies.some((id) => ids.has(id))) add(entry);
    }
  }
  return [...missing];
}
