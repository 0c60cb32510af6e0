import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { workDirectory } from '../lib/cli/rehearse/assembly.ts';
import { createLedgerTable, judgeLedger, type Ledger, now, startLedger } from '../lib/cli/rehearse/failover/ledger.ts';
import { endpointName, type MachineRun, type Pair, startPair } from '../lib/cli/rehearse/failover/pair.ts';
import { openRunDirectory } from '../lib/cli/rehearse/leftovers.ts';
import { providePostgres } from '../lib/cli/setup/install-postgres.ts';

/**
 * What failovers and planned switchovers take, on the local cloud's real clock:
 * `node bench/failover.ts --runs 10 --out failover.jsonl`, as often as there is time for it; every run is a line of the
 * file, and the end says the medians of all of them. Probes of 0.5 s × 3, TTL 1 s, four clients of 100 writes a second.
 */

interface Measured {
  /** From SIGKILL to the first acknowledged write by name, seconds. */
  readonly firstWrite: number;
  /** From SIGKILL to the start of the execution. */
  readonly detected: number;
  readonly phases: Readonly<Record<string, number>>;
  readonly lostSeconds: readonly [number, number | null];
  /** The longest time without a write in the failback. */
  readonly switchoverGap: number;
  readonly switchoverLost: number;
  readonly states: Readonly<Record<string, number>>;
}

const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' }, out: { type: 'string' } } });
const directory = openRunDirectory(join(workDirectory, 'rehearse'), `bench-failover-${process.pid}`);
const pair = await startPair({ postgres: providePostgres(() => {}), directory: directory.path, automatic: true });
try {
  const client = await pair.connect('primary');
  await createLedgerTable(client);
  await client.end();
  for (let run = 0; run < Number(values.runs); run++) {
    const measured = await measure(pair, run);
    console.error(JSON.stringify(measured));
    if (values.out) appendFileSync(values.out, `${JSON.stringify(measured)}\n`);
  }
} finally {
  await pair.stop();
  directory.close();
}
if (values.out && existsSync(values.out)) {
  const lines = readFileSync(values.out, 'utf8').trim().split('\n');
  report(lines.map((line) => JSON.parse(line) as Measured));
}
process.exit(0);

async function measure({ files, nameServer, ...rest }: Pair, run: number): Promise<Measured> {
  const ledger = startLedger({
    nameServer,
    name: endpointName,
    port: files.primary.port,
    password: files.password,
    firstWorker: 100 * run,
  });
  try {
    await rest.probe();
    await ledger.firstAfter(now() + 2000);
    rest.lose('primary');
    const lostAt = now();
    const execution = await rest.awaitStart('failover', lostAt);
    const over = ended(await rest.follow(execution));
    const first = await firstBy(ledger, files.standby.host);
    rest.giveBack('primary');
    const middle = now();
    const back = ended(await rest.run('failback', { database: 'orders' }));
    await ledger.firstAfter(now() + 300);
    await ledger.stop();
    const reader = await rest.connect('primary');
    const { lost } = await judgeLedger(reader, ledger.acknowledged).finally(() => reader.end());
    const times = ledger.acknowledged.map(({ at }) => at).filter((at) => at > middle);
    const sorted = times.sort((a, b) => a - b);
    const { phases, loss } = over.outcome?.failover ?? { phases: [], loss: null };
    return {
      firstWrite: (first - lostAt) / 1000,
      detected: (Number(over.execution.startDate) - lostAt) / 1000,
      phases: Object.fromEntries(phases.map(({ phase, seconds }) => [phase, seconds])),
      lostSeconds: [loss?.lowerSeconds ?? 0, loss?.upperSeconds ?? null],
      switchoverGap: Math.max(...sorted.slice(1).map((at, i) => at - (sorted[i] as number))) / 1000,
      switchoverLost: lost.filter(({ at }) => at > middle).length,
      states: Object.fromEntries([...over.states, ...back.states].map(({ name, seconds }) => [name, seconds])),
    };
  } finally {
    await ledger.stop();
  }
}

async function firstBy(ledger: Ledger, host: string): Promise<number> {
  for (;;) {
    const found = ledger.acknowledged.find(({ server }) => server === host);
    if (found) return found.at;
    await ledger.firstAfter(now());
  }
}

function ended(run: MachineRun): MachineRun {
  if (run.succeeded) return run;
  throw new Error(run.execution.cause ?? 'it failed');
}

function report(runs: readonly Measured[]): void {
  const rows: [string, (run: Measured) => number][] = [
    ['loss to first write by name', (run) => run.firstWrite],
    ['loss to start of the failover', (run) => run.detected],
    ['start of the failover to first write', (run) => run.firstWrite - run.detected],
    ...['decided', 'fenced', 'promoted', 'name-moved', 'first-write'].map(
      (phase): [string, (run: Measured) => number] => [`  ${phase}`, (run) => run.phases[phase] ?? 0],
    ),
    ['planned switchover: without a write', (run) => run.switchoverGap],
    ['planned switchover: lost writes', (run) => run.switchoverLost],
  ];
  console.log(`${runs.length} runs${' '.repeat(33)}median    max`);
  for (const [name, of] of rows) {
    const all = runs.map(of).sort((a, b) => a - b);
    const middle = ((all[(all.length - 1) >> 1] as number) + (all[all.length >> 1] as number)) / 2;
    console.log(`${name.padEnd(38)} ${middle.toFixed(2).padStart(6)} ${(all.at(-1) as number).toFixed(2).padStart(6)}`);
  }
}
