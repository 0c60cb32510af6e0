import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { CliError } from '../errors.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

/** The database that a rehearsal protects: a real server, filled with one of everything that a backup can lose. */

export interface DemoDatabase {
  readonly server: PostgresServer;
  readonly name: 'orders';
  /** What Secrets Manager holds for this database: the backup role, not the superuser. */
  readonly secret: {
    readonly host: string;
    readonly port: number;
    readonly username: string;
    readonly password: string;
    readonly dbname: string;
    readonly sslmode: 'disable';
  };
  /** The role of the application: owns nothing, may write. */
  readonly application: { readonly user: string; readonly password: string };
}

export const backupRole = 'pgdr_backup';
const applicationRole = 'shop';

const sql = (name: string): string => readFileSync(join(import.meta.dirname, 'demo', `${name}.sql`), 'utf8');

/** Server, roles and empty tables; {@link fillDemoDatabase} brings the rows. */
export async function startDemoDatabase(bin: string, directory: string): Promise<DemoDatabase> {
  const server = await startPostgres({ bin, directory });
  try {
    const password = {
      backup: randomBytes(18).toString('base64url'),
      application: randomBytes(18).toString('base64url'),
    };
    const admin = await server.connect('postgres');
    await admin.query(`CREATE ROLE ${backupRole} LOGIN REPLICATION PASSWORD '${password.backup}'`);
    await admin.query(`CREATE ROLE ${applicationRole} LOGIN PASSWORD '${password.application}'`);
    await admin.query('CREATE DATABASE orders');
    await admin.query("COMMENT ON DATABASE orders IS 'The shop of the rehearsal'");
    await admin.query("ALTER DATABASE orders SET intervalstyle = 'iso_8601'");
    await admin.end();
    const client = await server.connect('orders');
    await withContrib(() => client.query(sql('schema')));
    await client.query(permissions(await majorOf(client)));
    await client.end();
    return {
      server,
      name: 'orders',
      secret: {
        host: server.host,
        port: server.port,
        username: backupRole,
        password: password.backup,
        dbname: 'orders',
        sslmode: 'disable',
      },
      application: { user: applicationRole, password: password.application },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** pg_read_all_data is PostgreSQL 14's; 13 needs the grants one by one. */
const permissions = (major: number): string => `
  ${
    major >= 14
      ? `GRANT pg_read_all_data TO ${backupRole};`
      : `GRANT USAGE ON SCHEMA sales TO ${backupRole};
         GRANT SELECT ON ALL TABLES IN SCHEMA public, sales TO ${backupRole};
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, sales TO ${backupRole};`
  }
  GRANT SELECT, INSERT, UPDATE ON customers, orders, order_items, events, audit_log TO ${applicationRole};
  GRANT SELECT ON products TO ${applicationRole};
  GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${applicationRole};`;

const majorOf = async (client: pg.Client): Promise<number> =>
  Math.floor(Number((await client.query('SHOW server_version_num')).rows[0].server_version_num) / 10_000);

async function withContrib<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof pg.DatabaseError && cause.code === '58P01') {
      throw new CliError('PostgresMissing', `This PostgreSQL lacks its contrib modules: ${cause.message}.`, {
        intact: 'Nothing outside the run’s own directory was touched.',
        tryNext: 'Install the package postgresql-contrib, or set PG_BIN to a PostgreSQL that has them.',
        cause,
      });
    }
    throw cause;
  }
}

/** Fills the database with at least `bytes` of tables beyond what it held; returns the bytes it holds now. */
export async function fillDemoDatabase(
  database: DemoDatabase,
  bytes: number,
  onProgress: (bytes: number) => void = () => {},
): Promise<number> {
  const client = await database.server.connect(database.name);
  try {
    const size = async () =>
      Number((await client.query('SELECT pg_database_size(current_database()) AS bytes')).rows[0].bytes);
    const empty = await size();
    const scale = Math.max(1, Math.floor(bytes / 1_000_000));
    for (const statement of statementsOf(sql('data').replaceAll("current_setting('demo.scale')::int", String(scale)))) {
      await client.query(statement);
      onProgress((await size()) - empty);
    }
    // Row widths differ a little between majors: make up for what is missing with bytes that do not compress.
    for (let have = (await size()) - empty; have < bytes; have = (await size()) - empty) {
      const rows = Math.ceil((bytes - have) / 20_000) + 1;
      await client.query(
        `INSERT INTO attachments (content)
         SELECT (SELECT string_agg(sha512(int8send(n * 1000 + k)), '') FROM generate_series(1, 320) k)
         FROM (SELECT (SELECT max(id) FROM attachments) + g FROM generate_series(1::bigint, $1) g) AS t(n)`,
        [rows],
      );
      onProgress((await size()) - empty);
    }
    await client.query('VACUUM ANALYZE');
    return (await size()) - empty;
  } finally {
    await client.end();
  }
}

/** data.sql holds one statement after another, each ended by a semicolon at the end of a line outside `$$`. */
function statementsOf(text: string): string[] {
  const statements: string[] = [];
  let current = '';
  let quoted = false;
  for (const line of text.split('\n')) {
    current += `${line}\n`;
    if ((line.match(/\$\$/g)?.length ?? 0) % 2 === 1) quoted = !quoted;
    if (!quoted && /;\s*(--.*)?$/.test(line)) {
      statements.push(current);
      current = '';
    }
  }
  return statements;
}
