import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killInside } from '../../../local/runtime/processes.ts';
import { isAlive } from '../processes.ts';

/**
 * Directories of runs. Beside each lies a file `<name>.pid` with the process that it belongs to: a run that was killed
 * leaves its server, its tasks and its directory behind, and the next run clears them away.
 */
export interface RunDirectory {
  readonly path: string;
  /** Removes the directory; `keep` leaves it, and only ends the claim. */
  close(keep?: boolean): void;
}

export function openRunDirectory(runs: string, name: string): RunDirectory {
  const path = join(runs, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}.pid`, `${process.pid}\n`);
  return {
    path,
    close(keep = false) {
      if (!keep) rmSync(path, { recursive: true, force: true });
      rmSync(`${path}.pid`, { force: true });
    },
  };
}

/** Clears away what runs left whose process is gone. */
export async function removeLeftovers(runs: string): Promise<void> {
  mkdirSync(runs, { recursive: true });
  for (const name of readdirSync(runs)) {
    if (!name.endsWith('.pid') || isAlive(Number(readFileSync(join(runs, name), 'utf8')))) continue;
    const directory = join(runs, name.slice(0, -'.pid'.length));
    await stopServer(join(directory, 'source', 'data'));
    // Tasks and functions, by the folders they work in.
    killInside(directory);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    rmSync(join(runs, name), { force: true });
  }
}

/** SIGQUIT rather than SIGKILL, so that the postmaster takes its processes and shared memory with it. */
async function stopServer(data: string): Promise<void> {
  const pid = postmasterOf(data);
  if (pid === undefined) return;
  process.kill(pid, 'SIGQUIT');
  for (let waited = 0; waited < 100 && isAlive(pid); waited += 1) await sleep(100);
}

/** The server of a data directory, if it runs. A process id may have been given to another process since. */
function postmasterOf(data: string): number | undefined {
  try {
    const [pid] = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data) ? Number(pid) : undefined;
  } catch {
    // No such server, or no /proc to be sure with.
    return undefined;
  }
}
