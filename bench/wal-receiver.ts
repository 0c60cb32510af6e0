import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn } from '../lib/core/lsn.ts';
import { password, postgresBin } from '../test/scenarios/postgres.ts';
import { startWalWorld } from '../test/scenarios/wal-world.ts';

/**
 * What the receiver costs while pgbench writes at full speed: its processor time for each 10 MB of WAL, its peak memory,
 * and how far the store was behind at the end. `node bench/wal-receiver.ts [seconds]`
 */
const seconds = Number(process.argv[2] ?? 20);
const world = await startWalWorld();
try {
  const target = ['-h', '127.0.0.1', '-p', String(world.server.port), '-U', 'postgres'];
  await pgbench(['-i', '-s', '10', '-q', ...target, 'postgres']);
  const receiver = world.startReceiver({ walChunkSeconds: 5, walChunkBytes: 8 * 2 ** 20, heartbeatSeconds: 5 });
  await receiver.said(/^streaming$/);
  const lsn = async () => {
    const [row] = await world.server.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
    return row?.lsn as string;
  };
  await world.durable(await lsn());
  const [before, cpuBefore] = [parseLsn(await lsn()), cpuSeconds(receiver.pid)];
  await pgbench(['-c', '8', '-j', '2', '-T', String(seconds), '-M', 'prepared', '-N', ...target, 'postgres']);
  const end = await lsn();
  const ended = performance.now();
  await world.durable(end);
  const behind = (performance.now() - ended) / 1000;
  const megabytes = Number(parseLsn(end) - before) / 1e6;
  const cpu = cpuSeconds(receiver.pid) - cpuBefore;
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${receiver.pid}/status`, 'utf8'))?.[1]) / 1024;
  console.table({
    'WAL, MB': megabytes.toFixed(0),
    'WAL, MB a second': (megabytes / seconds).toFixed(1),
    'receiver, CPU seconds': cpu.toFixed(2),
    'of one core per 10 MB/s of WAL, %': ((cpu / megabytes) * 1000).toFixed(1),
    'peak memory, MiB': peak.toFixed(0),
    'stored after the end of the load, s': behind.toFixed(1),
  });
} finally {
  await world.close();
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
