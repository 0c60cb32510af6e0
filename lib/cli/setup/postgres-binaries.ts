import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** Where PostgreSQL's programs lie on a machine. */

export interface PostgresBinaries {
  /** Directory of the programs. */
  readonly bin: string;
  readonly major: number;
  /** As the server says it: `15.13 (Debian 15.13-0+deb12u1)`. */
  readonly version: string;
}

const programs = ['initdb', 'postgres', 'pg_dump', 'pg_dumpall', 'pg_restore', 'psql'];
export const supportedMajors = { oldest: 13, newest: 18 } as const;

type Inspection = PostgresBinaries | { readonly problem: string };

/** What is in one directory, or why it does not serve. */
export const inspect = (bin: string): Inspection => look(bin, programs);

/** The same for a directory that holds a server without client programs. */
export const inspectServer = (bin: string): Inspection => look(bin, ['initdb', 'postgres']);

function look(bin: string, needed: readonly string[]): Inspection {
  const missing = needed.filter((program) => !existsSync(join(bin, program)));
  if (missing.length > 0) return { problem: `${bin} lacks ${missing.join(', ')}` };
  let text: string;
  try {
    text = execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' }).trim();
  } catch (error) {
    return { problem: `${bin}/postgres does not run: ${(error as Error).message.split('\n')[0]}` };
  }
  // "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"
  const version = text.replace(/^postgres \(PostgreSQL\) /, '');
  const major = Number.parseInt(version, 10);
  if (!(major >= supportedMajors.oldest && major <= supportedMajors.newest)) {
    return {
      problem: `${bin} holds PostgreSQL ${version}; ${supportedMajors.oldest} to ${supportedMajors.newest} are supported`,
    };
  }
  return { bin, major, version };
}

/** Subdirectories of the form `<parent>/<prefix><major>/bin`, whatever is there. */
function versioned(parent: string, prefix: string): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => join(parent, name, 'bin'));
}

function fromPgConfig(): string[] {
  try {
    return [execFileSync('pg_config', ['--bindir'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()];
  } catch {
    return [];
  }
}

/** Debian's places, Red Hat's, Homebrew's on both kinds of Mac, and what pg_config names. */
export const candidateDirectories = (): string[] => [
  ...versioned('/usr/lib/postgresql', ''),
  ...versioned('/usr', 'pgsql-'),
  ...versioned('/opt/homebrew/opt', 'postgresql@'),
  ...versioned('/usr/local/opt', 'postgresql@'),
  ...fromPgConfig(),
];

/** Where bin/majors.mjs puts a major; through its link, which leads out of a checkout that is closed to other users. */
function installedMajor(major: number): string[] {
  const bin = join(import.meta.dirname, '..', '..', '..', '.pgdr', 'majors', String(major), 'bin');
  return existsSync(bin) ? [realpathSync(bin)] : [];
}

/** PostgreSQL of one major: in $PG_BIN, in the known places, or installed beside this system by bin/majors.mjs. */
export function findMajor(major: number, environment: NodeJS.ProcessEnv = process.env): PostgresBinaries | undefined {
  const places = [
    ...(environment.PG_BIN ? [environment.PG_BIN] : []),
    ...candidateDirectories(),
    ...installedMajor(major),
  ];
  for (const place of places) {
    const result = inspect(place);
    if (!('problem' in result) && result.major === major) return result;
  }
  return undefined;
}

export interface Search {
  readonly found: PostgresBinaries | undefined;
  /** Why directories that looked like PostgreSQL did not serve. */
  readonly problems: readonly string[];
}

/** $PG_BIN if it is set, and nothing else then; otherwise the newest supported major among the known places. */
export function searchPostgres(environment: NodeJS.ProcessEnv = process.env, directories?: readonly string[]): Search {
  const places = environment.PG_BIN ? [environment.PG_BIN] : (directories ?? candidateDirectories());
  const problems: string[] = [];
  let found: PostgresBinaries | undefined;
  for (const place of places) {
    const result = inspect(place);
    if ('problem' in result) problems.push(result.problem);
    else if (found === undefined || result.major > found.major) found = result;
  }
  return { found, problems };
}
