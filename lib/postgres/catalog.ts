import type { Client } from 'pg';
import type { DatabaseRecord, SequenceState } from '../core/manifest.ts';

/** What the system catalogue says of a database: its tables, its sequences and itself. */

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

/** Every table that holds rows of its own (partitions, not their parents), largest first; `without` are oids. */
export async function listTables(client: Client, without: readonly number[] = []): Promise<Table[]> {
  const { rows } = await client.query(
    `
    SELECT c.oid::int8 AS oid, format('%I.%I', n.nspname, c.relname) AS relation, pg_table_size(c.oid) AS bytes
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}
       AND c.oid <> ALL ($1::oid[])
     ORDER BY bytes DESC, relation`,
    [without],
  );
  return rows.map((row) => ({ oid: Number(row.oid), relation: row.relation, bytes: Number(row.bytes) }));
}

/** The state of every sequence. Sequences are outside of any snapshot, so the values are a lower bound of later ones. */
export async function listSequences(client: Client, without: readonly number[] = []): Promise<SequenceState[]> {
  const { rows } = await client.query(
    `
    SELECT format('%I.%I', n.nspname, c.relname) AS sequence,
           CASE WHEN q.seqcycle THEN 'cycle' WHEN q.seqincrement > 0 THEN 'up' ELSE 'down' END AS direction
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence q ON q.seqrelid = c.oid
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}
       AND c.oid <> ALL ($1::oid[])
     ORDER BY 1`,
    [without],
  );
  const states: SequenceState[] = [];
  for (const { sequence, direction } of rows) {
    const state = await client.query(`SELECT last_value::text, is_called FROM ${sequence}`);
    states.push({ sequence, lastValue: state.rows[0].last_value, isCalled: state.rows[0].is_called, direction });
  }
  return states;
}

export async function listMaterializedViews(
  client: Client,
  without: readonly number[] = [],
): Promise<DatabaseRecord['materializedViews']> {
  const { rows } = await client.query(
    `
    SELECT format('%I.%I', n.nspname, c.relname) AS relation, c.relispopulated AS populated
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'm' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}
       AND c.oid <> ALL ($1::oid[]) ORDER BY 1`,
    [without],
  );
  return rows;
}

/** Databases of the server that take connections and are no templates. */
export async function listDatabases(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    'SELECT datname AS name FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname',
  );
  return rows.map((row) => row.name);
}

export type DatabaseIdentity = Pick<
  DatabaseRecord,
  'name' | 'encoding' | 'collation' | 'ctype' | 'collationVersion' | 'extensions'
>;

/** The database itself: name, locale, extensions with their versions (a dump does not carry these). */
export async function describeDatabase(client: Client): Promise<DatabaseIdentity> {
  const { rows } = await client.query(`
    SELECT datname AS name, pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, datctype AS ctype,
           -- Recorded since PostgreSQL 15.
           to_jsonb(d)->>'datcollversion' AS "collationVersion",
           (SELECT coalesce(json_agg(json_build_object('name', extname, 'version', extversion) ORDER BY extname), '[]')
              FROM pg_extension) AS extensions
      FROM pg_database d WHERE datname = current_database()`);
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
