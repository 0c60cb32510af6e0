import type { Client } from 'pg';
import type { TocEntry } from '../lib/core/archive-toc.ts';
import { PgdrError } from '../lib/core/errors.ts';
import {
  quoteIdentifier,
  quoteLiteral,
  renameDatabase,
  splitStatements,
  withoutClause,
} from '../lib/core/sql-statements.ts';

/**
 * The database itself. `pg_restore --create` makes it under its old name alone; these run the same statements of the
 * archive for another name.
 */

/** Makes the empty database with the encoding, locale and owner of the source; the connection is to another one. */
export async function createDatabase(client: Client, toc: readonly TocEntry[], name: string): Promise<void> {
  const entry = toc.find(({ kind }) => kind === 'DATABASE');
  if (!entry) throw new PgdrError('ArchiveUnreadable', 'the archive of the definitions names no database');
  const [statement] = splitStatements(entry.definition);
  // Tablespaces are the source's own.
  await client.query(withoutClause(renameDatabase(statement ?? '', entry.tag, name), 'TABLESPACE', '='));
  if (entry.owner) {
    await client.query(`ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${quoteIdentifier(entry.owner)}`);
  }
}

/**
 * Settings, privileges and comment of the database. At the end of a restore: a setting like
 * default_transaction_read_only or a connection limit would stop it.
 */
export async function describeDatabase(
  client: Client,
  toc: readonly TocEntry[],
  name: string,
  { comment = true } = {},
): Promise<void> {
  const source = toc.find(({ kind }) => kind === 'DATABASE')?.tag ?? name;
  const own = toc.filter(
    ({ kind, tag, schema }) =>
      kind === 'DATABASE PROPERTIES' ||
      (schema === '' &&
        tag === `DATABASE ${source}` &&
        (kind === 'ACL' || kind === 'SECURITY LABEL' || (comment && kind === 'COMMENT'))),
  );
  for (const { definition } of own) {
    for (const statement of splitStatements(definition)) await client.query(renameDatabase(statement, source, name));
  }
}

const incompleteMark = 'pgdr: incomplete restore of ';

/** What a half-made database says of itself: it may be removed, and a restore of the same name removes it. */
export const markIncomplete = (client: Client, name: string, backupId: string): Promise<unknown> =>
  comment(client, name, `${incompleteMark}${backupId} started ${new Date().toISOString()}`);

export const markRestored = (client: Client, name: string, backupId: string, takenAt: string): Promise<unknown> =>
  comment(client, name, `pgdr: restored from ${backupId} of ${takenAt}, complete since ${new Date().toISOString()}`);

const comment = (client: Client, name: string, text: string): Promise<unknown> =>
  client.query(`COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(text)}`);

export type DatabaseState = 'absent' | 'incomplete' | 'empty' | 'filled';

/** What is there under this name. `look` opens a connection to it. */
export async function stateOf(
  client: Client,
  name: string,
  look: (question: string) => Promise<{ filled: boolean }>,
): Promise<DatabaseState> {
  const { rows } = await client.query(
    `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1`,
    [name],
  );
  if (rows.length === 0) return 'absent';
  if (rows[0].comment?.startsWith(incompleteMark)) return 'incomplete';
  return (await look(holdsAnything)).filled ? 'filled' : 'empty';
}

/** Anything that a database is not born with. */
const holdsAnything = `
  SELECT EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace)
      OR EXISTS (SELECT FROM pg_proc WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_type WHERE oid >= 16384)
      OR EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_largeobject_metadata) AS filled`;

/** Sessions are ended, so that nobody holds on to it. */
export const dropDatabase = (client: Client, name: string): Promise<unknown> =>
  client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);

/**
 * Puts `fresh` in the place of `name` and drops what was there. Both names change in one transaction: at every moment
 * there is a complete database of that name, the old one or the new.
 */
export async function replaceDatabase(client: Client, name: string, fresh: string, aside: string): Promise<void> {
  const [database, old, made] = [name, aside, fresh].map(quoteIdentifier);
  await client.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS false`);
  try {
    await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ($1, $2)`, [
      name,
      fresh,
    ]);
    await client.query('BEGIN');
    // Sessions end a moment after they were told to; a rename waits five seconds for them.
    await client.query(`ALTER DATABASE ${database} RENAME TO ${old}`);
    await client.query(`ALTER DATABASE ${made} RENAME TO ${database}`);
    await client.query(`COMMENT ON DATABASE ${old} IS ${quoteLiteral('pgdr: replaced by a restore, may be dropped')}`);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    await client.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS true`).catch(() => {});
    throw error;
  }
  await dropDatabase(client, aside);
}

/** The schema's new name; types and functions of extensions stay under the old one, where the target has them. */
export async function renameSchema(client: Client, from: string, to: string): Promise<void> {
  const [old, fresh] = [quoteIdentifier(from), quoteIdentifier(to)];
  await client.query(`ALTER SCHEMA ${old} RENAME TO ${fresh}`);
  const { rows } = await client.query(
    'SELECT extname AS name FROM pg_extension WHERE extnamespace = $1::regnamespace',
    [fresh],
  );
  if (rows.length > 0 || from === 'public') await client.query(`CREATE SCHEMA ${old}`);
  for (const { name } of rows) await client.query(`ALTER EXTENSION ${quoteIdentifier(name)} SET SCHEMA ${old}`);
}
