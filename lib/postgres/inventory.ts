import type { Client } from 'pg';
import { notOfExtension, ownSchemas } from './catalog.ts';

/**
 * The number of each kind of object: what a restore must bring back. A kind is counted so that the same database gives
 * the same number in every major from 13 to 18; where they tell a thing differently, a comment says how.
 *
 * @param only tables of a partial backup: what lies in these alone is counted, and of that what comes with them always
 */
export async function takeInventory(
  client: Client,
  only: readonly string[] | null = null,
): Promise<Record<string, number>> {
  const counts = Object.entries(only ? ofTables : kinds).map(
    ([kind, query]) => `(SELECT count(*) FROM (${query}) q)::int AS "${kind}"`,
  );
  const { rows } = await client.query(`SELECT ${counts.join(',\n')}`, only ? [only] : []);
  return rows[0];
}

/** Rows of a catalogue whose objects lie in a schema, by the prefix of its columns. */
const inSchema = (catalogue: string, prefix: string, condition = 'true') => `
  SELECT FROM ${catalogue} o JOIN pg_namespace n ON n.oid = o.${prefix}namespace
   WHERE (${condition}) AND ${ownSchemas} AND ${notOfExtension(catalogue, 'o.oid')}`;

const relations = (relkind: string) =>
  inSchema('pg_class', 'rel', `o.relkind = '${relkind}' AND o.relpersistence <> 't'`);

/** Rows of a catalogue that belong to a relation of a schema: attributes, indexes, triggers. */
const ofRelations = (catalogue: string, relation: string, condition = 'true') => `
  SELECT FROM ${catalogue} o JOIN pg_class c ON c.oid = o.${relation} JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE (${condition}) AND c.relpersistence <> 't' AND ${ownSchemas} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** What lies in no schema; PostgreSQL's own have oids below 16384. */
const ofDatabase = (catalogue: string, condition = 'true') =>
  `SELECT FROM ${catalogue} o WHERE (${condition}) AND o.oid >= 16384 AND ${notOfExtension(catalogue, 'o.oid')}`;

/** Not a part of another object, as the functions of a range type are: newer majors give it more of them. */
const independent = (catalogue: string) =>
  `NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = '${catalogue}'::regclass AND i.objid = o.oid AND i.deptype = 'i')`;

const kinds: Readonly<Record<string, string>> = {
  schema: `SELECT FROM pg_namespace n WHERE ${ownSchemas} AND ${notOfExtension('pg_namespace', 'n.oid')}`,
  table: relations('r'),
  'partitioned table': relations('p'),
  view: relations('v'),
  'materialized view': relations('m'),
  sequence: relations('S'),
  'foreign table': relations('f'),
  index: ofRelations('pg_index', 'indrelid', 'o.indisvalid'),
  // NOT NULL became a constraint of its own in 18 (of domains in 17), so it is counted as columns and domains. A
  // foreign key to or from a partitioned table has rows for partitions, whose number follows from its history.
  constraint: inSchema('pg_constraint', 'con', "o.contype <> 'n' AND o.conparentid = 0"),
  'not null column': ofRelations('pg_attribute', 'attrelid', 'o.attnotnull AND o.attnum > 0 AND NOT o.attisdropped'),
  'not null domain': inSchema('pg_type', 'typ', 'o.typnotnull'),
  'constraint not validated': 'SELECT FROM pg_constraint WHERE NOT convalidated',
  'column default': ofRelations('pg_attrdef', 'adrelid'),
  'identity column': ofRelations('pg_attribute', 'attrelid', "o.attidentity <> '' AND NOT o.attisdropped"),
  // Those that a partition has from its parent were internal until 14 and are not since.
  trigger: ofRelations('pg_trigger', 'tgrelid', 'NOT o.tgisinternal AND o.tgparentid = 0'),
  'event trigger': ofDatabase('pg_event_trigger'),
  function: inSchema('pg_proc', 'pro', independent('pg_proc')),
  type: inSchema('pg_type', 'typ', "o.typtype IN ('d', 'e', 'r')"),
  collation: inSchema('pg_collation', 'coll'),
  conversion: inSchema('pg_conversion', 'con'),
  operator: inSchema('pg_operator', 'opr'),
  'operator class': inSchema('pg_opclass', 'opc'),
  'operator family': inSchema('pg_opfamily', 'opf'),
  'text search configuration': inSchema('pg_ts_config', 'cfg'),
  'text search dictionary': inSchema('pg_ts_dict', 'dict'),
  'text search parser': inSchema('pg_ts_parser', 'prs'),
  'text search template': inSchema('pg_ts_template', 'tmpl'),
  'access method': ofDatabase('pg_am'),
  'statistics object': inSchema('pg_statistic_ext', 'stx'),
  cast: ofDatabase('pg_cast', independent('pg_cast')),
  language: ofDatabase('pg_language'),
  transform: ofDatabase('pg_transform'),
  'foreign data wrapper': ofDatabase('pg_foreign_data_wrapper'),
  'foreign server': ofDatabase('pg_foreign_server'),
  // pg_user_mapping itself is for superusers alone.
  'user mapping': 'SELECT FROM pg_user_mappings',
  policy: 'SELECT FROM pg_policy',
  'table under row security': ofRelations('pg_class', 'oid', 'o.relrowsecurity'),
  rule: ofRelations('pg_rewrite', 'ev_class'),
  publication: 'SELECT FROM pg_publication',
  'published table': 'SELECT FROM pg_publication_rel',
  extension: 'SELECT FROM pg_extension',
  'large object': 'SELECT FROM pg_largeobject_metadata',
  comment: ofRelations('pg_description', 'objoid', "o.classoid = 'pg_class'::regclass"),
};

/** Of tables `$1`. Keys, triggers, rules and policies are left out: a selection may have to do without some of them. */
const among = 'c.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) name)';
const ofTables: Readonly<Record<string, string>> = {
  table: `SELECT FROM pg_class c WHERE ${among}`,
  constraint: `SELECT FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
                WHERE ${among} AND o.contype NOT IN ('n', 'f', 't') AND o.conparentid = 0`,
  'not null column': `SELECT FROM pg_attribute o JOIN pg_class c ON c.oid = o.attrelid
                       WHERE ${among} AND o.attnotnull AND o.attnum > 0 AND NOT o.attisdropped`,
  'column default': `SELECT FROM pg_attrdef o JOIN pg_class c ON c.oid = o.adrelid WHERE ${among}`,
  'identity column': `SELECT FROM pg_attribute o JOIN pg_class c ON c.oid = o.attrelid
                       WHERE ${among} AND o.attidentity <> '' AND NOT o.attisdropped`,
  'table under row security': `SELECT FROM pg_class c WHERE ${among} AND c.relrowsecurity`,
};
