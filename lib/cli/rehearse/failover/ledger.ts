import { Resolver } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/**
 * Clients that write through the name of the database and note every write that was acknowledged: what a failover is
 * judged by. Each keeps a connection as long as it works and looks the name up again when it does not, as an
 * application with a pool and a short cache of names does.
 */

export interface Acknowledged {
  readonly worker: number;
  readonly n: number;
  readonly id: string;
  /** `performance.timeOrigin + performance.now()`: when the acknowledgement arrived, milliseconds. */
  readonly at: number;
  /** Address of the server that gave it. */
  readonly server: string;
  /** By the server's clock, milliseconds. */
  readonly committedAt: number;
}

export interface Ledger {
  readonly acknowledged: readonly Acknowledged[];
  /** The first acknowledgement after a moment; waits for it. */
  firstAfter(at: number, seconds?: number): Promise<Acknowledged>;
  stop(): Promise<void>;
}

export interface LedgerOptions {
  readonly nameServer: string;
  readonly name: string;
  readonly port: number;
  readonly password: string;
  readonly workers?: number;
  /** Number of its first worker: ledgers of one table need other ones. @default 0 */
  readonly firstWorker?: number;
  /** Writes a second of each worker. */
  readonly rate?: number;
}

export const now = (): number => performance.timeOrigin + performance.now();

export const ledgerTable = 'ledger';

export async function createLedgerTable(client: pg.Client): Promise<void> {
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${ledgerTable}
       (id bigserial PRIMARY KEY, worker int NOT NULL, n bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  );
}

export function startLedger(options: LedgerOptions): Ledger {
  const { nameServer, name, port, password, workers = 4, firstWorker = 0, rate = 100 } = options;
  const acknowledged: Acknowledged[] = [];
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([nameServer]);
  let isStopping = false;
  /** TTL 1: every look-up is at most that old. */
  let cached: { address: string; until: number } | undefined;
  const address = async () => {
    if (cached && cached.until > now()) return cached.address;
    const [found] = await resolver.resolve4(name, { ttl: true });
    if (!found) throw new Error(`${name} has no address`);
    cached = { address: found.address, until: now() + found.ttl * 1000 };
    return found.address;
  };

  const work = async (worker: number) => {
    let client: pg.Client | undefined;
    let server = '';
    for (let n = 0; !isStopping; ) {
      try {
        if (client === undefined) {
          server = await address();
          const made = new pg.Client({
            host: server,
            port,
            user: 'postgres',
            password,
            database: 'orders',
            connectionTimeoutMillis: 1000,
            query_timeout: 2000,
            application_name: 'shop',
          });
          made.on('error', () => {});
          await made.connect();
          client = made;
        }
        const { rows } = await client.query(
          `INSERT INTO ${ledgerTable} (worker, n) VALUES ($1, $2) RETURNING id, extract(epoch FROM at) * 1000 AS at`,
          [worker, n],
        );
        acknowledged.push({ worker, n, id: rows[0].id, at: now(), server, committedAt: Number(rows[0].at) });
        n += 1;
        await sleep(1000 / rate);
      } catch {
        // Whether that write was committed is unknown: its number is not used again.
        n += 1;
        void client?.end().catch(() => {});
        client = undefined;
        await sleep(20);
      }
    }
    await client?.end().catch(() => {});
  };
  const all = Promise.all(Array.from({ length: workers }, (_, worker) => work(firstWorker + worker)));

  return {
    acknowledged,
    async firstAfter(at, seconds = 60) {
      const deadline = now() + seconds * 1000;
      for (;;) {
        const found = acknowledged.find((write) => write.at > at);
        if (found) return found;
        if (now() > deadline) throw new Error(`no write was acknowledged for ${seconds} s`);
        await sleep(5);
      }
    },
    async stop() {
      isStopping = true;
      await all;
    },
  };
}

export interface LedgerVerdict {
  readonly acknowledged: number;
  /** Acknowledged and not there. */
  readonly lost: readonly Acknowledged[];
  /** Ids that two acknowledged writes were given. */
  readonly repeatedIds: number;
  /** How often the server that acknowledged changed: more often than the writer did, and two wrote at a time. */
  readonly switches: number;
}

/** Holds what was acknowledged against what a server has. */
export async function judgeLedger(client: pg.Client, acknowledged: readonly Acknowledged[]): Promise<LedgerVerdict> {
  const { rows } = await client.query(`SELECT worker, n::text FROM ${ledgerTable}`);
  const there = new Set(rows.map(({ worker, n }) => `${worker}/${n}`));
  const ids = new Map<string, number>();
  for (const { id } of acknowledged) ids.set(id, (ids.get(id) ?? 0) + 1);
  const order = [...acknowledged].sort((a, b) => a.at - b.at);
  return {
    acknowledged: acknowledged.length,
    lost: acknowledged.filter(({ worker, n }) => !there.has(`${worker}/${n}`)),
    repeatedIds: [...ids.values()].filter((count) => count > 1).length,
    switches: order.filter(({ server }, i) => i > 0 && server !== order[i - 1]?.server).length,
  };
}
