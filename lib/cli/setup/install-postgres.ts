import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { platform } from 'node:os';
import { join } from 'node:path';
import { CliError, exitCode } from '../errors.ts';
import { type PostgresBinaries, searchPostgres } from './postgres-binaries.ts';

/** Installing PostgreSQL's server and client programs by the system's own package manager. */

const homebrewFormula = 'postgresql@17';

/** Runs a command with its output on stderr; false when it failed or is not there. */
function succeeds(command: readonly string[], environment: Record<string, string> = {}): boolean {
  const [program = '', ...args] = command;
  const result = spawnSync(program, args, {
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    env: { ...process.env, ...environment },
  });
  return result.status === 0;
}

const onPath = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/** How to act as root without asking anybody: directly, through `sudo -n`, or not at all. */
function rootPrefix(): readonly string[] | undefined {
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : undefined;
}

/** Debian's postgresql-common makes and starts a cluster on installation; this keeps the machine free of one. */
function withoutCluster(prefix: readonly string[]): void {
  const directory = '/etc/postgresql-common';
  const file = join(directory, 'createcluster.conf');
  if (existsSync(file)) return;
  const content = 'create_main_cluster = false\n';
  if (prefix.length === 0) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(file, content);
  } else {
    spawnSync(prefix[0] as string, [...prefix.slice(1), 'mkdir', '-p', directory]);
    spawnSync(prefix[0] as string, [...prefix.slice(1), 'tee', file], {
      input: content,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }
}

function installByApt(prefix: readonly string[]): boolean {
  withoutCluster(prefix);
  const quiet = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q'];
  if (!succeeds([...quiet, 'update'])) return false;
  // --force-confold: createcluster.conf exists already, and dpkg would stop to ask whose version counts.
  const keepConfiguration = ['-o', 'Dpkg::Options::=--force-confold'];
  return succeeds([
    ...quiet,
    ...keepConfiguration,
    'install',
    '-y',
    '--no-install-recommends',
    'postgresql',
    'postgresql-contrib',
  ]);
}

/** PostgreSQL as found, or installed and found; `say` gets a line before anything that takes time. */
export function providePostgres(say: (line: string) => void): PostgresBinaries {
  const before = searchPostgres();
  if (before.found) return before.found;
  if (process.env.PG_BIN) throw notProvided(`PG_BIN does not serve: ${before.problems.join('; ')}.`);

  const started = Date.now();
  if (platform() === 'darwin') {
    if (!onPath('brew')) throw notProvided('PostgreSQL was not found, and there is no Homebrew to install it with.');
    say(`Installing PostgreSQL with \`brew install ${homebrewFormula}\` …`);
    if (!succeeds(['brew', 'install', homebrewFormula]))
      throw notProvided('`brew install` failed; its messages are above.');
  } else if (onPath('apt-get')) {
    const prefix = rootPrefix();
    if (prefix === undefined) throw notProvided('PostgreSQL was not found, and installing it with apt-get needs root.');
    say('Installing PostgreSQL with apt-get (no service is started) …');
    if (!installByApt(prefix)) throw notProvided('apt-get could not install PostgreSQL; its messages are above.');
  } else {
    throw notProvided('PostgreSQL was not found, and this system has neither apt-get nor Homebrew to install it with.');
  }
  const after = searchPostgres();
  if (!after.found) throw notProvided(`PostgreSQL was installed but does not serve: ${after.problems.join('; ')}.`);
  say(`PostgreSQL ${after.found.version} installed in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
  return after.found;
}

const notProvided = (message: string): CliError =>
  new CliError('PostgresMissing', message, {
    exit: exitCode.failed,
    intact: 'Nothing was started.',
    tryNext:
      'Install PostgreSQL 13 to 18 with its contrib modules, or set PG_BIN to the directory that holds initdb, postgres, pg_dump, pg_restore and psql.',
  });
