import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import type { DatabaseBackup } from '../lib/core/manifest.ts';
import { objectOf } from '../lib/core/restore-plan.ts';
import { withPossibleGrantors } from '../lib/core/role-grants.ts';
import { splitStatements, unquoteIdentifier, withoutClause, wordsOf } from '../lib/core/sql-statements.ts';
import { log } from './log.ts';
import { intoFile, readObject } from './restore-stream.ts';
import { finish, type RestoreOptions, startRestoring, type TargetServer } from './restore-tools.ts';

/** Fetches pg_dumpall's script of roles; gives its path. */
export async function fetchGlobals(
  manifest: Pick<DatabaseBackup, 'objects'>,
  store: ObjectStore,
  options: RestoreOptions,
): Promise<string> {
  const path = join(options.directory, 'globals.sql');
  await readObject(store, objectOf(manifest, 'globals'), intoFile(path), options.signal);
  return path;
}

/** For a server of our own: every role as it was. */
export async function restoreAllRoles(path: string, server: TargetServer, signal: AbortSignal): Promise<void> {
  const script = `${path}.own`;
  const statements = withPossibleGrantors(splitStatements(await readFile(path, 'utf8')));
  await writeFile(script, statements.map((statement) => `${statement};\n`).join(''), { mode: 0o600 });
  const args = ['--no-psqlrc', '--quiet', '--dbname=postgres', `--file=${script}`];
  const psql = startRestoring('psql', args, server.tools, signal);
  psql.process.stdin?.end();
  await finish('globals', psql);
}

/**
 * For a server that others use: only the roles that it lacks, with their memberships and settings, in one
 * transaction. Roles that exist are left as they are. Gives the names of the new ones.
 */
export async function createMissingRoles(path: string, client: Client): Promise<string[]> {
  const { rows } = await client.query('SELECT rolname AS name FROM pg_roles');
  const { created, statements } = statementsOfMissing(
    await readFile(path, 'utf8'),
    rows.map((row) => row.name),
  );
  if (created.length === 0) return [];
  await client.query('BEGIN');
  try {
    for (const statement of statements) await client.query(statement);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
  log('roles created', { roles: created });
  return created;
}

/** What of a script of pg_dumpall concerns roles that are not among `existing`. */
export function statementsOfMissing(
  script: string,
  existing: readonly string[],
): { created: string[]; statements: string[] } {
  const statements = splitStatements(script).map((text) => ({ text, words: wordsOf(text) }));
  const subject = (words: readonly string[], at: number) => unquoteIdentifier(words[at] ?? '');
  const missing = new Set(
    statements
      .filter(({ words }) => starts(words, 'CREATE', 'ROLE'))
      .map(({ words }) => subject(words, 2))
      .filter((name) => !existing.includes(name)),
  );
  const concerns = (words: readonly string[]): boolean => {
    if (starts(words, 'CREATE', 'ROLE') || starts(words, 'ALTER', 'ROLE')) return missing.has(subject(words, 2));
    if (starts(words, 'COMMENT', 'ON', 'ROLE')) return missing.has(subject(words, 3));
    const role = words.findIndex((word, i) => word === 'ON' && words[i + 1] === 'ROLE');
    if (starts(words, 'SECURITY', 'LABEL')) return role >= 0 && missing.has(subject(words, role + 2));
    if (!starts(words, 'GRANT')) return false;
    // GRANT group TO member, or GRANT SET ON PARAMETER name TO role.
    const to = words.indexOf('TO');
    return missing.has(subject(words, to + 1)) || (to === 2 && missing.has(subject(words, 1)));
  };
  return {
    created: [...missing],
    // Who granted a membership in the source need not exist here, nor have the right to.
    statements: statements
      .filter(({ words }) => concerns(words))
      .map(({ text, words }) => (words[0] === 'GRANT' ? withoutClause(text, 'GRANTED', 'BY') : text)),
  };
}

const starts = (words: readonly string[], ...head: readonly string[]): boolean =>
  head.every((word, i) => words[i] === word);
