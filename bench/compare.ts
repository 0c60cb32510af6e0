import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseSize } from '../lib/cli/output.ts';
import { startPostgres } from '../lib/cli/rehearse/postgres-server.ts';
import { providePostgres } from '../lib/cli/setup/install-postgres.ts';
import { awsCommand, type Bench, type Figures, openRound } from './compare/contenders.ts';
import { fillDatabase } from './compare/database.ts';
import { judge, type Measurements, render, renderMemory } from './compare/report.ts';

/**
 * `npm run bench`: pgdr beside the scripts that it replaces and beside the limits of the machine, on the same database
 * and the same S3, in turns. See docs/benchmarks.md.
 *
 *   npm run bench [-- --size 2GB --rounds 3 --only <name> … --memory --sizes 1GB,2GB,4GB --directory <disk> --json]
 */
const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '2GB' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', multiple: true },
    memory: { type: 'boolean', default: false },
    sizes: { type: 'string' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
const say = (line: string) => process.stderr.write(`${line}\n`);
const { bin, version } = providePostgres(say);
const machine = { cores: availableParallelism(), postgres: version, uploader: awsCommand ? 'aws' : 'our own' };

async function withDatabase<T>(size: string, work: (bench: Bench, bytes: number) => Promise<T>): Promise<T> {
  const wanted = parseSize(size);
  if (!wanted) throw new Error(`--size ${size} is no size such as 500MB or 2GB`);
  const directory = mkdtempSync(join(options.directory, 'pgdr-bench-'));
  chmodSync(directory, 0o755);
  const source = await startPostgres({ bin, directory: join(directory, 'source') });
  try {
    const database = 'shop';
    const control = await source.connect('postgres');
    await control.query(`CREATE DATABASE ${database}`);
    await control.end();
    const client = await source.connect(database);
    const bytes = await fillDatabase(client, wanted);
    await client.end();
    say(`${database}: ${(bytes / 1e9).toFixed(2)} GB on disk`);
    return await work({ bin, directory, source, database }, bytes);
  } finally {
    await source.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The contenders one after another, and that some times: what slows the machine down slows all of them down. */
async function measure(bench: Bench, rounds: number, only?: readonly string[]): Promise<Measurements> {
  const runs: Record<string, Figures[]> = {};
  for (let n = 1; n <= rounds; n++) {
    const round = await openRound(bench);
    try {
      for (const name of round.names.filter((each) => !only || only.includes(each))) {
        const figures = await round.run(name);
        runs[name] = [...(runs[name] ?? []), figures];
        const { seconds, clientCpu, serverCpu, storeCpu } = figures;
        const cpu = [clientCpu, serverCpu, storeCpu].map((each) => each.toFixed(1)).join(' + ');
        const peak = figures.peakBytes ? `, at most ${(figures.peakBytes / 1e6).toFixed(0)} MB` : '';
        say(`${n}/${rounds} ${name}: ${seconds.toFixed(1)} s, CPU of client, server and store ${cpu} s${peak}`);
      }
    } finally {
      await round.close();
    }
  }
  return runs;
}

if (options.memory) {
  const peaks = [];
  for (const size of (options.sizes ?? '1GB,2GB,4GB').split(',')) {
    const ran = await withDatabase(size, (bench) => measure(bench, 1, ['pgdr backup', 'pgdr restore']));
    peaks.push({ size, backup: ran['pgdr backup']?.[0], restore: ran['pgdr restore']?.[0] });
  }
  const { text, ok } = renderMemory(peaks);
  process.stdout.write(options.json ? `${JSON.stringify({ machine, peaks, ok })}\n` : text);
  process.exitCode = ok ? 0 : 1;
} else {
  const { bytes, runs } = await withDatabase(options.size, async (bench, bytes) => ({
    bytes,
    runs: await measure(bench, Number(options.rounds), options.only),
  }));
  const ratios = judge(runs, machine.cores);
  const ok = ratios.every(({ held }) => held);
  const report = { machine, bytes, rounds: Number(options.rounds), runs, ratios, ok };
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : render(report));
  process.exitCode = ok ? 0 : 1;
}
