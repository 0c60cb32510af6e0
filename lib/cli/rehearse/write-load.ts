import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DemoDatabase } from './demo-database.ts';

/** A steady, bounded load of small transactions on the demo database, as an application would make it. */
export interface WriteLoad {
  /** Transactions that the server acknowledged so far. */
  commits(): number;
  /** How long it has been going on, up to its end. */
  seconds(): number;
  /** Ends the load; throws when a transaction had failed, which nothing in a rehearsal may cause. */
  stop(): Promise<number>;
}

export const transactionsPerSecond = 50;

export async function startWriteLoad(database: DemoDatabase): Promise<WriteLoad> {
  const { host, port } = database.server;
  const client = new pg.Client({
    host,
    port,
    database: database.name,
    ...database.application,
    application_name: 'shop',
  });
  let failure: unknown;
  client.on('error', (error) => {
    failure = error;
  });
  await client.connect();
  const customers = Number((await client.query('SELECT max(id) AS n FROM customers')).rows[0].n);
  const products = Number((await client.query('SELECT max(id) AS n FROM products')).rows[0].n);

  let commits = 0;
  let stopping = false;
  let ended: number | undefined;
  const started = Date.now();
  const loop = (async () => {
    while (!stopping && failure === undefined) {
      // By the clock, so that a slow transaction is made up for and the rate stays bounded.
      const due = started + (commits * 1000) / transactionsPerSecond;
      const wait = due - Date.now();
      if (wait > 0) {
        await sleep(wait);
        continue;
      }
      try {
        await transaction(client, commits, customers, products);
        commits += 1;
      } catch (error) {
        failure = error;
      }
    }
  })();

  return {
    commits: () => commits,
    seconds: () => ((ended ?? Date.now()) - started) / 1000,
    async stop() {
      stopping = true;
      await loop;
      ended ??= Date.now();
      await client.end().catch(() => {});
      if (failure !== undefined)
        throw new Error(`The write load ended early: ${(failure as Error).message}`, { cause: failure });
      return commits;
    },
  };
}

/** Mostly new orders with their lines; now and then a status or a balance changes, and an event is always noted. */
async function transaction(client: pg.Client, n: number, customers: number, products: number): Promise<void> {
  const customer = 1 + ((n * 7919) % customers);
  await client.query('BEGIN');
  if (n % 5 === 4) {
    await client.query('UPDATE customers SET balance = balance + 1 WHERE id = $1', [customer]);
    await client.query(
      "UPDATE orders SET status = 'paid' WHERE id = (SELECT max(id) FROM orders WHERE status = 'new')",
    );
  } else {
    const { rows } = await client.query('INSERT INTO orders (customer_id) VALUES ($1) RETURNING id', [customer]);
    await client.query('INSERT INTO order_items SELECT $1, line, $2, line, 9.5 FROM generate_series(1, 3) line', [
      rows[0].id,
      1 + (n % products),
    ]);
  }
  await client.query("INSERT INTO events (at, kind, customer_id, payload) VALUES (now(), 'order', $1, $2)", [
    customer,
    { n },
  ]);
  await client.query('COMMIT');
}
