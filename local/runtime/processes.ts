import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/**
 * Child processes that stand for containers and function sandboxes. Each leads a process group of its own; when it
 * ends, everything that it started ends too, as a container's processes do.
 */
export interface SandboxOptions {
  readonly command: readonly string[];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  /** Opens an IPC channel (`process.send`). */
  readonly ipc?: boolean;
  /** Called per line of stdout and stderr. */
  readonly onLine: (line: string, from: 'stdout' | 'stderr') => void;
}

export interface Exit {
  /** As Docker has it: 128 plus the signal's number when a signal ended it. */
  readonly code: number;
  readonly signal?: NodeJS.Signals;
}

export interface Sandbox {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Settles when the process has ended and its output is read to the end. */
  readonly ended: Promise<Exit>;
  /** To the leading process only, as `docker stop` does it. */
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL to the whole group. */
  kill(): void;
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGSYS: 31,
};

/** Groups that live: killed when this process ends without having closed its cloud. */
const groups = new Set<number>();
process.on('exit', () => {
  for (const pid of groups) killGroup(pid);
});

/** Starts a sandbox; rejects when the command cannot be started (ENOENT, EACCES). */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const [file = '', ...parameters] = options.command;
  const child = spawn(file, parameters, {
    cwd: options.directory,
    env: options.environment,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...(options.ipc ? (['ipc'] as const) : [])],
    ...(options.uid !== undefined && { uid: options.uid, gid: options.gid }),
  });
  const closed = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      // The leader is gone, and so is the container: what it left behind still holds its output open.
      if (child.pid) killGroup(child.pid);
      const exit = { code: code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0), ...(signal && { signal }) };
      const finish = () => {
        if (child.pid) groups.delete(child.pid);
        resolve(exit);
      };
      // A process that left the group may hold the pipes for ever; its output is not waited for.
      const patience = setTimeout(finish, 1000);
      child.once('close', () => {
        clearTimeout(patience);
        // Lines that readline has not handed out yet come in this turn.
        setImmediate(finish);
      });
    });
  });
  lines(child.stdout, (line) => options.onLine(line, 'stdout'));
  lines(child.stderr, (line) => options.onLine(line, 'stderr'));
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.on('error', () => {});
  const pid = child.pid as number;
  groups.add(pid);
  return {
    pid,
    child,
    ended: closed,
    signal: (signal) => {
      child.kill(signal);
    },
    kill: () => killGroup(pid),
  };
}

/**
 * Kills every process that works inside a folder or was told of it by its environment. A daemon (pg_ctl starts one)
 * leaves its process group, and only a container's end would end it; here its working directory gives it away.
 * Needs /proc: elsewhere such a daemon survives.
 */
export function killInside(folder: string): number {
  let killed = 0;
  for (const entry of listProcesses()) {
    const pid = Number(entry);
    if (!pid || pid === process.pid) continue;
    if (!isInside(pid, folder)) continue;
    try {
      process.kill(pid, 'SIGKILL');
      killed++;
    } catch {
      // Ended by itself meanwhile.
    }
  }
  return killed;
}

function isInside(pid: number, folder: string): boolean {
  const under = `${folder}/`;
  const readable = (read: () => string): string => {
    try {
      return read();
    } catch {
      return '';
    }
  };
  if (`${readable(() => readlinkSync(`/proc/${pid}/cwd`))}/`.startsWith(under)) return true;
  return readable(() => readFileSync(`/proc/${pid}/environ`, 'latin1')).includes(`=${under}`);
}

function listProcesses(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left in the group.
  }
}

function lines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream) createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
}
