import { spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { searchPostgres } from '../../lib/cli/setup/postgres-binaries.ts';
import type { DatabaseBackup } from '../../lib/core/manifest.ts';
import type { Connection } from '../../lib/postgres/connection.ts';
import { takeFingerprint } from '../../lib/postgres/fingerprint.ts';
import { exportSnapshot } from '../../lib/postgres/snapshot.ts';
import { describeSource } from '../../tasks/source.ts';
import { sampleDatabase } from '../unit/sample-manifest.ts';

/** A server with a database, and copies of it that went through pg_dump and pg_restore, each broken in its own way. */

const schema = `
  CREATE EXTENSION citext;
  CREATE SCHEMA sales;
  CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email citext NOT NULL UNIQUE, note text);
  CREATE TABLE countries (code citext PRIMARY KEY);
  CREATE TABLE sales.orders (
    id bigserial PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    country citext NOT NULL REFERENCES countries,
    number bigint NOT NULL
  );
  CREATE INDEX orders_number ON sales.orders (number);
  CREATE TABLE months (id integer, at date NOT NULL) PARTITION BY RANGE (at);
  CREATE TABLE months_01 PARTITION OF months FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE pets (id serial PRIMARY KEY, name text);
  ALTER TABLE pets ADD CONSTRAINT pets_named CHECK (name <> '') NOT VALID;
  CREATE FUNCTION sales.total(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1';
  CREATE TYPE mood AS ENUM ('good', 'bad');

  INSERT INTO customers (email, note) SELECT 'c' || g || '@example.com', repeat(md5(g::text), 100) FROM generate_series(1, 300) g;
  INSERT INTO countries VALUES ('SE'), ('NO');
  INSERT INTO sales.orders (customer_id, country, number)
    SELECT g % 300 + 1, CASE WHEN g % 2 = 0 THEN 'se' ELSE 'NO' END, 2 * g + 1 FROM generate_series(1, 2000) g;
  INSERT INTO months SELECT g, '2026-01-05' FROM generate_series(1, 50) g;
  -- Ids by hand, as an import does: the source's own sequence is behind.
  INSERT INTO pets VALUES (1, 'Bo'), (2, 'Mia');
  SELECT lo_from_bytea(4711, 'large');

  GRANT SELECT ON sales.orders TO proof_clerk;
  GRANT SELECT, INSERT ON customers TO proof_clerk WITH GRANT OPTION;
  GRANT UPDATE (note) ON customers TO proof_lead;
  GRANT USAGE ON SCHEMA sales TO proof_clerk;
  GRANT USAGE ON SEQUENCE sales.orders_id_seq TO proof_clerk;
  GRANT SELECT ON LARGE OBJECT 4711 TO proof_clerk;
  GRANT EXECUTE ON FUNCTION citext_eq(citext, citext) TO proof_clerk;
  REVOKE EXECUTE ON FUNCTION sales.total(bigint) FROM PUBLIC;
  REVOKE USAGE ON TYPE mood FROM PUBLIC;
  ALTER DEFAULT PRIVILEGES FOR ROLE proof_lead IN SCHEMA sales GRANT SELECT ON TABLES TO proof_clerk;
  ALTER TABLE sales.orders OWNER TO proof_lead;`;

const roles = `
  CREATE ROLE proof_clerk LOGIN CONNECTION LIMIT 5;
  CREATE ROLE proof_lead NOINHERIT CREATEDB;
  GRANT proof_clerk TO proof_lead WITH ADMIN OPTION;
  ALTER ROLE proof_clerk SET work_mem = '12MB';`;

/** What pg_restore does for the database itself only where it makes it. */
const ofDatabase = (name: string) => `
  ALTER DATABASE ${name} SET intervalstyle = 'iso_8601';
  ALTER DATABASE ${name} SET statement_timeout = '1h';
  ALTER ROLE proof_clerk IN DATABASE ${name} SET lock_timeout = '3s';
  REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC;
  GRANT CONNECT ON DATABASE ${name} TO proof_clerk;`;

export interface ProofDatabases {
  /** What a backup of the source recorded. */
  readonly manifest: DatabaseBackup;
  /** A fresh copy; `sql` is what happens to it. */
  copy(sql?: string): Promise<Copy>;
  stop(): Promise<void>;
}

export interface Copy {
  readonly connection: Connection;
  /** Overwrites one key in the file of an index that no session has read since. */
  replaceKey(index: string, from: bigint, to: bigint): Promise<void>;
  query(sql: string): Promise<void>;
}

export async function makeProofDatabases(): Promise<ProofDatabases> {
  const { found, problems } = searchPostgres();
  if (!found) throw new Error(`no PostgreSQL: ${problems.join('; ')}`);
  const directory = mkdtempSync(join(tmpdir(), 'proof-'));
  const server = await startPostgres({
    bin: found.bin,
    directory,
    // Pages are damaged behind the server's back: amcheck has to see it, not their checksum.
    settings: { ignore_checksum_failure: 'on', fsync: 'off', autovacuum: 'off' },
  });
  const stop = async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const connection = (dbname: string): Connection => ({
      host: server.host,
      port: server.port,
      username: server.superuser.user,
      password: server.superuser.password,
      dbname,
      sslmode: 'disable',
    });
    await run(server, 'postgres', roles, 'CREATE DATABASE source', 'CREATE DATABASE restored', ofDatabase('source'));
    await run(server, 'source', schema);
    await dumpAndRestore(found.bin, connection('source'), connection('restored'));
    const manifest = await describe(connection('source'));
    const strategy = found.major >= 15 ? 'STRATEGY file_copy' : '';
    let copies = 0;
    return {
      manifest,
      stop,
      async copy(sql) {
        const name = `copy_${++copies}`;
        await run(server, 'postgres', `CREATE DATABASE ${name} TEMPLATE restored ${strategy}`, ofDatabase(name));
        if (sql) await run(server, name, sql);
        return {
          connection: connection(name),
          query: (text) => run(server, name, text),
          replaceKey: async (index, from, to) => {
            // Asked in the database it was copied from, so that the page is in no buffer of the copy.
            const [node] = await ask(server, 'restored', `SELECT pg_relation_filenode('${index}') AS v`);
            const [oid] = await ask(server, 'postgres', `SELECT oid AS v FROM pg_database WHERE datname = '${name}'`);
            overwriteKey(join(directory, 'data', 'base', String(oid), String(node)), from, to);
          },
        };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function describe(connection: Connection): Promise<DatabaseBackup> {
  const snapshot = await exportSnapshot(connection);
  try {
    const { identity, access, defects, sequences, inventory, materializedViews } = await describeSource(
      connection,
      snapshot,
    );
    const { Client } = (await import('pg')).default;
    const client = new Client({ ...connection, user: connection.username, database: connection.dbname });
    await client.connect();
    const tables = await takeFingerprint([client]);
    const { rows } = await client.query("SELECT current_setting('server_version_num')::int AS v");
    await client.end();
    return sampleDatabase({
      serverVersionNum: rows[0].v,
      ...identity,
      snapshot: { lsn: snapshot.lsn, takenAt: snapshot.takenAt },
      tables,
      sequences,
      inventory,
      materializedViews,
      ...access,
      defects,
    });
  } finally {
    await snapshot.release();
  }
}

/** Statement by statement: CREATE DATABASE stands alone. */
async function run(server: PostgresServer, database: string, ...statements: string[]): Promise<void> {
  await using(server, database, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

const ask = (server: PostgresServer, database: string, sql: string): Promise<unknown[]> =>
  using(server, database, async (client) => (await client.query(sql)).rows.map((row) => row.v));

async function using<T>(server: PostgresServer, database: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await server.connect(database);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function dumpAndRestore(bin: string, from: Connection, to: Connection): Promise<void> {
  const tool = (name: string, args: string[], { host, port, username, password }: Connection) =>
    spawn(join(bin, name), ['-h', host, '-p', String(port), '-U', username, ...args], {
      env: { PATH: process.env.PATH, PGPASSWORD: password },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  const dump = tool('pg_dump', ['-Fc', from.dbname], from);
  const restore = tool('pg_restore', ['--exit-on-error', '-d', to.dbname], to);
  dump.stdout.pipe(restore.stdin);
  for (const child of [dump, restore]) {
    const code = await new Promise((done) =>
      child.exitCode === null ? child.once('close', done) : done(child.exitCode),
    );
    if (code !== 0) throw new Error(`${child.spawnfile} exited with ${code}`);
  }
}

/** In a leaf of a B-tree over bigint, a key is eight bytes on an address that eight divides. */
function overwriteKey(path: string, from: bigint, to: bigint): void {
  const file = openSync(path, 'r+');
  try {
    const content = Buffer.alloc(fstatSync(file).size);
    readSync(file, content, 0, content.length, 0);
    const places: number[] = [];
    // The first page is the tree's own.
    for (let at = 8192; at < content.length; at += 8) if (content.readBigInt64LE(at) === from) places.push(at);
    if (places.length !== 1) throw new Error(`${from} is ${places.length} times in ${path}`);
    const key = Buffer.alloc(8);
    key.writeBigInt64LE(to);
    writeSync(file, key, 0, 8, places[0]);
  } finally {
    closeSync(file);
  }
}
