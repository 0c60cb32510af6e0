import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { isEverything, matches, type ResolvedSelection, type Selection } from '../core/selection.ts';
import { notOfExtension, ownSchemas } from './catalog.ts';

/** What a selection comes to in one database: which relations are dumped, which with their rows. */
export interface Extent {
  /** null: everything. */
  readonly selection: ResolvedSelection | null;
  /** Relations that are not touched at all, and schemas as a whole. */
  readonly excludedOids: readonly number[];
  readonly excludedRelations: readonly string[];
  /** Those of them that do not lie in an excluded schema. */
  readonly excludedOutside: readonly string[];
  readonly excludedSchemas: readonly string[];
  /** Those that a restore brings when nothing else is said; null: all. */
  readonly tables: readonly string[] | null;
  /** Included patterns that match nothing here. */
  readonly vain: readonly string[];
}

/** Large objects belong to no table and no schema: they come with a backup of everything but what is excluded. */
export const hasLargeObjects = ({ selection }: Extent): boolean =>
  selection === null || (selection.asked.include === null && !selection.asked.schemaOnly);

interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Quoted as PostgreSQL would. */
  readonly relation: string;
  readonly kind: string;
  /** Those that it is a partition or a child of, up to the top. */
  readonly parents: readonly number[];
}

/** Throws `BackupIncomplete` where what is kept cannot be made without what is left out. */
export async function resolveSelection(client: Client, asked: Selection): Promise<Extent> {
  if (isEverything(asked)) {
    return {
      selection: null,
      excludedOids: [],
      excludedRelations: [],
      excludedOutside: [],
      excludedSchemas: [],
      tables: null,
      vain: [],
    };
  }
  const schemas = await listSchemas(client);
  const relations = await listRelations(client);
  const { include, exclude } = asked;

  const goneSchemas = schemas.filter(({ name }) => matches(exclude.schemas, name));
  const named = relations.filter(({ kind, schema, name }) => kind !== 'S' && matches(exclude.tables, schema, name));
  const gone = await findDependents(
    client,
    named.map(({ oid }) => oid),
    goneSchemas.map(({ oid }) => oid),
  );
  const goneOids = new Set(gone.relations);
  const kept = relations.filter(({ oid }) => !goneOids.has(oid));
  const keptTables = kept.filter(({ kind }) => 'rpf'.includes(kind));
  const byOid = new Map(relations.map((relation) => [relation.oid, relation]));
  /** A partition goes with what it is a partition of. */
  const orParent = (relation: Relation, test: (relation: Relation) => boolean) =>
    test(relation) || relation.parents.some((oid) => test(byOid.get(oid) ?? relation));

  const includedSchemas = schemas.filter(({ name }) => matches(include?.schemas ?? [], name)).map(({ name }) => name);
  const byName = keptTables.filter((table) =>
    orParent(table, ({ schema, name }) => matches(include?.tables ?? [], schema, name)),
  );
  const included = (table: Relation) =>
    include === null || includedSchemas.includes(table.schema) || byName.includes(table);
  const hasRows = (table: Relation) =>
    !asked.schemaOnly && included(table) && !orParent(table, ({ schema, name }) => matches(exclude.rows, schema, name));
  const withoutRows = keptTables.filter(({ kind }) => kind === 'r').filter((table) => !hasRows(table));

  const excluded = relations.filter(({ oid }) => goneOids.has(oid));
  const excludedRelations = excluded.filter(({ schema }) => !goneSchemas.some(({ name }) => name === schema));
  const excludedNames = [
    ...goneSchemas.map(({ name }) => `schema ${name}`),
    ...excludedRelations.map(({ relation }) => relation),
    ...(include || asked.schemaOnly ? ['large objects'] : []),
  ];
  const pointless = asked.schemaOnly ? [] : await findKeysToNoRows(client, withoutRows);
  return {
    selection: {
      asked,
      included: include && { schemas: includedSchemas, tables: byName.map(({ relation }) => relation) },
      excluded: excludedNames,
      withoutRows: withoutRows.map(({ relation }) => relation),
      leftOut: [...gone.leftOut, ...pointless],
    },
    excludedOids: excluded.map(({ oid }) => oid),
    excludedRelations: excluded.map(({ relation }) => relation),
    excludedOutside: excludedRelations.map(({ relation }) => relation),
    excludedSchemas: goneSchemas.map(({ name }) => name),
    tables: kept.filter((table) => table.kind === 'r' && included(table)).map(({ relation }) => relation),
    vain: include ? inVain(include, schemas, keptTables) : [],
  };
}

