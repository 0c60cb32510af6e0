import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { CliError } from '../errors.ts';

/**
 * The CDK app as a cloud assembly (cdk.out) for the rehearsal's configuration. It is synthesized by the app itself, as
 * the CDK command line would run it, and kept by the hash of everything it is made from. It has to lie beside
 * node_modules: what its container images would install with npm is found there.
 */
export interface Assembly {
  readonly directory: string;
  readonly reused: boolean;
}

export const root = join(import.meta.dirname, '..', '..', '..');
/** What commands leave behind for people and for each other. */
export const stateDirectory = join(root, '.pgdr');
/** Where servers and tasks run: outside a checkout that their user may not enter; see bin/workspace.mjs. */
export const workDirectory = process.env.PGDR_WORKSPACE ?? stateDirectory;

const sources = [
  'bin/app.ts',
  'cdk.json',
  'lambdas',
  'lib/aws',
  'lib/config',
  'lib/constructs',
  'lib/core',
  'lib/postgres',
  'lib/stacks',
  'package-lock.json',
  'package.json',
  'state-machines',
  'tasks',
];
const kept = 4;

/** @param app the program that synthesizes, for a rehearsal that deploys more than pgdr */
export async function synthesize(
  config: string,
  environment: Readonly<Record<string, string>>,
  app = join('bin', 'app.ts'),
): Promise<Assembly> {
  const parent = join(workDirectory, 'assembly');
  const directory = join(parent, hashOf([...sources, relative(root, config), dirname(app)], { ...environment, app }));
  if (existsSync(join(directory, 'manifest.json'))) {
    const now = new Date();
    utimesSync(directory, now, now);
    return { directory, reused: true };
  }
  mkdirSync(parent, { recursive: true });
  const unfinished = `${directory}.${process.pid}`;
  await runApp(app, {
    ...environment,
    PGDR_CONFIG: config,
    CDK_OUTDIR: unfinished,
    CDK_CONTEXT_JSON: JSON.stringify(cdkContext()),
  });
  // Copies of sources keep their modes, which a strict umask has closed to the user that tasks run as.
  if (process.getuid?.() === 0) spawnSync('chmod', ['-R', 'a+rX', unfinished]);
  rmSync(directory, { recursive: true, force: true });
  renameSync(unfinished, directory);
  prune(parent);
  return { directory, reused: false };
}

/** cdk.json's context: the CDK command line would hand it over in this way. */
function cdkContext(): Record<string, unknown> {
  const file = join(root, 'cdk.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')).context ?? {}) : {};
}

function runApp(app: string, environment: Readonly<Record<string, string>>): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [app], {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const keep = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', failed);
    child.on('close', (code) => {
      if (code === 0) return done();
      rmSync(environment.CDK_OUTDIR as string, { recursive: true, force: true });
      failed(
        new CliError('SynthesisFailed', `${app} ended with exit code ${code}:\n${said.trim()}`, {
          intact: 'Nothing was started.',
          tryNext: 'Correct what it says; `npx cdk synth` shows the same.',
        }),
      );
    });
  });
}

function hashOf(paths: readonly string[], environment: Readonly<Record<string, string>>): string {
  const hash = createHash('sha256').update(JSON.stringify([process.version, environment]));
  const walk = (path: string): void => {
    const absolute = join(root, path);
    if (!existsSync(absolute)) return;
    if (statSync(absolute).isDirectory()) {
      for (const name of readdirSync(absolute).sort()) walk(join(path, name));
      return;
    }
    hash.update(`${path}\0`).update(readFileSync(absolute)).update('\0');
  };
  for (const path of paths) walk(path);
  return hash.digest('hex').slice(0, 16);
}

/** Keeps the assemblies used last, among them the one just made. */
function prune(parent: string): void {
  const byAge = readdirSync(parent)
    .map((name) => ({ name, at: statSync(join(parent, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const { name } of byAge.slice(kept)) rmSync(join(parent, name), { recursive: true, force: true });
}
