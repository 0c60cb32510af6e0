import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { workDirectory } from '../../lib/cli/rehearse/assembly.ts';
import {
  createLedgerTable,
  judgeLedger,
  type Ledger,
  type LedgerVerdict,
  now,
  startLedger,
} from '../../lib/cli/rehearse/failover/ledger.ts';
import {
  endpointName,
  type MachineRun,
  type Pair,
  type PairOptions,
  startPair,
} from '../../lib/cli/rehearse/failover/pair.ts';
import { openRunDirectory, type RunDirectory } from '../../lib/cli/rehearse/leftovers.ts';
import { providePostgres } from '../../lib/cli/setup/install-postgres.ts';
import type { ServerName } from '../../lib/core/failover/role.ts';
import { note } from './failover-table.ts';

/**
 * A stage for failovers: two regions of a local cloud from the synthesized templates, a primary and a standby that their
 * agents run as ECS services, clients that write through the name and keep a ledger of what was acknowledged.
 */
export interface Stage {
  readonly pair: Pair;
  readonly ledger: Ledger;
  /** Kills the postmaster of the primary with SIGKILL; gives the moment. */
  killPrimary(): number;
  /** SIGSTOP to every process of a server; gives what lets them go on. */
  freeze(server: ServerName): () => void;
  failover(input?: object): Promise<MachineRun>;
  /** Waits until so many more writes were acknowledged, by one server where one is named. */
  moreWrites(count: number, server?: ServerName): Promise<void>;
  /** Ends the clients, and holds what they were told against what a server has. */
  judge(writer: ServerName): Promise<LedgerVerdict>;
  close(): Promise<void>;
}

export async function openStage(
  name: string,
  options: Omit<Partial<PairOptions>, 'directory' | 'postgres'> & { synchronous?: boolean } = {},
): Promise<Stage> {
  const run: RunDirectory = openRunDirectory(join(workDirectory, 'rehearse'), `${name}-${process.pid}`);
  const postgres = providePostgres(() => {});
  const pair = await startPair({
    ...options,
    postgres,
    directory: run.path,
  });
  const client = await pair.connect('primary');
  if (options.synchronous) {
    // Only now that the standby streams: until it does, every commit would wait for it.
    await client.query(`ALTER SYSTEM SET synchronous_standby_names = 'pgdr_standby'`);
    await client.query('SELECT pg_reload_conf()');
  }
  await createLedgerTable(client);
  await client.end();
  const ledger = startLedger({
    nameServer: pair.nameServer,
    name: endpointName,
    port: pair.files.primary.port,
    password: pair.files.password,
  });
  const stage: Stage = {
    pair,
    ledger,
    killPrimary() {
      process.kill(pair.postmaster('primary'), 'SIGKILL');
      return now();
    },
    freeze(server) {
      const pids = pair.processes(server);
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      return () => {
        for (const pid of pids) {
          try {
            process.kill(pid, 'SIGCONT');
          } catch {}
        }
      };
    },
    failover: (input = {}) => pair.run('failover', { database: 'orders', ...input }),
    async moreWrites(count, server) {
      const counted = () =>
        ledger.acknowledged.filter((write) => server === undefined || write.server === pair.files[server].host).length;
      const wanted = counted() + count;
      const deadline = Date.now() + 60_000;
      while (counted() < wanted) {
        if (Date.now() > deadline) throw new Error(`only ${counted()} of ${wanted} writes were acknowledged`);
        await sleep(20);
      }
    },
    async judge(writer) {
      await ledger.stop();
      const client = await pair.connect(writer);
      try {
        return await judgeLedger(client, ledger.acknowledged);
      } finally {
        await client.end();
      }
    },
    async close() {
      await ledger.stop();
      await pair.stop();
      run.close();
    },
  };
  // The probe has seen the primary work, and goes on in the background as its schedule would have it.
  await pair.probe();
  await stage.moreWrites(100);
  await sleep(1500);
  return stage;
}

/**
 * Seconds between the last write that the old writer acknowledged before its end and the last of them that the new
 * writer has: what was truly lost. After a failback the old writer acknowledges again, so `end` is that of its first time.
 */
export function trueLoss(
  { acknowledged }: Ledger,
  { lost }: LedgerVerdict,
  { oldHost, end }: { oldHost: string; end: number },
): number {
  if (lost.length === 0) return 0;
  const missing = new Set(lost);
  const old = acknowledged.filter(({ server, committedAt }) => server === oldHost && committedAt <= end);
  const kept = old.filter((write) => !missing.has(write)).map(({ committedAt }) => committedAt);
  return (Math.max(...lost.map(({ committedAt }) => committedAt)) - Math.max(...kept)) / 1000;
}

/** The longest time without an acknowledged write since a moment, seconds. */
export function longestGap({ ledger }: Stage, since: number): number {
  const times = ledger.acknowledged
    .map(({ at }) => at)
    .filter((at) => at >= since)
    .sort((a, b) => a - b);
  return Math.max(...times.slice(1).map((at, i) => at - (times[i] as number))) / 1000;
}

/** Notes that an invariant held in a scenario, for the table at the end; a test that throws before leaves no line. */
export const held = note;
