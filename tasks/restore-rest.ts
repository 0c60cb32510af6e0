import type { Client } from 'pg';
import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseBackup } from '../lib/core/manifest.ts';
import { parseRelation, quoteLiteral, relationKey } from '../lib/core/sql-statements.ts';

/** What pg_restore does not do: values of sequences, content of materialized views, grants that pg_dump forgot. */

/** Does the relation of a manifest belong to these keys? null stands for all. */
const among = (relation: string, keys: ReadonlySet<string> | null): boolean => {
  const parsed = parseRelation(relation);
  return keys === null || (parsed !== undefined && keys.has(relationKey(parsed)));
};

/**
 * Gives sequences the value that the manifest recorded, and moves them on to the last value that a column fed by them
 * holds: sequences are outside of snapshots, and the value was read a moment before the rows were.
 */
export async function setSequences(client: Client, manifest: DatabaseBackup, keys: ReadonlySet<string>): Promise<void> {
  for (const statement of sequenceStatements(manifest, keys)) await client.query(statement);
  const { rows } = await client.query(fedColumns);
  for (const statement of catchUpStatements(rows, keys)) await client.query(statement);
}

export const sequenceStatements = (manifest: DatabaseBackup, keys: ReadonlySet<string>): string[] =>
  manifest.sequences
    .filter(({ sequence }) => among(sequence, keys))
    .map(
      ({ sequence, lastValue, isCalled }) =>
        `SELECT pg_catalog.setval(${quoteLiteral(sequence)}, ${lastValue}, ${isCalled})`,
    );

/** Columns whose default takes from a sequence, or that own one. */
export const fedColumns = `
  SELECT DISTINCT format('%I.%I', sn.nspname, s.relname) AS sequence, format('%I.%I', tn.nspname, t.relname) AS "table",
         quote_ident(a.attname) AS "column", q.seqincrement > 0 AS ascending
    FROM pg_class s JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN (SELECT d.objid AS seq, d.refobjid AS tab, d.refobjsubid AS att FROM pg_depend d
           WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
             AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
           UNION
          SELECT d.refobjid, ad.adrelid, ad.adnum FROM pg_depend d JOIN pg_attrdef ad ON ad.oid = d.objid
           WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) f ON f.seq = s.oid
    JOIN pg_class t ON t.oid = f.tab AND t.relkind IN ('r', 'p') JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = f.tab AND a.attnum = f.att
   WHERE s.relkind = 'S' AND NOT q.seqcycle AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)`;

export interface FedColumn {
  readonly sequence: string;
  readonly table: string;
  readonly column: string;
  readonly ascending: boolean;
}

export const catchUpStatements = (fed: readonly FedColumn[], keys: ReadonlySet<string>): string[] =>
  fed.filter(({ sequence }) => among(sequence, keys)).map(catchUp);

const catchUp = ({ sequence, table, column, ascending }: FedColumn): string => {
  const [last, beyond] = ascending ? ['max', '>'] : ['min', '<'];
  return `SELECT pg_catalog.setval(${quoteLiteral(sequence)}, reached.value)
    FROM (SELECT ${last}(${column}) AS value FROM ${table}) reached, ${sequence} q
   WHERE reached.value ${beyond} q.last_value OR (reached.value = q.last_value AND NOT q.is_called)`;
};

/**
 * pg_dump 14 leaves out what is granted on the sequence of an identity column whose table has no grants of its own (13
 * and 15 do not); the manifest has it. A role that the target does not have is passed over.
 */
export const sequenceGrants = (
  { serverVersionNum, grants }: DatabaseBackup,
  keys: ReadonlySet<string> | null,
): string[] =>
  Math.floor(serverVersionNum / 10_000) !== 14
    ? []
    : grants.flatMap(({ object, privileges }) => {
        const sequence = /^sequence (.+)$/s.exec(object)?.[1];
        if (sequence === undefined || !among(sequence, keys)) return [];
        return privileges.map((privilege) => grantOn(sequence, privilege));
      });

/** Of a difference from what a sequence is born with, in the words of lib/postgres/access.ts. */
function grantOn(sequence: string, difference: string): string {
  const [, lost, privilege, role, option = ''] = /^(no )?(\w+) to (.+?)( with grant option)?$/s.exec(difference) ?? [];
  const statement = lost
    ? `REVOKE ${privilege} ON SEQUENCE ${sequence} FROM ${role}`
    : `GRANT ${privilege} ON SEQUENCE ${sequence} TO ${role}${option}`;
  return `DO ${quoteLiteral(`BEGIN ${statement}; EXCEPTION WHEN undefined_object THEN NULL; END`)}`;
}

/** Views may be made of one another: fill those that can be filled until none is left or none moves. */
export async function fillMaterializedViews(
  client: Client,
  manifest: DatabaseBackup,
  keys: ReadonlySet<string> | null,
): Promise<void> {
  // As pg_restore would: a view must not depend on who restores it.
  await client.query("SELECT pg_catalog.set_config('search_path', '', false)");
  let waiting = manifest.materializedViews
    .filter(({ relation, populated }) => populated && among(relation, keys))
    .map((view) => view.relation);
  while (waiting.length > 0) {
    const stuck: string[] = [];
    let reason = '';
    for (const relation of waiting) {
      try {
        await client.query(`REFRESH MATERIALIZED VIEW ${relation}`);
      } catch (error) {
        stuck.push(relation);
        reason = (error as Error).message;
      }
    }
    if (stuck.length === waiting.length) {
      throw new PgdrError('RestoreFailed', `materialized view ${stuck[0]} could not be filled: ${reason}`);
    }
    waiting = stuck;
  }
}
