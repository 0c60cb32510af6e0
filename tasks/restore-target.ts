import type { Client } from 'pg';
import { PgdrError } from '../lib/core/errors.ts';
import type { Manifest } from '../lib/core/manifest.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { checkMajors, checkNotOlder } from '../lib/postgres/preflight.ts';
import { toolEnvironment, toolVersion } from '../lib/postgres/tools.ts';
import { withClient } from './restore.ts';
import { type DatabaseState, stateOf } from './restore-database.ts';
import type { TargetServer } from './restore-tools.ts';

/** A server that others use too, with a connection beside the databases that come and go. */
export interface Target extends TargetServer {
  readonly control: Client;
  close(): Promise<void>;
}

/** Throws `PostgresMajorMismatch` when this task's tools, or the backup, are not for a server of this major. */
export async function openTarget(
  secret: Connection,
  { serverVersionNum }: Pick<Manifest, 'serverVersionNum'>,
  directory: string,
): Promise<Target> {
  const tools = await toolEnvironment(secret, directory);
  const control = await connectBeside(secret);
  try {
    const { rows } = await control.query(`
      SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS num,
             current_database() AS dbname`);
    const { version, num, dbname } = rows[0];
    const own = await toolVersion(tools);
    checkMajors(own.major, own.text, num);
    checkNotOlder(own.major, serverVersionNum);
    return {
      connection: { ...secret, dbname },
      tools,
      version,
      control,
      close: () => control.end().catch(() => {}),
    };
  } catch (error) {
    await control.end().catch(() => {});
    throw error;
  }
}

/** To `postgres`, which no restore replaces; where there is none, to the database of the secret. */
async function connectBeside(secret: Connection): Promise<Client> {
  try {
    return await connect({ ...secret, dbname: 'postgres' }, 'pgdr restore control');
  } catch {
    return connect(secret, 'pgdr restore control');
  }
}

/**
 * Keeps other restores away from a database until the control connection ends, and says what is there.
 * Throws `RestoreTargetExists` while another restore is at work on it.
 */
export async function claimDatabase(target: Target, name: string): Promise<DatabaseState> {
  const { rows } = await target.control.query(
    `SELECT pg_try_advisory_lock(hashtext('pgdr restore'), hashtext($1)) AS mine`,
    [name],
  );
  if (!rows[0].mine) throw new PgdrError('RestoreTargetExists', `another restore is at work on database ${name}`);
  if (name === target.connection.dbname) {
    throw new PgdrError('RestoreTargetExists', `${name} is the database from which restores are directed`);
  }
  return stateOf(target.control, name, (question) =>
    withClient(target, name, async (client) => (await client.query(question)).rows[0]),
  );
}

/** Throws `RestoreNotPermitted` for a role that may not create databases. */
export async function requireCreateDatabase(target: Target): Promise<void> {
  const { rows } = await target.control.query(
    'SELECT rolname AS role, rolsuper OR rolcreatedb AS may FROM pg_roles WHERE rolname = current_user',
  );
  if (rows[0].may) return;
  throw new PgdrError('RestoreNotPermitted', `role ${rows[0].role} may not create databases on ${hostOf(target)}`);
}

export const hostOf = ({ connection }: TargetServer): string => `${connection.host}:${connection.port}`;
