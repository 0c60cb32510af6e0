import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { type Connection, connect } from './connection.ts';

/** `Aurora`, `RDS`, or undefined for a server of one's own. Asks the catalogs alone, which any role may read. */
export async function managedService(client: Client): Promise<'RDS' | 'Aurora' | undefined> {
  const { rows } = await client.query(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_superuser') AS rds,
            EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = 'aurora_version') AS aurora`,
  );
  if (rows[0]?.aurora) return 'Aurora';
  return rows[0]?.rds ? 'RDS' : undefined;
}

/** Throws `ServerManaged` for RDS and Aurora, which refuse the replication connections that physical backups are made of. */
export async function refuseManaged(client: Client): Promise<void> {
  const service = await managedService(client);
  if (service === undefined) return;
  throw new PgdrError(
    'ServerManaged',
    `the server is ${service === 'RDS' ? 'Amazon RDS' : 'Amazon Aurora'}, which refuses replication connections`,
  );
}

/** After a server refused such a connection: `ServerManaged` if that is why, otherwise what it said. */
export async function explainRefusal(connection: Connection, error: unknown): Promise<never> {
  const client = await connect(connection, 'pgdr preflight').catch(() => undefined);
  try {
    if (client) await refuseManaged(client);
  } finally {
    await client?.end().catch(() => {});
  }
  throw error;
}
