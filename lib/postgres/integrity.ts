import type { Client } from 'pg';
import type { Defects } from '../core/manifest.ts';
import { ownSchemas } from './catalog.ts';
import { spread } from './spread.ts';

/** Whether a database keeps its own rules: constraints, indexes, references, sequences. */

/** What is amiss already in the database that is asked; a backup records it, so that a proof blames the restore alone. */
export async function findDefects(client: Client, without: readonly number[] = []): Promise<Defects> {
  const constraints = await client.query(`
    SELECT format('%I on %s', k.conname, CASE WHEN k.conrelid = 0 THEN format('domain %I.%I', n.nspname, t.typname)
                                              ELSE format('%I.%I', n.nspname, c.relname) END) AS name
      FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
      LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
     WHERE NOT k.convalidated AND ${ownSchemas} ORDER BY 1`);
  const indexes = await findInvalidIndexes(client);
  const sequences = await checkOwnedSequences([client], without);
  return {
    constraintsNotValidated: constraints.rows.map((row) => row.name),
    indexesInvalid: indexes.map(({ name }) => name),
    sequencesBehind: sequences.filter((s) => !s.reached).map((s) => s.sequence),
  };
}

export interface InvalidIndex {
  readonly name: string;
  /** An index of a partitioned table, which is valid when each partition has a valid one that is attached to it. */
  readonly partitioned: boolean;
  /** A foreign table has no indexes: an index that was attached piece by piece, as a dump does it, never becomes valid. */
  readonly overForeign: boolean;
}

export async function findInvalidIndexes(client: Client): Promise<InvalidIndex[]> {
  const { rows } = await client.query(`
    SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'I' AS partitioned,
           c.relkind = 'I' AND EXISTS (SELECT FROM pg_partition_tree(i.indrelid) t JOIN pg_class f ON f.oid = t.relid
                                        WHERE f.relkind = 'f') AS "overForeign"
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relpersistence <> 't' AND ${ownSchemas} ORDER BY 1`);
  return rows;
}

export interface ForeignKeyState {
  readonly name: string;
  readonly table: string;
  /** Number of rows that point nowhere. */
  readonly orphans: string;
}

/**
 * Counts the orphans of every foreign key without trusting the constraint, with the operators that it uses itself.
 * Temporal keys (PERIOD, PostgreSQL 18) compare ranges and are left to the constraint.
 */
export async function countOrphans(clients: readonly Client[]): Promise<ForeignKeyState[]> {
  const [first] = clients;
  const { rows } = await (first as Client).query(`
    SELECT k.conname AS name, format('%I.%I', n.nspname, c.relname) AS "table",
           format('%s%I.%I', CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname) AS source,
           format('%s%I.%I', CASE WHEN pc.relkind = 'p' THEN '' ELSE 'ONLY ' END, pn.nspname, pc.relname) AS target,
           string_agg(format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, opn.nspname, op.oprname, a.attname), ' AND ') AS matches,
           string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') AS filled
      FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class pc ON pc.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
      CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) u (att, patt, op)
      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.att
      JOIN pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.patt
      JOIN pg_operator op ON op.oid = u.op JOIN pg_namespace opn ON opn.oid = op.oprnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND k.convalidated
       AND NOT coalesce((to_jsonb(k)->>'conperiod')::bool, false)
     GROUP BY k.oid, k.conname, n.nspname, c.relname, c.relkind, pn.nspname, pc.relname, pc.relkind
     ORDER BY 2, 1`);
  return spread(clients, rows, async (client, { name, table, source, target, matches, filled }) => {
    const found = await client.query(`SELECT count(*)::text AS orphans FROM ${source} c
      WHERE ${filled} AND NOT EXISTS (SELECT FROM ${target} p WHERE ${matches})`);
    return { name, table, orphans: found.rows[0].orphans };
  });
}

export interface OwnedSequenceState {
  readonly sequence: string;
  readonly column: string;
  /** False when the sequence would hand out a value that the column has, or has passed. */
  readonly reached: boolean;
}

/** Sequences that feed a column (serial or identity). A cycling one may be anywhere and is not asked. */
export async function checkOwnedSequences(
  clients: readonly Client[],
  without: readonly number[] = [],
): Promise<OwnedSequenceState[]> {
  const [first] = clients;
  const { rows } = await (first as Client).query(
    `
    SELECT format('%I.%I', sn.nspname, s.relname) AS sequence, format('%I.%I', n.nspname, c.relname) AS "table",
           quote_ident(a.attname) AS "column", q.seqincrement > 0 AS ascending
      FROM pg_class s JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid
      JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
                      AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
      JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE s.relkind = 'S' AND s.relpersistence <> 't' AND NOT q.seqcycle
       AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
       AND c.oid <> ALL ($1::oid[])
     ORDER BY 1`,
    [without],
  );
  return spread(clients, rows, async (client, { sequence, table, column, ascending }) => {
    const [extreme, beyond] = ascending ? ['max', '>'] : ['min', '<'];
    // The column before the sequence: in a source that is written to, the sequence is ahead of all that is committed.
    const used = await client.query(`SELECT ${extreme}(${column})::text AS value FROM ${table}`);
    // A sequence that was never called hands out its last value itself.
    const state = await client.query(
      `SELECT $1::numeric IS NULL OR last_value ${beyond} $1 OR (last_value = $1 AND is_called) AS reached FROM ${sequence}`,
      [used.rows[0].value],
    );
    return { sequence, column: `${table}.${column}`, reached: state.rows[0].reached };
  });
}
