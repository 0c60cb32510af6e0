import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../assembly.ts';
import { serverAccount } from '../unprivileged.ts';
import type { ServerFiles } from './servers.ts';

/** A machine of a server's owner, on which its agent is a service of the host. */
export interface Instance {
  start(): Promise<void>;
  /** @param force as if its power were cut */
  stop(force: boolean): Promise<void>;
}

export function makeInstance(
  { data }: ServerFiles,
  { bin, environment }: { bin: string; environment: NodeJS.ProcessEnv },
): Instance {
  let agent: ChildProcess | undefined;
  const isRunning = () => agent !== undefined && agent.exitCode === null && agent.signalCode === null;
  return {
    async start() {
      if (isRunning()) return;
      const account = serverAccount();
      const log = openSync(`${data}.agent.log`, 'a');
      agent = spawn(process.execPath, [join(root, 'tasks', 'lease-agent.ts')], {
        cwd: root,
        stdio: ['ignore', log, log],
        env: { PATH: `${bin}:${process.env.PATH}`, LANG: 'C', TZ: 'UTC', ...environment },
        ...(account && { uid: account.uid, gid: account.gid }),
      });
      closeSync(log);
    },
    async stop(force) {
      if (!isRunning()) return;
      const gone = new Promise<void>((resolve) => agent?.once('exit', () => resolve()));
      if (force) for (const pid of serverProcesses(data)) kill(pid);
      agent?.kill(force ? 'SIGKILL' : 'SIGTERM');
      await gone;
    },
  };
}

/** The postmaster of a data directory and its children, as far as it runs. */
function serverProcesses(data: string): number[] {
  try {
    const postmaster = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(postmaster)], { encoding: 'utf8' });
    return [postmaster, ...stdout.split('\n').map(Number).filter(Boolean)];
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}
