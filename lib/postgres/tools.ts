import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorName, PgdrError } from '../core/errors.ts';
import type { Connection } from './connection.ts';

/**
 * PostgreSQL's own programs, found on the PATH. A password reaches them through a 0600 file and never through an
 * argument or an environment variable, which other processes and crash dumps can show.
 */
export interface ToolEnvironment {
  readonly env: NodeJS.ProcessEnv;
}

/** Prepares the environment for tools that talk to this server; writes pgpass (and the CA) into `directory`. */
export async function toolEnvironment(connection: Connection, directory: string): Promise<ToolEnvironment> {
  const quote = (field: string) => field.replace(/[\\:]/g, '\\$&');
  const passfile = join(directory, 'pgpass');
  const { host, port, username, password } = connection;
  await writeFile(passfile, `${quote(host)}:${port}:*:${quote(username)}:${quote(password)}\n`, { mode: 0o600 });
  await chmod(passfile, 0o600);
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: directory,
    TMPDIR: directory,
    LC_ALL: 'C',
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: username,
    PGDATABASE: connection.dbname,
    PGPASSFILE: passfile,
    PGSSLMODE: connection.sslmode,
    PGCONNECT_TIMEOUT: '10',
    PGAPPNAME: 'pgdr',
  };
  if (connection.sslrootcert) {
    env.PGSSLROOTCERT = join(directory, 'root.crt');
    await writeFile(env.PGSSLROOTCERT, connection.sslrootcert);
  } else if (connection.sslmode.startsWith('verify')) {
    // libpq before 16 does not know `system`; the image is Debian, whose bundle lies here.
    env.PGSSLROOTCERT = '/etc/ssl/certs/ca-certificates.crt';
  }
  return { env };
}

/** The same for another database of the server. */
export const forDatabase = ({ env }: ToolEnvironment, name: string): ToolEnvironment => ({
  env: { ...env, PGDATABASE: name },
});

/** A database name as `--dbname`, such that libpq cannot take it for a connection string. */
export const databaseArgument = (name: string): string => `--dbname=dbname='${name.replace(/['\\]/g, '\\$&')}'`;

export interface RunningTool {
  readonly process: ChildProcess;
  /** Resolves with the collected stderr once the program ended with exit code 0, rejects with `failure` otherwise. */
  readonly ended: Promise<string>;
}

/** Only this much of a tool's stderr is kept, from its beginning: the first error is the one that matters. */
const stderrLimit = 64 * 1024;

/**
 * Starts a tool; `failure` is the catalogue name of its failing.
 * `accept` may turn a non-zero exit into success after reading stderr (pg_restore counts warnings as failures).
 */
export function startTool(
  name: string,
  args: readonly string[],
  tools: ToolEnvironment,
  failure: ErrorName,
  options: { signal?: AbortSignal; accept?: (stderr: string) => boolean } = {},
): RunningTool {
  const child = spawn(name, args, {
    env: tools.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: options.signal,
    killSignal: 'SIGTERM',
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < stderrLimit) stderr += text;
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        options.signal?.aborted
          ? options.signal.reason
          : new PgdrError(failure, `${name} could not run: ${cause.message}`, { cause }),
      ),
    );
    child.once('close', (code, signal) => {
      if (code === 0 || (code !== null && options.accept?.(stderr))) return resolve(stderr);
      const how = signal ? `was killed by ${signal}` : `exited with ${code}`;
      reject(new PgdrError(failure, `${name} ${how}${stderr ? `: ${firstError(stderr)}` : ''}`));
    });
  });
  ended.catch(() => {}); // Awaited by the caller, who may be busy with the stream when it happens.
  return { process: child, ended };
}

/** Runs a tool to its end and gives its stdout; for small outputs only. */
export async function runTool(
  name: string,
  args: readonly string[],
  tools: ToolEnvironment,
  failure: ErrorName,
): Promise<string> {
  const tool = startTool(name, args, tools, failure);
  tool.process.stdin?.end();
  let output = '';
  tool.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await tool.ended;
  return output;
}

/** The stdout of a tool as a stream that ends only if the tool ended well: a failing exit is an error of the stream. */
export async function* outputOf(tool: RunningTool): AsyncGenerator<Buffer> {
  tool.process.stdin?.end();
  yield* tool.process.stdout as AsyncIterable<Buffer>;
  await tool.ended;
}

/** `pg_dump (PostgreSQL) 15.18 (Debian …)` → { major: 15, text }. */
export async function toolVersion(tools: ToolEnvironment): Promise<{ major: number; text: string }> {
  const text = (await runTool('pg_dump', ['--version'], tools, 'PostgresMajorMismatch')).trim();
  return { major: Number(/\d+/.exec(text)?.[0]), text };
}

/** The first line that is an error; failing that, the first line. */
export function firstError(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /\b(error|fatal):/i.test(line)) ?? lines[0] ?? 'no message').trim();
}
