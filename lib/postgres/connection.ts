import pg from 'pg';
import { z } from 'zod';
import { PgdrError } from '../core/errors.ts';

/** How to reach a server: the shape of a database secret (the one that RDS writes, plus TLS). */
const connectionSchema = z.object({
  host: z.string().min(1),
  port: z.coerce.number().int().min(1).max(65535).default(5432),
  username: z.string().min(1),
  password: z.string(),
  dbname: z.string().min(1).default('postgres'),
  /** libpq's names. Verification of the server's certificate and name is the default. */
  sslmode: z.enum(['disable', 'require', 'verify-ca', 'verify-full']).default('verify-full'),
  /** PEM of the certificate authority; the system's are used when absent. */
  sslrootcert: z.string().optional(),
});

export interface Connection extends z.infer<typeof connectionSchema> {
  /** How long a query waits for a lock; without it, as the server has it. */
  readonly lockTimeoutSeconds?: number;
}

/** Parses a secret's text; the error names the field and never repeats the value. */
export function parseConnection(secretText: string, secretName: string): Connection {
  let value: unknown;
  try {
    value = JSON.parse(secretText);
  } catch {
    throw new PgdrError('SecretUnusable', `secret ${secretName} is not JSON`);
  }
  const result = connectionSchema.safeParse(value);
  if (!result.success) {
    const fields = result.error.issues.map((issue) => issue.path.join('.') || 'the whole').join(', ');
    throw new PgdrError('SecretUnusable', `secret ${secretName}: wrong or missing: ${fields}`);
  }
  return result.data;
}

/**
 * Limits that a server, database or role may set for its applications, and that would end a backup or a restore half-way.
 * transaction_timeout came with PostgreSQL 17, idle_session_timeout with 14; what a server does not know is left out.
 */
export const withoutTimeouts = `
  SELECT pg_catalog.set_config(name, '0', false)
    FROM pg_catalog.unnest(ARRAY['statement_timeout', 'transaction_timeout', 'idle_session_timeout',
                                 'idle_in_transaction_session_timeout']) name
   WHERE pg_catalog.current_setting(name, true) <> '0'`;

/** Opens one connection, which no timeout of the server ends. Errors are `DatabaseAuthenticationFailed` or `DatabaseUnreachable`. */
export async function connect(
  connection: Connection,
  applicationName: string,
  /** For a server that may be dead or frozen: a limit for the connection and for each statement. */
  { timeoutSeconds }: { timeoutSeconds?: number } = {},
): Promise<pg.Client> {
  const limit = timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000;
  const client = new pg.Client({
    ...clientConfig(connection, applicationName),
    ...(limit !== undefined && { connectionTimeoutMillis: limit, query_timeout: limit }),
  });
  // A connection lost between queries is emitted here; the next query on it reports the loss.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(withoutTimeouts);
    if (connection.lockTimeoutSeconds) await client.query(`SET lock_timeout = '${connection.lockTimeoutSeconds}s'`);
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw connectionError(connection, error);
  }
}

export const clientConfig = (connection: Connection, applicationName: string): pg.ClientConfig => ({
  host: connection.host,
  port: connection.port,
  user: connection.username,
  password: connection.password,
  database: connection.dbname,
  ssl: tls(connection),
  application_name: applicationName,
  connectionTimeoutMillis: 10_000,
  keepAlive: true,
});

function tls(connection: Connection): pg.ClientConfig['ssl'] {
  if (connection.sslmode === 'disable') return false;
  return {
    ca: connection.sslrootcert,
    rejectUnauthorized: connection.sslmode !== 'require',
    ...(connection.sslmode === 'verify-ca' && { checkServerIdentity: () => undefined }),
  };
}

/** SQLSTATE class 28 is refused credentials (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
export function connectionError(connection: Connection, error: unknown): PgdrError {
  const { code, message } = error as { code?: string; message: string };
  const where = `${connection.username}@${connection.host}:${connection.port}/${connection.dbname}`;
  if (code?.startsWith('28'))
    return new PgdrError('DatabaseAuthenticationFailed', `${where}: ${message}`, { cause: error });
  return new PgdrError('DatabaseUnreachable', `${where}: ${message || code}`, { cause: error });
}
