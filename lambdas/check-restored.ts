import { readSecret } from '../lib/aws/secret.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { checkAssertions } from '../lib/postgres/assertions.ts';
import { type Connection, connect, parseConnection } from '../lib/postgres/connection.ts';
import { findDefects } from '../lib/postgres/integrity.ts';
import { defineHandler } from './define-handler.ts';

interface Event {
  /** Identifier of the RDS instance that the recovery point was taken of. */
  readonly source: string;
  /** Where the restored one answers. */
  readonly host: string;
  readonly port: number;
}

/** A database of the configuration that RDS runs. */
interface Known {
  readonly database: string;
  readonly secret: string;
  readonly assertions: readonly (string | { readonly database: string; readonly sql: string })[];
}

const known: readonly Known[] = JSON.parse(process.env.DATABASES ?? '[]');

/**
 * Looks at a server that AWS Backup has restored, with the secret of the one that it was taken of: it opens, holds
 * tables, keeps its own rules, and the assertions of the configuration hold. Throws at the first thing that is amiss,
 * and where there is nothing to hold it to.
 */
export const handler = defineHandler(async ({ source, host, port }: Event): Promise<{ message: string }> => {
  for (const { database, secret, assertions } of known) {
    const connection = parseConnection(await readSecret(secret), secret);
    if (connection.host.split('.')[0] !== source) continue;
    const sql = assertions.flatMap((one) =>
      typeof one === 'string' ? [one] : one.database === connection.dbname ? [one.sql] : [],
    );
    const tables = await look({ ...connection, host, port }, sql);
    return {
      message: `${database}: ${tables} tables, ${sql.length} assertions hold, every index is valid`,
    };
  }
  throw new PgdrError('UnknownDatabase', `${source} is the server of no database of the configuration`);
});

async function look(connection: Connection, assertions: readonly string[]): Promise<number> {
  const client = await connect(connection, 'pgdr restore validation');
  try {
    const { rows } = await client.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    const tables = rows[0]?.n ?? 0;
    if (tables === 0) throw new PgdrError('StructureDiffers', `${connection.dbname} holds no table`);
    const { indexesInvalid } = await findDefects(client);
    if (indexesInvalid.length > 0) throw new PgdrError('IndexCorrupt', `invalid: ${indexesInvalid.join(', ')}`);
    for (const { sql, problem } of await checkAssertions(client, assertions))
      if (problem !== null) throw new PgdrError('AssertionFailed', `${sql}: ${problem}`);
    return tables;
  } finally {
    await client.end().catch(() => {});
  }
}
