import pg, { type Client } from 'pg';
import { PgdrError } from '../core/errors.ts';

export interface AssertionState {
  readonly sql: string;
  /** null when it holds. */
  readonly problem: string | null;
}

const booleanOid = 16;

/**
 * The operator's own SQL, one statement each, in a read-only transaction with the database's own settings: holds when
 * it gives one row with one boolean that is true.
 */
export async function checkAssertions(client: Client, assertions: readonly string[]): Promise<AssertionState[]> {
  const states: AssertionState[] = [];
  for (const sql of assertions) states.push({ sql, problem: await problemOf(client, sql) });
  return states;
}

async function problemOf(client: Client, sql: string): Promise<string | null> {
  await client.query('BEGIN READ ONLY');
  try {
    // The extended protocol takes one statement only, so none can end the transaction and write.
    const query = { text: sql, rowMode: 'array', queryMode: 'extended' };
    const { rows, fields } = await client.query<unknown[]>(query as pg.QueryArrayConfig);
    const [row] = rows;
    if (fields.length !== 1 || fields[0]?.dataTypeID !== booleanOid) {
      return `gives ${fields.length === 1 ? 'a column that is not boolean' : `${fields.length} columns`}, not one boolean`;
    }
    if (rows.length !== 1 || row === undefined) return `gives ${rows.length} rows, not one`;
    return row[0] === true ? null : `is ${row[0] === null ? 'null' : 'false'}`;
  } catch (error) {
    if (error instanceof pg.DatabaseError && !error.code?.startsWith('57P')) return error.message;
    throw new PgdrError(
      'EphemeralServerFailed',
      `the server was lost during an assertion: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  } finally {
    await client.query('ROLLBACK').catch(() => {});
  }
}
