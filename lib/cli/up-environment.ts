import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * `.pgdr/up.env`: how other commands reach the local cloud of a running `pgdr up`. Lines of NAME=value, values in
 * single quotes, so that a shell can read it too; the first line, a comment, holds the pid of `up`.
 */

export function writeUpEnvironment(file: string, pid: number, environment: Readonly<Record<string, string>>): void {
  mkdirSync(dirname(file), { recursive: true });
  const lines = Object.entries(environment).map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'`);
  writeFileSync(file, [`# pid ${pid}`, ...lines, ''].join('\n'), { mode: 0o600 });
}

export const removeUpEnvironment = (file: string): void => rmSync(file, { force: true });

export interface UpEnvironment {
  readonly pid: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** What a running `up` left; the file of one that is gone is removed. */
export function readUpEnvironment(file: string, isAlive: (pid: number) => boolean): UpEnvironment | undefined {
  if (!existsSync(file)) return undefined;
  const [first = '', ...lines] = readFileSync(file, 'utf8').split('\n');
  const pid = Number(/^# pid (\d+)$/.exec(first)?.[1]);
  if (!pid || !isAlive(pid)) {
    removeUpEnvironment(file);
    return undefined;
  }
  const environment: Record<string, string> = {};
  for (const line of lines) {
    const match = /^([A-Z_]+)='(.*)'$/.exec(line);
    if (match) environment[match[1] as string] = (match[2] as string).replaceAll(`'\\''`, "'");
  }
  return { pid, environment };
}

/** Variables by which somebody has said already which AWS is meant. */
const chosen = ['AWS_ENDPOINT_URL', 'AWS_PROFILE', 'AWS_ACCESS_KEY_ID'];

/** Adopts the local cloud of a running `up`, unless `environment` names another; gives its endpoint. */
export function adoptUpEnvironment(
  file: string,
  environment: NodeJS.ProcessEnv,
  isAlive: (pid: number) => boolean,
): string | undefined {
  if (chosen.some((name) => environment[name])) return undefined;
  const up = readUpEnvironment(file, isAlive);
  if (up === undefined) return undefined;
  for (const [name, value] of Object.entries(up.environment)) environment[name] ??= value;
  return environment.AWS_ENDPOINT_URL;
}
