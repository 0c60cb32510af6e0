import type { Client } from 'pg';
import type { Manifest, SequenceState } from '../core/manifest.ts';

/** What the system catalogue says of a database: its tables, its sequences and the number of everything. */

/** Schemas that belong to PostgreSQL itself. */
export const ownSchemas = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND n.nspname !~ '^pg_(temp|toast_temp)_'`;

/** Objects that an extension made come back with the extension, not with the dump. */
export const notOfExtension = (classid: string, oid: string) =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${classid}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

export interface Table {
  readonly oid: number;
  /** `schema.name`, each quoted where PostgreSQL would quote it. */
  readonly relation: string;
  readonly bytes: number;
}

/** Every table that holds rows of its own (partitions, not their parents), largest first. */
export async function listTables(client: Client): Promise<Table[]> {
  const { rows } = await client.query(`
    SELECT c.oid::int8 AS oid, format('%I.%I', n.nspname, c.relname) AS relation, pg_table_size(c.oid) AS bytes
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}
     ORDER BY bytes DESC, relation`);
  return rows.map((row) => ({ oid: Number(row.oid), relation: row.relation, bytes: Number(row.bytes) }));
}

/** The state of every sequence. Sequences are outside of any snapshot, so the values are a lower bound of later ones. */
export async function listSequences(client: Client): Promise<SequenceState[]> {
  const { rows } = await client.query(`
    SELECT format('%I.%I', n.nspname, c.relname) AS sequence,
           CASE WHEN q.seqcycle THEN 'cycle' WHEN q.seqincrement > 0 THEN 'up' ELSE 'down' END AS direction
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence q ON q.seqrelid = c.oid
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}
     ORDER BY 1`);
  const states: SequenceState[] = [];
  for (const { sequence, direction } of rows) {
    const state = await client.query(`SELECT last_value::text, is_called FROM ${sequence}`);
    states.push({ sequence, lastValue: state.rows[0].last_value, isCalled: state.rows[0].is_called, direction });
  }
  return states;
}

export async function listMaterializedViews(client: Client): Promise<Manifest['materializedViews']> {
  const { rows } = await client.query(`
    SELECT format('%I.%I', n.nspname, c.relname) AS relation, c.relispopulated AS populated
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'm' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')} ORDER BY 1`);
  return rows;
}

/** The number of each kind of object: what a restore must bring back. */
export async function takeInventory(client: Client): Promise<Record<string, number>> {
  const kinds: Record<string, string> = {
    schema: `SELECT FROM pg_namespace n WHERE ${ownSchemas} AND ${notOfExtension('pg_namespace', 'n.oid')}`,
    table: relations('r'),
    'partitioned table': relations('p'),
    view: relations('v'),
    'materialized view': relations('m'),
    sequence: relations('S'),
    'foreign table': relations('f'),
    index: `SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE i.indisvalid AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}`,
    // NOT NULL became a constraint of its own in PostgreSQL 18: counted elsewhere it would differ between majors.
    constraint: `SELECT FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
                  WHERE k.contype <> 'n' AND ${ownSchemas} AND ${notOfExtension('pg_constraint', 'k.oid')}`,
    'constraint not validated': 'SELECT FROM pg_constraint WHERE NOT convalidated',
    trigger: 'SELECT FROM pg_trigger WHERE NOT tgisinternal',
    'event trigger': `SELECT FROM pg_event_trigger e WHERE ${notOfExtension('pg_event_trigger', 'e.oid')}`,
    function: `SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                WHERE ${ownSchemas} AND ${notOfExtension('pg_proc', 'p.oid')}`,
    type: `SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
            WHERE t.typtype IN ('d', 'e', 'r') AND ${ownSchemas} AND ${notOfExtension('pg_type', 't.oid')}`,
    policy: 'SELECT FROM pg_policy',
    rule: `SELECT FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}`,
    publication: 'SELECT FROM pg_publication',
    extension: 'SELECT FROM pg_extension',
    'large object': 'SELECT FROM pg_largeobject_metadata',
    comment: `SELECT FROM pg_description d JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
               JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}`,
  };
  const counts = Object.entries(kinds).map(([kind, query]) => `(SELECT count(*) FROM (${query}) q)::int AS "${kind}"`);
  const { rows } = await client.query(`SELECT ${counts.join(',\n')}`);
  return rows[0];
}

const relations = (relkind: string) => `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = '${relkind}' AND c.relpersistence <> 't' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** The database itself: name, locale, extensions with their versions (a dump does not carry these). */
export async function describeDatabase(client: Client): Promise<Manifest['databases'][number]> {
  const { rows } = await client.query(`
    SELECT datname AS name, pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, datctype AS ctype,
           (SELECT collversion FROM pg_collation WHERE collname = 'default' LIMIT 1) AS "collationVersion",
           (SELECT coalesce(json_agg(json_build_object('name', extname, 'version', extversion) ORDER BY extname), '[]')
              FROM pg_extension) AS extensions
      FROM pg_database WHERE datname = current_database()`);
  return rows[0];
}

export interface ServerIdentity {
  readonly systemIdentifier: string;
  readonly serverVersionNum: number;
  readonly timeline: number;
}

export async function identifyServer(client: Client): Promise<ServerIdentity> {
  const { rows } = await client.query(`
    SELECT (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
           current_setting('server_version_num')::int AS "serverVersionNum",
           (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline`);
  return rows[0];
}