function inVain(
  include: NonNullable<Selection['include']>,
  schemas: readonly { name: string }[],
  tables: readonly Relation[],
): string[] {
  return [
    ...include.schemas.filter((pattern) => !schemas.some(({ name }) => matches([pattern], name))),
    ...include.tables.filter((pattern) => !tables.some(({ schema, name }) => matches([pattern], schema, name))),
  ];
}

async function listSchemas(client: Client): Promise<{ oid: number; name: string }[]> {
  const { rows } = await client.query(
    `SELECT n.oid::int8 AS oid, n.nspname AS name FROM pg_namespace n WHERE ${ownSchemas} ORDER BY n.nspname`,
  );
  return rows.map(({ oid, name }) => ({ oid: Number(oid), name }));
}

async function listRelations(client: Client): Promise<Relation[]> {
  const { rows } = await client.query(`
    WITH RECURSIVE up (child, parent) AS (
      SELECT inhrelid, inhparent FROM pg_inherits
       UNION SELECT up.child, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.parent)
    SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
           format('%I.%I', n.nspname, c.relname) AS relation,
           ARRAY(SELECT up.parent::int8 FROM up WHERE up.child = c.oid) AS parents
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND ${ownSchemas}
       AND ${notOfExtension('pg_class', 'c.oid')} ORDER BY relation`);
  return rows.map(({ oid, parents, ...row }) => ({ ...row, oid: Number(oid), parents: parents.map(Number) }));
}

type LeftOut = ResolvedSelection['leftOut'];

/**
 * Everything that DROP … CASCADE of these would take along, in three kinds: relations, which are not dumped either;
 * parts of relations that stay, which are left out of restores; and what nothing can be left out for.
 */
