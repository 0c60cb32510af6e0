import type { Client } from 'pg';
import type { ConfiguredSetting, DatabaseBackup, Grant, Role } from '../core/manifest.ts';
import { notOfExtension, ownSchemas } from './catalog.ts';

/** Who may do what in a database, as a backup records it and a proof compares it. */

export type Access = Pick<DatabaseBackup, 'roles' | 'grants' | 'owners' | 'settings'>;

/**
 * Leaves the connection with an empty search path, so that every name in the answer is qualified.
 *
 * @param only tables of a partial backup: only what is granted on them and who owns them is told
 */
export async function takeAccess(client: Client, only: readonly string[] | null = null): Promise<Access> {
  await client.query("SET search_path = 'pg_catalog'");
  return {
    roles: await listRoles(client),
    grants: (await listGrants(client)).filter((grant) => only === null || isOn(only, grant)),
    owners: only ? await countOwnedTables(client, only) : await countOwned(client),
    settings: await listSettings(client),
  };
}

/** Memberships got options of their own in PostgreSQL 16; before, the role's INHERIT decided and SET was allowed. */
async function listRoles(client: Client): Promise<Role[]> {
  const { rows } = await client.query(`
    SELECT r.rolname AS name,
           array_remove(ARRAY[
             CASE WHEN r.rolbypassrls THEN 'bypassrls' END,
             CASE WHEN r.rolcreatedb THEN 'createdb' END,
             CASE WHEN r.rolcreaterole THEN 'createrole' END,
             CASE WHEN r.rolinherit THEN 'inherit' END,
             CASE WHEN r.rolcanlogin THEN 'login' END,
             CASE WHEN r.rolreplication THEN 'replication' END,
             CASE WHEN r.rolsuper THEN 'superuser' END,
             CASE WHEN r.rolconnlimit <> -1 THEN 'connection limit ' || r.rolconnlimit END,
             CASE WHEN isfinite(r.rolvaliduntil)
                  THEN 'valid until ' || to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END
           ], NULL) AS attributes,
           ARRAY(
             SELECT pg_get_userbyid(m.roleid)::text
                    || CASE WHEN bool_or(m.admin_option) THEN ' with admin' ELSE '' END
                    || CASE WHEN bool_or(coalesce((to_jsonb(m)->>'inherit_option')::bool, r.rolinherit)) = r.rolinherit
                            THEN '' WHEN r.rolinherit THEN ' without inherit' ELSE ' with inherit' END
                    || CASE WHEN bool_or(coalesce((to_jsonb(m)->>'set_option')::bool, true)) THEN '' ELSE ' without set' END
               FROM pg_auth_members m WHERE m.member = r.oid GROUP BY m.roleid ORDER BY 1
           ) AS "memberOf"
      FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY r.rolname`);
  return rows;
}

const inUse = (classid: string, oid: string) => `${ownSchemas} AND ${notOfExtension(classid, oid)}`;

/**
 * Every object with privileges of its own: class, oid, column, name, ACL, the kind that acldefault() knows, owner.
 * Objects of PostgreSQL and of extensions are among them: a dump carries what was changed on those too.
 */
const securable = [
  `SELECT 'pg_class'::regclass, c.oid, 0,
          format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                             WHEN 'f' THEN 'foreign table' ELSE 'table' END, n.nspname, c.relname),
          c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END, c.relowner
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relacl IS NOT NULL AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'`,
  `SELECT 'pg_class'::regclass, c.oid, a.attnum, format('column %I.%I.%I', n.nspname, c.relname, a.attname),
          a.attacl, 'c', c.relowner
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND c.relpersistence <> 't'`,
  `SELECT 'pg_namespace'::regclass, n.oid, 0, format('schema %I', n.nspname), n.nspacl, 'n', n.nspowner
     FROM pg_namespace n WHERE n.nspacl IS NOT NULL`,
  `SELECT 'pg_proc'::regclass, p.oid, 0,
          format('function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
          p.proacl, 'f', p.proowner
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proacl IS NOT NULL`,
  `SELECT 'pg_type'::regclass, t.oid, 0, format('type %I.%I', n.nspname, t.typname), t.typacl, 'T', t.typowner
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typacl IS NOT NULL`,
  `SELECT 'pg_language'::regclass, l.oid, 0, format('language %I', l.lanname), l.lanacl, 'l', l.lanowner
     FROM pg_language l WHERE l.lanacl IS NOT NULL`,
  `SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, format('foreign data wrapper %I', w.fdwname), w.fdwacl, 'F', w.fdwowner
     FROM pg_foreign_data_wrapper w WHERE w.fdwacl IS NOT NULL`,
  `SELECT 'pg_foreign_server'::regclass, s.oid, 0, format('foreign server %I', s.srvname), s.srvacl, 'S', s.srvowner
     FROM pg_foreign_server s WHERE s.srvacl IS NOT NULL`,
  `SELECT 'pg_database'::regclass, d.oid, 0, 'database', d.datacl, 'd', d.datdba
     FROM pg_database d WHERE d.datacl IS NOT NULL AND d.datname = current_database()`,
  // There may be millions, so they are counted together: see the grouping below.
  `SELECT 'pg_largeobject'::regclass, m.oid, 0, 'large objects', m.lomacl, 'L', m.lomowner
     FROM pg_largeobject_metadata m WHERE m.lomacl IS NOT NULL`,
];

