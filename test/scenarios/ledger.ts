import { setTimeout as sleep } from 'node:timers/promises';
import type { Postgres } from './postgres.ts';

/** What writers were told is committed, and when: what decides whether something was lost. */
export interface Ledger {
  /** By id: `performance.now()` at which the commit was acknowledged. */
  readonly acknowledged: ReadonlyMap<number, number>;
  /** Ends the writers; their open commits are nobody's promise. */
  stop(): Promise<void>;
}

/** Writers that commit one row at a time, as fast as they are let. A lost connection is opened again. */
export async function startWriters(server: () => Postgres, writers = 4, pauseMilliseconds = 5): Promise<Ledger> {
  await server().query('CREATE TABLE IF NOT EXISTS ledger (id bigint PRIMARY KEY, filler text)');
  const [{ next }] = (await server().query('SELECT coalesce(max(id), 0)::int AS next FROM ledger')) as [
    { next: number },
  ];
  const acknowledged = new Map<number, number>();
  let id = next;
  let stopped = false;
  const write = async () => {
    while (!stopped) {
      try {
        const client = await server().connect('ledger');
        try {
          while (!stopped) {
            const own = ++id;
            await client.query("INSERT INTO ledger VALUES ($1, repeat('x', 500))", [own]);
            acknowledged.set(own, performance.now());
            await sleep(pauseMilliseconds);
          }
        } finally {
          await client.end().catch(() => {});
        }
      } catch {
        await sleep(50);
      }
    }
  };
  const running = Array.from({ length: writers }, write);
  return {
    acknowledged,
    async stop() {
      stopped = true;
      await Promise.race([Promise.all(running), sleep(5_000)]);
    },
  };
}

export interface Loss {
  readonly lost: readonly number[];
  /** Seconds from the acknowledgement of the first lost commit to `at`; 0 when nothing is lost. */
  readonly seconds: number;
}

/** Acknowledged commits that a recovered server does not have. `at`: when the source was lost. */
export async function lossOf(ledger: Ledger, recovered: Postgres, at: number): Promise<Loss> {
  const rows = await recovered.query<{ id: string }>('SELECT id FROM ledger');
  const there = new Set(rows.map(({ id }) => Number(id)));
  const lost = [...ledger.acknowledged.keys()].filter((id) => !there.has(id));
  const first = Math.min(...lost.map((id) => ledger.acknowledged.get(id) as number));
  return { lost, seconds: lost.length === 0 ? 0 : (at - first) / 1000 };
}