async function findDependents(
  client: Client,
  relations: readonly number[],
  schemas: readonly number[],
): Promise<{ relations: number[]; leftOut: LeftOut }> {
  if (relations.length + schemas.length === 0) return { relations: [], leftOut: [] };
  // So that names of functions and types come out qualified, as in an archive.
  await client.query("SET search_path = ''");
  const { rows } = await client.query(
    `
    WITH RECURSIVE gone (classid, objid) AS (
      SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, pg_catalog.unnest($1::oid[])
       UNION SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, pg_catalog.unnest($2::oid[])
       UNION
      SELECT next.classid, next.objid FROM gone g CROSS JOIN LATERAL (
        SELECT d.classid, d.objid FROM pg_depend d
         WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND d.objsubid = 0 AND d.deptype IN ('n', 'a', 'i', 'P', 'S', 'e')
         UNION ALL
        SELECT d.refclassid, d.refobjid FROM pg_depend d
         WHERE d.classid = g.classid AND d.objid = g.objid AND d.objsubid = 0 AND d.refobjsubid = 0 AND d.deptype = 'i') next),
    taken AS (SELECT objid FROM gone WHERE classid = 'pg_class'::regclass),
    -- The relation that a part belongs to, and the part as an archive calls it.
    parts (classid, objid, owner, kind, part) AS (
      SELECT 'pg_constraint'::regclass, oid, conrelid, CASE contype WHEN 'f' THEN 'FK CONSTRAINT' END, conname FROM pg_constraint
       UNION ALL
      SELECT 'pg_trigger'::regclass, oid, tgrelid, CASE WHEN tgisinternal THEN 'internal' ELSE 'TRIGGER' END, tgname FROM pg_trigger
       UNION ALL
      SELECT 'pg_policy'::regclass, oid, polrelid, 'POLICY', polname FROM pg_policy
       UNION ALL
      SELECT 'pg_rewrite'::regclass, oid, ev_class, 'RULE', rulename FROM pg_rewrite
       UNION ALL
      SELECT 'pg_attrdef'::regclass, oid, adrelid, NULL, NULL FROM pg_attrdef
       UNION ALL
      SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid, 'INDEX', NULL FROM pg_index i
       UNION ALL
      SELECT 'pg_statistic_ext'::regclass, oid, stxrelid, 'STATISTICS', NULL FROM pg_statistic_ext
       UNION ALL
      SELECT 'pg_publication_rel'::regclass, oid, prrelid, 'internal', NULL FROM pg_publication_rel)
    SELECT g.classid::regclass::text AS class, g.objid::int8 AS oid, c.relkind AS relkind, (t.typrelid <> 0 OR t.typcategory = 'A') AS implied,
           p.kind AS kind, p.owner IN (SELECT objid FROM taken) AS of_taken,
           (i.schema IS NOT NULL AND i.schema IN (SELECT quote_ident(nspname) FROM pg_namespace WHERE oid = ANY ($2::oid[]))) AS of_schema,
           coalesce(pn.nspname, n.nspname) AS schema,
           CASE WHEN p.part IS NOT NULL THEN pc.relname || ' ' || p.part
                WHEN f.oid IS NOT NULL THEN substr(f.oid::regprocedure::text, length(quote_ident(n.nspname)) + 2)
                ELSE coalesce(c.relname, s.stxname) END AS tag,
           f.prokind, i.type || ' ' || i.identity AS described
      FROM gone g
      CROSS JOIN LATERAL pg_identify_object(g.classid, g.objid, 0) i
      LEFT JOIN parts p ON p.classid = g.classid AND p.objid = g.objid
      LEFT JOIN pg_class pc ON pc.oid = p.owner LEFT JOIN pg_namespace pn ON pn.oid = pc.relnamespace
      LEFT JOIN pg_class c ON g.classid = 'pg_class'::regclass AND c.oid = g.objid
      LEFT JOIN pg_statistic_ext s ON g.classid = 'pg_statistic_ext'::regclass AND s.oid = g.objid
      LEFT JOIN pg_type t ON g.classid = 'pg_type'::regclass AND t.oid = g.objid
      LEFT JOIN pg_proc f ON g.classid = 'pg_proc'::regclass AND f.oid = g.objid
      LEFT JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, f.pronamespace, s.stxnamespace)
     UNION ALL
    -- A column of what stays, of a type or collation that does not.
    SELECT 'column', 0, NULL, NULL, NULL, false, false, NULL, NULL, NULL,
           format('column %s.%I', d.objid::regclass, a.attname)
      FROM gone g JOIN pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid AND d.objsubid > 0
      JOIN pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid
     WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'n' AND d.objid NOT IN (SELECT objid FROM taken)`,
    [relations, schemas],
  );
  const why = 'it needs what the backup leaves out';
  const leftOut: LeftOut = [];
  const taken: number[] = [];
  const problems: string[] = [];
  for (const row of rows) {
    if (row.relkind !== null && 'rpvmfS'.includes(row.relkind)) taken.push(Number(row.oid));
    else if (
      row.of_schema ||
      row.of_taken ||
      row.implied ||
      row.relkind === 't' ||
      row.kind === 'internal' ||
      belongs.has(row.class)
    )
      continue;
    else if (row.class === 'pg_proc')
      leftOut.push({ kind: kindOf(row.prokind), schema: row.schema, tag: row.tag, why });
    else if (row.kind !== null && row.tag !== null)
      leftOut.push({ kind: row.kind, schema: row.schema, tag: row.tag, why });
    else problems.push(row.described);
  }
  if (problems.length === 0) return { relations: taken, leftOut };
  const shown = problems.slice(0, 10).join(', ');
  throw new PgdrError('BackupIncomplete', `${shown} cannot be made without what the selection excludes`);
}

const kindOf = (prokind: string): string => ({ p: 'PROCEDURE', a: 'AGGREGATE' })[prokind] ?? 'FUNCTION';

/** Objects that are not in an archive by themselves, or not when what they are about is not. */
const belongs = new Set(['pg_namespace', 'pg_default_acl', 'pg_publication_namespace', 'pg_toast']);

/** Foreign keys from tables with rows to tables whose rows are left out: nothing would hold them. */
async function findKeysToNoRows(client: Client, withoutRows: readonly Relation[]): Promise<LeftOut> {
  if (withoutRows.length === 0) return [];
  const { rows } = await client.query(
    `
    SELECT n.nspname AS schema, c.relname || ' ' || k.conname AS tag
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT k.conrelid = ANY ($1::oid[])
       AND k.confrelid = ANY ($2::oid[])
     ORDER BY 1, 2`,
    [withoutRows.map(({ oid }) => oid), withoutRows.flatMap(({ oid, parents }) => [oid, ...parents])],
  );
  const why = 'it points to a table whose rows the backup leaves out';
  return rows.map(({ schema, tag }) => ({ kind: 'FK CONSTRAINT', schema, tag, why }));
}
