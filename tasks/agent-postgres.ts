import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The one PostgreSQL server that an agent runs, as its child. */
export interface Postgres {
  readonly directory: string;
  readonly port: number;
  /** What the server is started with beside its configuration files. */
  readonly options: Readonly<Record<string, string>>;
  /** Whether it accepts writes when it runs: a data directory without a signal of recovery, or one that was promoted. */
  isWriter(): boolean;
  isRunning(): boolean;
  /** It ended though nobody asked for it. */
  hasFailed(): boolean;
  exitCode(): number | string | null;
  start(): Promise<void>;
  /** `immediate` acknowledges nothing more from the moment that the signal arrives. Returns when it is gone. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
}

const signals = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
/** A server that ends neither by SIGQUIT is killed: its memory is gone with it, and recovery mends the rest. */
const patience = { fast: 25_000, immediate: 3_000 } as const;

export function createPostgres(environment: NodeJS.ProcessEnv): Postgres {
  const directory = environment.PGDATA ?? '';
  const port = Number(environment.PGPORT ?? 5432);
  const options = {
    port: String(port),
    ...(environment.PGHOST && { listen_addresses: environment.PGHOST }),
    ...(JSON.parse(environment.PGDR_POSTGRES_OPTIONS ?? '{}') as Record<string, string>),
  };
  let child: ChildProcess | undefined;
  let asked = false;
  let ended: Promise<void> = Promise.resolve();
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null;

  return {
    directory,
    port,
    options,
    isWriter: () => !existsSync(join(directory, 'standby.signal')),
    isRunning,
    hasFailed: () => child !== undefined && !isRunning() && !asked,
    exitCode: () => child?.exitCode ?? child?.signalCode ?? null,
    async start() {
      asked = false;
      const given = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      child = spawn('postgres', ['-D', directory, ...given], {
        stdio: ['ignore', 'inherit', 'inherit'],
        env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR, LANG: 'C', TZ: 'UTC' },
      });
      const { promise, resolve } = Promise.withResolvers<void>();
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
      ended = promise;
    },
    async stop(mode) {
      asked = true;
      if (!isRunning()) return;
      child?.kill(signals[mode]);
      // A postmaster that is stopped by SIGSTOP takes no other signal until it goes on, or SIGKILL.
      const gone = await Promise.race([ended.then(() => true), sleep(patience[mode], false, { ref: false })]);
      if (!gone) {
        child?.kill('SIGKILL');
        await ended;
      }
    },
  };
}
