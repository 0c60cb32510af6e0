import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { TableFingerprint } from '../core/manifest.ts';
import { listTables } from './catalog.ts';
import { type Column, rowText } from './row-text.ts';

/**
 * The content of every table as a row count and two 64-bit hash sums over the rows' text. A sum, not an XOR, so that
 * two equal rows do not cancel out; two seeds, so that a swap of values does not hide in one. The order of rows does
 * not matter, which is why a restored table can be compared with its source.
 */

/** Settings that change how a value is written as text; both sides are pinned to the same. */
export const pinned: readonly string[] = [
  "SET search_path = 'pg_catalog'",
  "SET TimeZone = 'UTC'",
  "SET DateStyle = 'ISO, YMD'",
  "SET IntervalStyle = 'iso_8601'",
  'SET extra_float_digits = 3',
  "SET bytea_output = 'hex'",
  "SET lc_monetary = 'C'",
  'SET statement_timeout = 0',
  // Without this a table under row-level security would be hashed as far as the reader may see it: now it fails.
  'SET row_security = off',
];

/** The name under which all large objects of a database are fingerprinted. */
export const largeObjects = 'pg_catalog.pg_largeobject';

const sums = `count(*)::text AS rows, coalesce(sum(hashtextextended(r, 1)), 0)::text AS hash1,
  coalesce(sum(hashtextextended(r, 2)), 0)::text AS hash2`;

/**
 * Fingerprints tables (null: every one, and the large objects), spread over the given connections (which share one snapshot, or look at a database that
 * nobody writes to), in the order given, or the largest first.
 */
export async function takeFingerprint(
  clients: readonly Client[],
  relations: readonly string[] | null = null,
  onTable?: (table: TableFingerprint) => void,
  /** Where rows that the reader may not see are left out knowingly. */
  { onlyVisible = false } = {},
): Promise<TableFingerprint[]> {
  const [first] = clients;
  if (!first) throw new Error('takeFingerprint needs a connection');
  const settings = onlyVisible ? [...pinned, 'SET row_security = on'] : pinned;
  for (const client of clients) for (const setting of settings) await client.query(setting);
  const waiting = [...(relations ?? [largeObjects, ...(await listTables(first)).map((table) => table.relation)])];
  const done: TableFingerprint[] = [];
  await Promise.all(
    clients.map(async (client) => {
      for (let relation = waiting.shift(); relation; relation = waiting.shift()) {
        const fingerprint = await fingerprintOf(async (query) => (await client.query(query)).rows, relation);
        done.push(fingerprint);
        onTable?.(fingerprint);
      }
    }),
  );
  return done.sort((a, b) => (a.relation < b.relation ? -1 : 1));
}

/** Runs one query and gives its rows: a connection, or a transaction that something else holds open. */
export type Ask = (query: string) => Promise<Record<string, string>[]>;

/** The fingerprint of one relation, by whoever has the settings of {@link pinned}. */
export async function fingerprintOf(ask: Ask, relation: string): Promise<TableFingerprint> {
  if (relation === largeObjects) {
    const all = "SELECT oid || ':' || md5(lo_get(oid)) AS r FROM pg_largeobject_metadata";
    const [row] = await ask(`SELECT ${sums} FROM (${all}) s`);
    return { relation, columns: '', ...(row as Sums) };
  }
  const columns = await listColumns(ask, relation);
  // OFFSET 0 keeps the planner from writing the row's text in the place of each of its uses, each computed anew.
  const [row] = await ask(`SELECT ${sums} FROM (SELECT ${rowText(columns)} AS r FROM ONLY ${relation} t OFFSET 0) s`);
  return { relation, columns: hashOf(columns), ...(row as Sums) };
}

/** That of a table whose rows are left out: what a restore of it shows. */
export async function emptyFingerprint(client: Client, relation: string): Promise<TableFingerprint> {
  const columns = await listColumns(async (query) => (await client.query(query)).rows, relation);
  return { relation, columns: hashOf(columns), rows: '0', hash1: '0', hash2: '0' };
}

const hashOf = (columns: readonly Column[]): string =>
  createHash('sha256')
    .update(columns.map(({ name, type }) => `${name} ${type}`).join(', '))
    .digest('hex');

type Sums = Pick<TableFingerprint, 'rows' | 'hash1' | 'hash2'>;

/** What a row's text does not show: names, and types with whether they are generated. */
const listColumns = (ask: Ask, relation: string): Promise<Column[]> =>
  ask(`
    SELECT quote_ident(attname) AS name, format_type(atttypid, atttypmod) || attgenerated::text AS type,
           CASE WHEN typnamespace = 'pg_catalog'::regnamespace THEN typname::text ELSE '' END AS builtin
      FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
     WHERE attrelid = '${relation.replaceAll("'", "''")}'::regclass AND attnum > 0 AND NOT attisdropped
     ORDER BY attname COLLATE "C"`) as Promise<unknown> as Promise<Column[]>;
