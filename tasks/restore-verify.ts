import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseBackup, TableFingerprint } from '../lib/core/manifest.ts';
import { compareTables, totalRows } from '../lib/core/proof.ts';
import { connect } from '../lib/postgres/connection.ts';
import { takeFingerprint } from '../lib/postgres/fingerprint.ts';
import type { TargetServer } from './restore-tools.ts';

/** Hashes two tables at a time: a restored database belongs to its restore until it is proven. */
export async function verifyDatabase(
  server: TargetServer,
  database: string,
  manifest: DatabaseBackup,
  relations: readonly string[],
): Promise<string> {
  const open = () => connect({ ...server.connection, dbname: database }, 'pgdr verify');
  const clients = await Promise.all([open(), open()]);
  try {
    return verifyTables(manifest, relations, await takeFingerprint(clients));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

/** Compares row counts and content with the manifest; gives the number of rows, or throws `ContentDiffers`. */
export function verifyTables(
  manifest: DatabaseBackup,
  relations: readonly string[],
  restored: readonly TableFingerprint[],
): string {
  const expected = manifest.tables.filter(({ relation }) => relations.includes(relation));
  const tables = compareTables(expected, restored);
  const wrong = tables.filter((table) => !table.hashesEqual || table.rows !== table.expectedRows);
  if (wrong.length === 0) return totalRows(tables);
  const shown = wrong.slice(0, 10).map(({ relation, rows, expectedRows }) => {
    if (rows === null) return `${relation} is missing`;
    return rows === expectedRows
      ? `${relation} has other content`
      : `${relation} has ${rows} rows, not ${expectedRows}`;
  });
  const more = wrong.length > 10 ? ` and ${wrong.length - 10} more` : '';
  throw new PgdrError('ContentDiffers', `${shown.join('; ')}${more}`);
}
