import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { type Extent, hasLargeObjects } from './selection.ts';

/** What a dump would lose or stumble over, found before the first byte is written. */

export interface Skipped {
  /** Absent for what concerns the server. */
  readonly database?: string;
  readonly what: string;
  readonly why: string;
}

/** A kind of content that a logical dump can leave out, under the name by which configuration may allow it. */
interface Check {
  readonly kind: string;
  readonly why: string;
  /** Gives one column `what`. */
  readonly query: string;
  /** Lost by the nature of a logical dump: recorded, and no reason to fail. */
  readonly inherent?: boolean;
  /** The same in every database. */
  readonly ofServer?: boolean;
  /** No loss in a table that is dumped without its rows. */
  readonly ofRows?: boolean;
}

const userSchemas = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(temp|toast_temp)_'`;

const checks: readonly Check[] = [
  {
    kind: 'row-security',
    ofRows: true,
    why: 'row-level security hides rows from the backup role, which has no BYPASSRLS',
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS what
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relrowsecurity AND ${userSchemas}
       AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
       AND (c.relforcerowsecurity OR NOT pg_has_role(current_user, c.relowner, 'USAGE'))`,
  },
  {
    kind: 'unlogged-table',
    ofRows: true,
    why: 'this server is a standby, which has no rows of unlogged tables: exclude their rows, or back up the primary',
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS what
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE pg_is_in_recovery() AND c.relkind = 'r' AND c.relpersistence = 'u' AND ${userSchemas}`,
  },
  {
    kind: 'subscription',
    why: 'subscriptions are dumped for a superuser alone',
    query: `SELECT quote_ident(s.subname) AS what FROM pg_subscription s
     WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`,
  },
  {
    kind: 'replication-slot',
    why: 'slots are in no dump: who reads this one has to begin anew after a restore',
    inherent: true,
    query: `SELECT format('logical slot %I', slot_name) AS what
      FROM pg_replication_slots WHERE database = current_database() AND NOT temporary`,
  },
  {
    kind: 'system-schema',
    why: 'what was added to pg_catalog or information_schema is in no dump',
    inherent: true,
    query: `SELECT format('%s %I.%I', o.kind, n.nspname, o.name) AS what
      FROM (SELECT 'relation' AS kind, relnamespace AS schema, oid, 'pg_class'::regclass AS classid, relname AS name FROM pg_class
             WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
             UNION ALL
            SELECT 'function', pronamespace, oid, 'pg_proc'::regclass, proname FROM pg_proc
             UNION ALL
            SELECT 'type', typnamespace, oid, 'pg_type'::regclass, typname FROM pg_type WHERE typtype IN ('d', 'e', 'r')) o
      JOIN pg_namespace n ON n.oid = o.schema
     WHERE o.oid >= 16384 AND n.nspname IN ('pg_catalog', 'information_schema')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e')`,
  },
  {
    kind: 'tablespace',
    why: 'restored objects lie in the default tablespace of their server',
    inherent: true,
    ofServer: true,
    query: `SELECT format('tablespace %I', spcname) AS what FROM pg_tablespace WHERE oid >= 16384`,
  },
  {
    kind: 'foreign-table',
    why: 'rows of a foreign table live on another server',
    inherent: true,
    query: `SELECT format('%I.%I', n.nspname, c.relname) AS what
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND ${userSchemas}`,
  },
  {
    kind: 'setting-for-all',
    why: 'ALTER ROLE ALL SET is in no dump; set it again after a restore',
    inherent: true,
    ofServer: true,
    query: `SELECT format('ALTER ROLE ALL SET %s', unnest(setconfig)) AS what
      FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = 0`,
  },
  {
    kind: 'role-password',
    why: 'roles are kept without their passwords; set them again, or keep them in a secret store',
    inherent: true,
    ofServer: true,
    query: `SELECT 'passwords of roles' AS what`,
  },
];

/** Refuses a pairing of tools and server that pg_dump would refuse, or would write what an old server cannot read. */
export function checkMajors(toolMajor: number, toolVersion: string, serverVersionNum: number): void {
  const serverMajor = Math.floor(serverVersionNum / 10_000);
  if (toolMajor === serverMajor) return;
  throw new PgdrError('PostgresMajorMismatch', `the server is PostgreSQL ${serverMajor}, the task has ${toolVersion}`);
}

/** Refuses a restore into an older major: it could not read what pg_dump wrote, or would lose what it does not know. */
export function checkNotOlder(targetMajor: number, backupVersionNum: number): void {
  const backupMajor = Math.floor(backupVersionNum / 10_000);
  if (targetMajor >= backupMajor) return;
  throw new PgdrError(
    'PostgresMajorMismatch',
    `the backup is of PostgreSQL ${backupMajor}, the target is ${targetMajor}, an older one`,
  );
}

/**
 * Throws `TableNotReadable` or `BackupIncomplete` with everything that is missing, so that one round of grants mends
 * it; gives what is skipped with the configuration's consent.
 */
export async function checkContent(
  client: Client,
  database: string,
  extent: Extent,
  allowSkipped: readonly string[],
): Promise<Skipped[]> {
  const unreadable = await findUnreadable(client, extent);
  if (unreadable.length > 0) {
    const { rows } = await client.query('SELECT current_user AS role');
    throw new PgdrError(
      'TableNotReadable',
      `role ${rows[0].role} may not read in ${database}: ${enumerate(unreadable)}`,
    );
  }
  const skipped: Skipped[] = [];
  for (const check of checks) {
    const { rows } = await client.query(check.query);
    const without = [...extent.excludedRelations, ...((check.ofRows && extent.selection?.withoutRows) || [])];
    const found = rows.map((row) => row.what as string).filter((what) => !without.includes(what));
    if (found.length > 0 && !check.inherent && !allowSkipped.includes(check.kind)) {
      throw new PgdrError('BackupIncomplete', `${check.kind} in ${database}: ${check.why}: ${enumerate(found)}`);
    }
    const { why } = check;
    skipped.push(...found.map((what) => (check.ofServer ? { what, why } : { database, what, why })));
  }
  return skipped;
}

/** Tables, sequences, schemas and large objects that pg_dump or the fingerprint would be denied. */
async function findUnreadable(client: Client, extent: Extent): Promise<string[]> {
  const { excludedOids, excludedSchemas } = extent;
  const { rows } = await client.query(
    `
    SELECT format('schema %I', n.nspname) AS what FROM pg_namespace n
     WHERE ${userSchemas} AND NOT has_schema_privilege(n.oid, 'USAGE') AND n.nspname <> ALL ($2)
     UNION ALL
    SELECT format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND ${userSchemas} AND c.oid <> ALL ($1::oid[])
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
       AND NOT CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                              ELSE has_table_privilege(c.oid, 'SELECT') END
     UNION ALL
    SELECT format('large object %s', m.oid) FROM pg_largeobject_metadata m
     WHERE $3 AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT current_setting('lo_compat_privileges')::bool
       AND NOT pg_has_role(current_user, m.lomowner, 'USAGE')
       AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a
                        WHERE a.privilege_type = 'SELECT'
                          AND (a.grantee = 0 OR pg_has_role(current_user, a.grantee, 'USAGE')))
     ORDER BY 1`,
    [excludedOids, excludedSchemas, hasLargeObjects(extent)],
  );
  return rows.map((row) => row.what as string);
}

/** The first few by name, the rest by number: a message that fits in Slack. */
function enumerate(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
