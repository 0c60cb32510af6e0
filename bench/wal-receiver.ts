import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseLsn } from '../lib/core/lsn.ts';
import { password, postgresBin } from '../test/scenarios/postgres.ts';
import { startWalWorld } from '../test/scenarios/wal-world.ts';

/**
 * What the receiver costs: its processor time while nothing happens, and for each 10 MB of WAL while pgbench writes at
 * full speed; its peak memory; and how far the store was behind at the end. `node bench/wal-receiver.ts [seconds]`,
 * seconds of each load.
 */
const seconds = Number(process.argv[2] ?? 20);
const world = await startWalWorld();
try {
  const target = ['-h', '127.0.0.1', '-p', String(world.server.port), '-U', 'postgres', 'postgres'];
  const rowsScript = join(world.folder, 'rows.sql');
  writeFileSync(
    rowsScript,
    "INSERT INTO bulk SELECT i, md5(i::text), repeat('x', 200) FROM generate_series(1, 200) i;\n",
  );
  await pgbench(['-i', '-s', '10', '-q', ...target]);
  await world.server.query('CREATE TABLE bulk (id int, hash text, filler text)');
  const loads: Record<string, () => Promise<unknown>> = {
    'nothing but the heartbeat': () => sleep(seconds * 1000),
    'pgbench -N, 8 clients': () => pgbench([...load(8), '-M', 'prepared', '-N', ...target]),
    'inserts of 200 rows, 8 clients': () => pgbench([...load(8), '-n', '-f', rowsScript, ...target]),
  };
  // As deployed: chunks of 5 s or 8 MiB, a heartbeat every 5 s, and the same lease.
  const receiver = world.startReceiver(
    { walChunkSeconds: 5, walChunkBytes: 8 * 2 ** 20, heartbeatSeconds: 5 },
    { leaseMilliseconds: 15_000 },
  );
  await receiver.said(/^streaming$/);
  const lsn = async () => {
    const [row] = await world.server.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
    return row?.lsn as string;
  };
  const results: Record<string, Record<string, string>> = {};
  for (const [name, run] of Object.entries(loads)) {
    await world.durable(await lsn());
    await sleep(1_000);
    const [before, cpuBefore, began] = [parseLsn(await lsn()), cpuSeconds(receiver.pid), performance.now()];
    await run();
    const lasted = (performance.now() - began) / 1000;
    const end = await lsn();
    const ended = performance.now();
    await world.durable(end);
    const behind = (performance.now() - ended) / 1000;
    // Segments are made whole behind the stream; that is part of the price.
    await sleep(1_000);
    const megabytes = Number(parseLsn(end) - before) / 1e6;
    const cpu = cpuSeconds(receiver.pid) - cpuBefore;
    results[name] = {
      'WAL, MB/s': (megabytes / lasted).toFixed(1),
      'of one core, %': ((cpu / lasted) * 100).toFixed(1),
      'of one core per 10 MB/s, %': megabytes / lasted < 0.1 ? '' : ((cpu / megabytes) * 1000).toFixed(1),
      'peak memory, MiB': memory(receiver.pid, 'VmHWM').toFixed(0),
      'stored after the end, s': behind.toFixed(1),
    };
  }
  console.table(results);
  await receiver.stop();
} finally {
  await world.close();
}

function load(clients: number): string[] {
  return ['-c', String(clients), '-j', '2', '-T', String(seconds)];
}

function pgbench(args: readonly string[]): Promise<void> {
  const child = spawn(join(postgresBin(), 'pgbench'), args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env.PATH, PGPASSWORD: password },
  });
  return new Promise((resolve, reject) =>
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`pgbench ended with ${code}`)))),
  );
}

/** Processor time of a process, user and system: fields 14 and 15 of its stat, in hundredths of a second. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** MiB. */
function memory(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
