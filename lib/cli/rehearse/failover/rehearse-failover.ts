import { setTimeout as sleep } from 'node:timers/promises';
import { humanSeconds } from '../../../core/human.ts';
import type { FailoverSummary } from '../../../core/outcome.ts';
import { CliError } from '../../errors.ts';
import { onInterrupt } from '../../interrupt.ts';
import type { PostgresBinaries } from '../../setup/postgres-binaries.ts';
import type { Steps } from '../../steps.ts';
import type { RehearsalCheck } from '../verdict.ts';
import { createLedgerTable, judgeLedger, type LedgerVerdict, now, startLedger } from './ledger.ts';
import { endpointName, type MachineRun, type Pair, startPair } from './pair.ts';

/**
 * A failover and a failback under load: two servers in two regions, clients that write through the name, the primary
 * killed with SIGKILL. Judged by a ledger of what was acknowledged.
 */

export interface FailoverRehearsal {
  /** From the kill to the first write by name at the new writer. */
  readonly rtoSeconds: number;
  readonly failover: FailoverSummary;
  /** Acknowledged before the kill and gone: how many writes, over how much time. */
  readonly lostWrites: number;
  readonly lostSeconds: number;
  readonly failback: FailoverSummary;
  /** The longest time without an acknowledged write during the failback. */
  readonly failbackGapSeconds: number;
  readonly acknowledged: number;
  readonly checks: readonly RehearsalCheck[];
}

export async function rehearseFailover(options: {
  readonly postgres: PostgresBinaries;
  readonly directory: string;
  readonly steps: Steps;
  readonly verbose?: (line: string) => void;
}): Promise<FailoverRehearsal> {
  const { steps } = options;
  const pair = await steps.run('Start primary and standby', async (say) => {
    const started = await startPair({ ...options, automatic: true });
    say(
      `two regions, port ${started.files.primary.port} of ${started.files.primary.host} and ${started.files.standby.host}`,
    );
    return started;
  });
  const forget = onInterrupt(pair.stop);
  try {
    return await rehearse(pair, steps);
  } finally {
    await pair.stop();
    forget();
  }
}

async function rehearse(pair: Pair, steps: Steps): Promise<FailoverRehearsal> {
  const { files, nameServer } = pair;
  const client = await pair.connect('primary');
  await createLedgerTable(client);
  await client.end();
  const ledger = startLedger({ nameServer, name: endpointName, port: files.primary.port, password: files.password });
  try {
    await pair.probe();
    await steps.run('Write through the name', async (say) => {
      await until(() => ledger.acknowledged.length >= 200, 60, 'writes through the name');
      // So that a probe has seen the primary work.
      await sleep(2000);
      say(`${ledger.acknowledged.length} writes acknowledged`);
    });
    const killedAt = await steps.run('Lose the primary', (say) => {
      pair.lose('primary');
      say('SIGKILL to all of it, and its volume is gone');
      return now();
    });
    const detected = await steps.run('Wait for the probe to see it', () => pair.awaitStart('failover', killedAt));
    const failover = succeeded(await pair.follow(detected, steps.watch('failover')));
    const firstWrite = () => ledger.acknowledged.find(({ server }) => server === files.standby.host);
    await until(() => firstWrite() !== undefined, 60, 'a write at the new writer');
    const rtoSeconds = ((firstWrite()?.at ?? 0) - killedAt) / 1000;
    pair.giveBack('primary');
    const middle = now();
    const failback = succeeded(
      await pair.run('failback', { database: 'orders', reason: 'rehearsal' }, steps.watch('failback')),
    );
    await until(() => ledger.acknowledged.at(-1)?.server === files.primary.host, 60, 'a write at the primary');
    await sleep(500);
    await ledger.stop();
    return await steps.run('Hold the ledger against it', async (say) => {
      const reader = await pair.connect('primary');
      const verdict = await judgeLedger(reader, ledger.acknowledged).finally(() => reader.end());
      const lostSeconds = lossOf(ledger.acknowledged, verdict, files.primary.host, killedAt);
      const times = ledger.acknowledged
        .map(({ at }) => at)
        .filter((at) => at > middle)
        .sort((a, b) => a - b);
      say(`${verdict.acknowledged} writes acknowledged, ${verdict.lost.length} lost with the kill`);
      return {
        rtoSeconds,
        failover,
        failback,
        lostWrites: verdict.lost.length,
        lostSeconds,
        failbackGapSeconds: Math.max(0, ...times.slice(1).map((at, i) => at - (times[i] as number))) / 1000,
        acknowledged: verdict.acknowledged,
        checks: checksOf(failover, verdict, lostSeconds, killedAt),
      };
    });
  } finally {
    await ledger.stop();
  }
}

function checksOf(
  failover: FailoverSummary,
  verdict: LedgerVerdict,
  lostSeconds: number,
  killedAt: number,
): RehearsalCheck[] {
  const upper = failover.loss?.upperSeconds;
  const late = verdict.lost.filter(({ at }) => at > killedAt + 1000).length;
  return [
    {
      name: 'the failover was fenced',
      ok: failover.fence !== null,
      detail: failover.fence?.evidence ?? 'no fence',
    },
    {
      name: 'the reported loss holds the truth',
      ok: upper != null && lostSeconds <= upper + 0.001 && (failover.loss?.lowerSeconds ?? 1) <= lostSeconds + 0.001,
      detail: `${humanSeconds(lostSeconds)} lost, reported ${humanSeconds(failover.loss?.lowerSeconds ?? 0)} to ${upper == null ? 'unknown' : humanSeconds(upper)}`,
    },
    {
      name: 'failover and failback lost nothing that the new writer acknowledged',
      ok: late === 0,
      detail: `${late} of ${verdict.acknowledged} writes`,
    },
    {
      name: 'one server at a time acknowledged',
      ok: verdict.switches === 2,
      detail: `the server changed ${verdict.switches} times`,
    },
    { name: 'no id was given twice', ok: verdict.repeatedIds === 0, detail: `${verdict.repeatedIds} were` },
  ];
}

/** Seconds between the last write that the old primary acknowledged and the last of its that is still there. */
function lossOf(
  acknowledged: readonly { at: number; server: string; committedAt: number }[],
  { lost }: LedgerVerdict,
  host: string,
  killedAt: number,
): number {
  if (lost.length === 0) return 0;
  const missing = new Set<unknown>(lost);
  const kept = acknowledged.filter(
    (write) => write.server === host && write.at < killedAt + 1000 && !missing.has(write),
  );
  const last = (writes: readonly { committedAt: number }[]) =>
    Math.max(...writes.map(({ committedAt }) => committedAt));
  return Math.max(0, last(lost) - last(kept)) / 1000;
}

function succeeded({ outcome, failure, execution }: MachineRun): FailoverSummary {
  if (outcome?.failover) return outcome.failover;
  throw new CliError(execution.error ?? 'FailoverFailed', failure?.message ?? execution.cause ?? 'it failed', {
    ...(failure && { intact: failure.intact, tryNext: failure.tryNext }),
  });
}

async function until(holds: () => boolean, seconds: number, what: string): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!holds()) {
    if (Date.now() > deadline) throw new CliError('RehearsalTimedOut', `No ${what} within ${seconds} s.`);
    await sleep(10);
  }
}
