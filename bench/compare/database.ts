import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { attachments, documents, events, type Noise, noise, orderLines, orders, products, users } from './rows.ts';

/**
 * The database that is compared on: text, jsonb, numeric, bytea in TOAST, timestamps; a few large tables, many small
 * ones, indexes and foreign keys. Always the same rows for the same size.
 */
const schema = `
  CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, bio text, created timestamptz NOT NULL);
  CREATE TABLE products (id int PRIMARY KEY, sku text NOT NULL, title text NOT NULL, price numeric(12,2) NOT NULL);
  CREATE TABLE documents (id bigint PRIMARY KEY, author_id int NOT NULL, title text NOT NULL, body text NOT NULL,
    tags text[] NOT NULL, created timestamptz NOT NULL, revision int NOT NULL);
  CREATE TABLE events (id bigint PRIMARY KEY, user_id int NOT NULL, kind text NOT NULL, payload jsonb NOT NULL,
    at timestamptz NOT NULL);
  CREATE TABLE orders (id bigint PRIMARY KEY, user_id int NOT NULL, status text NOT NULL, total numeric(14,2) NOT NULL,
    placed timestamptz NOT NULL, note text);
  CREATE TABLE order_lines (order_id bigint, line int, product_id int NOT NULL, quantity numeric(10,3) NOT NULL,
    price numeric(12,2) NOT NULL, discount numeric, PRIMARY KEY (order_id, line));
  CREATE TABLE attachments (id bigint PRIMARY KEY, document_id bigint NOT NULL, name text NOT NULL, content bytea NOT NULL);`;

const indexes = `
  CREATE UNIQUE INDEX ON users (lower(email));
  CREATE INDEX ON documents (author_id, created); CREATE INDEX ON documents (lower(title));
  CREATE INDEX ON events (user_id, at); CREATE INDEX ON events ((payload->>'session')); CREATE INDEX ON events (at);
  CREATE INDEX ON orders (user_id); CREATE INDEX ON orders (placed) WHERE status <> 'done';
  CREATE INDEX ON order_lines (product_id);
  CREATE INDEX ON attachments (document_id);
  ALTER TABLE documents ADD FOREIGN KEY (author_id) REFERENCES users;
  ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users;
  ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users;
  ALTER TABLE order_lines ADD FOREIGN KEY (order_id) REFERENCES orders;
  ALTER TABLE order_lines ADD FOREIGN KEY (product_id) REFERENCES products;
  ALTER TABLE attachments ADD FOREIGN KEY (document_id) REFERENCES documents;`;

/** Rows for each GB on disk, indexes included. */
const perGigabyte = {
  users: 40_000,
  products: 5_000,
  documents: 170_000,
  events: 850_000,
  orders: 330_000,
  attachments: 5_500,
};
const smallTables = 200;

/** Fills an empty database to about `bytes` on disk; gives the bytes that it has. */
export async function fillDatabase(client: Client, bytes: number): Promise<number> {
  const scale = bytes / 1e9;
  const count = (table: keyof typeof perGigabyte) => Math.max(10, Math.round(perGigabyte[table] * scale));
  const random = noise(20261121);
  await client.query(schema);
  await copy(client, 'users', users(count('users'), random));
  await copy(client, 'products', products(count('products'), random));
  await copy(client, 'documents', documents(count('documents'), count('users'), random));
  await copy(client, 'events', events(count('events'), count('users'), random));
  await copy(client, 'orders', orders(count('orders'), count('users'), random));
  await copy(client, 'order_lines', orderLines(count('orders'), count('products'), random));
  await copy(client, 'attachments', attachments(count('attachments'), count('documents'), random));
  await client.query(indexes);
  await makeSmallTables(client, random);
  await client.query('VACUUM ANALYZE');
  await client.query('CHECKPOINT');
  const { rows } = await client.query('SELECT pg_database_size(current_database())::int8 AS bytes');
  return Number(rows[0].bytes);
}

async function makeSmallTables(client: Client, random: Noise): Promise<void> {
  await client.query('CREATE SCHEMA small');
  for (let n = 1; n <= smallTables; n++) {
    const rows = 10 + random.below(400);
    await client.query(`
      CREATE TABLE small.t${n} (id int PRIMARY KEY, product_id int REFERENCES products, label text NOT NULL, amount numeric);
      INSERT INTO small.t${n} SELECT g, 1 + g % 5, 'label ' || g * ${n}, g * 1.25 FROM generate_series(1, ${rows}) g;
      CREATE INDEX ON small.t${n} (label)`);
  }
}

/** Rows as COPY reads them, in pieces that are worth a write. */
async function copy(client: Client, table: string, rows: Iterable<string | Buffer>): Promise<void> {
  const stream: Writable = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  const ended = finished(stream);
  let piece = '';
  const flush = async () => {
    if (!stream.write(piece)) await Promise.race([once(stream, 'drain'), ended]);
    piece = '';
  };
  for (const row of rows) {
    piece += row;
    if (piece.length > 128 * 1024) await flush();
  }
  await flush();
  stream.end();
  await ended;
}
