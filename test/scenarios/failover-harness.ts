import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
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
  /** Of the present act. */
  readonly ledger: Ledger;
  /** Kills the postmaster of the primary with SIGKILL; gives the moment. */
  killPrimary(): number;
  /** SIGKILL to all of the primary, whose volume is gone until the failback; gives the moment. */
  losePrimary(): number;
  /** SIGSTOP to every process of a server, or to some; gives what lets them go on. */
  freeze(server: ServerName, pids?: readonly number[]): () => void;
  failover(input?: object): Promise<MachineRun>;
  /** Makes the primary the writer again, and waits until the standby streams from it. */
  failback(): Promise<MachineRun>;
  /** Waits until so many more writes were acknowledged, by one server where one is named. */
  moreWrites(count: number, server?: ServerName): Promise<void>;
  /** Ends the clients, and holds what they were told against what a server has. */
  judge(writer: ServerName): Promise<LedgerVerdict>;
  /** New clients and a new ledger, once the last one was judged; returns when a probe has seen them write. */
  nextAct(): Promise<void>;
  /** Pids of a server's processes of one kind: `walreceiver`, `walsender`. */
  processes(server: ServerName, kind: string): Promise<number[]>;
  close(): Promise<void>;
}

export async function openStage(
  name: string,
  options: Omit<Partial<PairOptions>, 'directory' | 'postgres'> & { synchronous?: boolean } = {},
): Promise<Stage> {
  const run: RunDirectory = openRunDirectory(join(workDirectory, 'rehearse'), `${name}-${process.pid}`);
  const postgres = providePostgres(() => {});
  const pair = await startPair({ ...options, postgres, directory: run.path });
  const client = await pair.connect('primary');
  await createLedgerTable(client);
  await client.end();
  let acts = 0;
  const open = () =>
    startLedger({
      nameServer: pair.nameServer,
      name: endpointName,
      port: pair.files.primary.port,
      password: pair.files.password,
      firstWorker: 100 * acts++,
    });
  let ledger = open();
  const begin = async () => {
    if (options.synchronous) await makeSynchronous(pair);
    // The probe has seen the primary work, and goes on in the background as its schedule would have it.
    await pair.probe();
    await stage.moreWrites(100, 'primary');
    await sleep(1500);
  };
  const stage: Stage = {
    pair,
    get ledger() {
      return ledger;
    },
    killPrimary() {
      process.kill(pair.postmaster('primary'), 'SIGKILL');
      return now();
    },
    losePrimary() {
      pair.lose('primary');
      return now();
    },
    freeze(server, pids = pair.processes(server)) {
      const each = (signal: NodeJS.Signals) => {
        for (const pid of pids) {
          try {
            process.kill(pid, signal);
          } catch {}
        }
      };
      each('SIGSTOP');
      return () => each('SIGCONT');
    },
    failover: (input = {}) => pair.run('failover', { database: 'orders', ...input }),
    async failback() {
      pair.giveBack('primary');
      const ended = await pair.run('failback', { database: 'orders' });
      if (!ended.succeeded)
        throw new Error([JSON.stringify(ended.failure ?? ended.execution.cause), ...said(pair)].join('\n'));
      await until('the standby streams', async () => (await streaming(pair)) === 1);
      return ended;
    },
    async moreWrites(count, server) {
      const counted = () =>
        ledger.acknowledged.filter((write) => server === undefined || write.server === pair.files[server].host).length;
      const wanted = counted() + count;
      await until(`${count} more writes`, () => counted() >= wanted);
    },
    async judge(writer) {
      await ledger.stop();
      const reader = await pair.connect(writer);
      try {
        return await judgeLedger(reader, ledger.acknowledged);
      } finally {
        await reader.end();
      }
    },
    async nextAct() {
      await ledger.stop();
      ledger = open();
      await begin();
    },
    async processes(server, kind) {
      const reader = await pair.connect(server);
      try {
        const { rows } = await reader.query('SELECT pid FROM pg_stat_activity WHERE backend_type = $1', [kind]);
        return rows.map(({ pid }) => pid);
      } finally {
        await reader.end();
      }
    },
    async close() {
      await ledger.stop();
      await pair.stop();
      run.close();
    },
  };
  try {
    await begin();
    return stage;
  } catch (error) {
    await stage.close();
    throw error;
  }
}

/** Only while the standby streams: until it does, every commit would wait for it. */
async function makeSynchronous(pair: Pair): Promise<void> {
  const client = await pair.connect('primary');
  await client.query(`ALTER SYSTEM SET synchronous_standby_names = 'pgdr_standby'`);
  await client.query('SELECT pg_reload_conf()');
  await client.end();
}

/** The last words of the servers' tasks. */
const said = ({ cloud }: Pair): string[] =>
  cloud.ecs
    .tasks()
    .slice(-3)
    .flatMap(({ family, output }) => [family, ...output.slice(-15)]);

async function streaming(pair: Pair): Promise<number> {
  const client = await pair.connect('primary');
  try {
    const { rows } = await client.query("SELECT count(*)::int AS n FROM pg_stat_replication WHERE state = 'streaming'");
    return rows[0].n;
  } finally {
    await client.end();
  }
}

/** What is waited for comes when it comes; after a minute it does not. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await sleep(20);
  }
}

/** What a failover reported as lost holds the truth, as the ledger knows it; gives both in words. */
export function expectBracketHolds(stage: Stage, run: MachineRun, verdict: LedgerVerdict, end: number): string {
  const truth = trueLoss(stage.ledger, verdict, { oldHost: stage.pair.files.primary.host, end });
  const loss = run.outcome?.failover?.loss;
  expect(loss?.lowerSeconds).toBeLessThanOrEqual(truth + 0.001);
  expect(loss?.upperSeconds ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(truth - 0.001);
  return `${truth.toFixed(3)} s in [${loss?.lowerSeconds.toFixed(3)}, ${loss?.upperSeconds?.toFixed(3)}]`;
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
