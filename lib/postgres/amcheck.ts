import pg, { type Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { ownSchemas } from './catalog.ts';
import { spread } from './spread.ts';

/** Looks at the pages of a database that nobody uses: amcheck over every B-tree and table, then REINDEX. */

export interface StorageState {
  /** Version of the extension; null where the server does not have it, and then nothing was looked at. */
  readonly amcheck: string | null;
  readonly indexes: number;
  /** Number of tables whose pages were looked at; 0 before PostgreSQL 14, whose amcheck knows only indexes. */
  readonly tables: number;
  /** What is damaged, each with amcheck's words. */
  readonly damaged: readonly string[];
  readonly reindexed: number;
  readonly reindexFailures: readonly string[];
}

/** Per connection. A setting of the database or of the role must not stop the work; neither may its event triggers. */
const settings = [
  "SET search_path = 'pg_catalog'",
  'SET statement_timeout = 0',
  'SET lock_timeout = 0',
  'SET default_transaction_read_only = off',
  'SET session_replication_role = replica',
];

/** amcheck first: REINDEX would mend what it has to find. Needs a superuser. */
export async function examineStorage(clients: readonly Client[]): Promise<StorageState> {
  const [first] = clients;
  if (!first) throw new Error('examineStorage needs a connection');
  for (const client of clients) for (const setting of settings) await client.query(setting);
  const amcheck = await makeAmcheck(first);
  const checked = amcheck ? await runAmcheck(clients, amcheck) : { indexes: 0, tables: 0, damaged: [] };
  if (amcheck?.made) await first.query('DROP EXTENSION amcheck');
  return { amcheck: amcheck?.version ?? null, ...checked, ...(await reindex(clients)) };
}

interface Amcheck {
  readonly version: string;
  readonly schema: string;
  readonly made: boolean;
  /** verify_heapam came with amcheck 1.3, PostgreSQL 14. */
  readonly tables: boolean;
}

async function makeAmcheck(client: Client): Promise<Amcheck | undefined> {
  const look = async (made: boolean): Promise<Amcheck | undefined> => {
    const { rows } = await client.query(`
      SELECT e.extversion AS version, quote_ident(n.nspname) AS schema,
             EXISTS (SELECT FROM pg_proc WHERE proname = 'verify_heapam' AND pronamespace = n.oid) AS tables
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'`);
    return rows[0] && { ...rows[0], made };
  };
  const there = await look(false);
  if (there) return there;
  const { rowCount } = await client.query("SELECT FROM pg_available_extensions WHERE name = 'amcheck'");
  if (rowCount === 0) return undefined;
  await client.query('CREATE EXTENSION amcheck SCHEMA pg_catalog');
  return look(true);
}

/** Tables and B-trees, PostgreSQL's own and those of TOAST too. */
async function runAmcheck(
  clients: readonly Client[],
  { schema, tables }: Amcheck,
): Promise<Pick<StorageState, 'indexes' | 'tables' | 'damaged'>> {
  const { rows } = await (clients[0] as Client).query(`
    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'i' AS "isIndex"
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
      LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE c.relpersistence <> 't'
       AND (c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid AND i.indisready AND i.indislive
            OR c.relkind IN ('r', 'm', 't') AND a.amname = 'heap')
     ORDER BY c.relpages DESC, c.oid`);
  const items = rows.filter((row) => row.isIndex || tables);
  const damage = await spread(clients, items, async (client, { oid, name, isIndex }) => {
    try {
      if (isIndex) {
        // Includes all of bt_index_check, and that every row of the table is found in the index.
        await client.query(`SELECT ${schema}.bt_index_parent_check($1::oid::regclass, true)`, [oid]);
        return [];
      }
      const found = await client.query(
        `SELECT blkno, offnum, msg FROM ${schema}.verify_heapam($1::oid::regclass, check_toast => true) LIMIT 1`,
        [oid],
      );
      return found.rows.map(({ blkno, offnum, msg }) => `${name} block ${blkno} offset ${offnum}: ${msg}`);
    } catch (error) {
      return [`${name}: ${sqlError(error, name)}`];
    }
  });
  const indexes = items.filter((item) => item.isIndex).length;
  return { indexes, tables: items.length - indexes, damaged: damage.flat() };
}

/** Builds every index of every user table anew, those of TOAST with their table. */
async function reindex(clients: readonly Client[]): Promise<Pick<StorageState, 'reindexed' | 'reindexFailures'>> {
  const { rows } = await (clients[0] as Client).query(`
    SELECT format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND (c.relhasindex OR c.reltoastrelid <> 0) AND ${ownSchemas}
     ORDER BY c.relpages DESC, 1`);
  const failures = await spread(clients, rows, async (client, { name }) => {
    try {
      await client.query(`REINDEX TABLE ${name}`);
      return [];
    } catch (error) {
      return [`${name}: ${sqlError(error, name)}`];
    }
  });
  return { reindexed: rows.length, reindexFailures: failures.flat() };
}

/** What the server said; throws `EphemeralServerFailed` when it did not say anything because it is gone. */
function sqlError(error: unknown, name: string): string {
  const { code, message } = error as Partial<pg.DatabaseError>;
  // Class 57P is a server that goes down, or restarts after another session crashed it.
  if (error instanceof pg.DatabaseError && !code?.startsWith('57P')) return error.message;
  throw new PgdrError('EphemeralServerFailed', `the server was lost while it looked at ${name}: ${message}`, {
    cause: error,
  });
}
