import { spawn } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { canReach, readingLauncher } from '../../local/runtime/container-user.ts';
import { databaseSettings } from '../config/database-settings.ts';
import type { Config } from '../config/schema.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import { CliError, exitCode } from './errors.ts';
import type { Output } from './output.ts';
import { root, stateDirectory } from './rehearse/assembly.ts';
import { serverAccount } from './rehearse/unprivileged.ts';
import { findMajor } from './setup/postgres-binaries.ts';

/**
 * A job of the task image on this machine, with the credentials of the shell and a bucket that is named: it asks
 * nothing of a deployed pgdr, nor of the account that it was deployed in.
 */
export interface HandWork {
  readonly job: 'restore' | 'restore-test';
  readonly config: Config;
  readonly database: string;
  readonly bucket: string;
  readonly region: string | undefined;
  /** A secret of this account, by which the target of a restore is reached. */
  readonly targetSecret?: string;
  /** The rest of the job's input. */
  readonly input: object;
}

export interface HandOutcome {
  readonly output?: unknown;
  readonly failure?: { readonly error: string; readonly message: string; readonly tryNext?: string };
  /** Reports that the job wrote. */
  readonly reports: readonly string[];
}

export function handSettings({ config, database, bucket, targetSecret }: HandWork): DatabaseSettings {
  const configured = config.databases.find(({ name }) => name === database);
  if (!configured) {
    throw new CliError('UnknownDatabase', `The configuration has no database ${database}.`, {
      exit: exitCode.notFound,
    });
  }
  const none = 'none: by hand';
  const roles = { backupRoleArn: none, restoreRoleArn: none, recoverRoleArn: none };
  const settings = databaseSettings(config, configured, {
    secret: configured.primary.secret,
    bucket,
    ...roles,
  });
  return {
    ...settings,
    // Whoever could write to the bucket may have written over what was there.
    firstVersions: true,
    ...(targetSecret && { restore: { targets: [{ secret: targetSecret, taskDefinition: none }] } }),
  };
}

/** Runs it to its end; every line of its log is shown. */
export async function runByHand(work: HandWork, output: Output): Promise<HandOutcome> {
  const settings = handSettings(work);
  const postgres = findMajor(settings.version);
  if (!postgres) {
    throw new CliError('PostgresMissing', `PostgreSQL ${settings.version} was not found on this machine.`, {
      intact: 'Nothing was started.',
      tryNext: `Install the server and client programs of PostgreSQL ${settings.version}, or set PG_BIN to their directory.`,
    });
  }
  // A directory that the job's user may write to, whoever that is.
  const directory = mkdtempSync(join(tmpdir(), 'pgdr-by-hand-'));
  const account = serverAccount();
  if (account) chownSync(directory, account.uid, account.gid);
  try {
    await runTask(work, settings, postgres.bin, directory, output);
    const file = join(directory, 'outcome.json');
    const outcome = existsSync(file)
      ? JSON.parse(readFileSync(file, 'utf8'))
      : { failure: { error: 'Unexpected', message: 'the job ended without saying how' } };
    return { ...outcome, reports: keepReports(directory) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runTask(
  { job, region, input }: HandWork,
  settings: DatabaseSettings,
  bin: string,
  directory: string,
  output: Output,
): Promise<void> {
  const account = serverAccount();
  const program = [process.execPath, join(root, 'tasks', 'main.ts'), job];
  const launcher = account && !canReach(account, root) ? readingLauncher(account) : undefined;
  const [command = '', ...args] = [...(launcher ?? []), ...program];
  const child = spawn(command, args, {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(account && !launcher && { uid: account.uid, gid: account.gid }),
    env: {
      ...process.env,
      ...(region && { AWS_REGION: region }),
      PATH: `${bin}:${process.env.PATH}`,
      TMPDIR: directory,
      PGDR_BY_HAND: directory,
      PGDR_JOB_INPUT: JSON.stringify({ settings, ...input }),
    },
  });
  for await (const line of createInterface({ input: child.stdout })) output.line(shown(line));
  if (child.exitCode === null && child.signalCode === null) await new Promise((ended) => child.once('exit', ended));
}

/** A line of the job's log in fewer words. */
function shown(line: string): string {
  try {
    const { time, message, job: _, database: __, ...fields } = JSON.parse(line);
    const rest = Object.entries(fields).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
    return `${String(time).slice(11, 19)}  ${[message, ...rest].join('  ')}`;
  } catch {
    return line;
  }
}

function keepReports(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => /^(?!outcome\.).*\.(json|html)$/.test(name));
  const folder = join(stateDirectory, 'reports');
  mkdirSync(folder, { recursive: true });
  return names.map((name) => {
    copyFileSync(join(directory, name), join(folder, name));
    return join(folder, name);
  });
}