/**
 * Privileges as differences from what an object is born with (by its extension, by initdb, or by default): so an
 * explicit grant of the default is no difference, nor is a privilege that a newer major adds to every owner. Who
 * granted is left out, since extensions change hands in a restore.
 */
async function listGrants(client: Client): Promise<Grant[]> {
  const privileges = (acl: string) =>
    `SELECT grantee, privilege_type, bool_or(is_grantable) AS grantable FROM aclexplode(${acl}) GROUP BY 1, 2`;
  const { rows } = await client.query(`
    WITH securable (classid, objid, objsubid, object, acl, kind, owner) AS (${securable.join('\nUNION ALL\n')}),
    compared AS (
      SELECT s.object, s.acl, coalesce(i.initprivs, acldefault(s.kind::"char", s.owner)) AS born
        FROM securable s
        LEFT JOIN pg_init_privs i ON i.classoid = s.classid AND i.objoid = s.objid AND i.objsubid = s.objsubid
       WHERE s.acl IS DISTINCT FROM i.initprivs
       UNION ALL
      SELECT format('new %s of %I%s', CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
                      WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
                    pg_get_userbyid(d.defaclrole), coalesce(' in schema ' || quote_ident(n.nspname), '')),
             d.defaclacl,
             CASE WHEN d.defaclnamespace = 0
                  THEN acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole) END
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace),
    differing AS (
      SELECT object, what || to_whom AS privilege, count(*) AS objects
        FROM compared,
             LATERAL (SELECT '' AS prefix, granted.* FROM (${privileges('acl')} EXCEPT ${privileges('born')}) granted
                       UNION ALL
                      SELECT 'no ', lost.* FROM (
                        SELECT grantee, privilege_type, false FROM aclexplode(born)
                        EXCEPT SELECT grantee, privilege_type, false FROM aclexplode(acl)) lost) p,
             LATERAL (SELECT prefix || privilege_type AS what,
                             ' to ' || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
                             || CASE WHEN grantable THEN ' with grant option' ELSE '' END AS to_whom) w
       GROUP BY 1, 2)
    SELECT object, array_agg(CASE WHEN object = 'large objects' THEN privilege || ' (' || objects || ')' ELSE privilege END
                             ORDER BY privilege COLLATE "C") AS privileges
      FROM differing GROUP BY object ORDER BY object COLLATE "C"`);
  return rows;
}

/** On a table or one of its columns. */
const isOn = (tables: readonly string[], { object }: Grant): boolean =>
  tables.some((table) => object === `table ${table}` || object.startsWith(`column ${table}.`));

async function countOwnedTables(client: Client, tables: readonly string[]): Promise<Record<string, number>> {
  const { rows } = await client.query(
    `SELECT pg_get_userbyid(c.relowner) AS owner, count(*)::int AS objects FROM pg_class c
      WHERE c.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) name) GROUP BY 1 ORDER BY 1`,
    [tables],
  );
  return Object.fromEntries(rows.map(({ owner, objects }) => [owner, objects]));
}

async function countOwned(client: Client): Promise<Record<string, number>> {
  const { rows } = await client.query(`
    SELECT pg_get_userbyid(owner) AS owner, count(*)::int AS objects FROM (
      SELECT c.relowner AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND ${inUse('pg_class', 'c.oid')}
       UNION ALL
      SELECT n.nspowner FROM pg_namespace n WHERE ${inUse('pg_namespace', 'n.oid')}
         -- Whom initdb gave it to changed in 15: from the first superuser to pg_database_owner.
         AND NOT (n.nspname = 'public' AND pg_get_userbyid(n.nspowner) IN (pg_get_userbyid(10), 'pg_database_owner'))
       UNION ALL
      -- The constructors of a range belong to whoever made it, and stay theirs when its owner changes.
      SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
       WHERE ${inUse('pg_proc', 'p.oid')} AND NOT EXISTS (
         SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
       UNION ALL
      SELECT t.typowner FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
       WHERE t.typtype IN ('d', 'e', 'r') AND ${inUse('pg_type', 't.oid')}
       UNION ALL
      SELECT m.lomowner FROM pg_largeobject_metadata m
       UNION ALL
      SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()) o
    GROUP BY 1 ORDER BY 1`);
  return Object.fromEntries(rows.map(({ owner, objects }) => [owner, objects]));
}

/** `ALTER ROLE ALL SET` is left out: no tool of PostgreSQL dumps it. */
async function listSettings(client: Client): Promise<ConfiguredSetting[]> {
  const { rows } = await client.query(`
    SELECT * FROM (
      SELECT CASE WHEN s.setrole = 0 THEN 'database'
                  WHEN s.setdatabase = 0 THEN format('role %I', pg_get_userbyid(s.setrole))
                  ELSE format('role %I in the database', pg_get_userbyid(s.setrole)) END AS scope,
             -- 16 renamed a setting, and tells it by its new name.
             replace(lower(split_part(c.setting, '=', 1)), 'force_parallel_mode', 'debug_parallel_query') AS name, substr(c.setting, strpos(c.setting, '=') + 1) AS value
        FROM pg_db_role_setting s, unnest(s.setconfig) AS c (setting)
       WHERE (s.setdatabase = 0 AND s.setrole <> 0)
          OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())) q
     ORDER BY scope COLLATE "C", name COLLATE "C"`);
  return rows;
}
