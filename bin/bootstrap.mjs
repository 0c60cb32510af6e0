/**
 * The way in on a fresh clone: `node bin/bootstrap.mjs prepare|rehearse|test|scenarios|peers|bench|synth|pgdr […]`, plain Node 20 or newer, no packages.
 * It installs the exact dependencies of the lock file (among them the Node 24 that everything else runs on), finds
 * or installs PostgreSQL, and hands over. All of its own words go to stderr: stdout belongs to what is run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { prepareWorkspace } from './workspace.mjs';

const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');
const node24 = join(root, 'node_modules', '.bin', 'node');
const say = (line) => process.stderr.write(`${line}\n`);

function die(line, exitCode = 1) {
  say(`pgdr: ${line}`);
  process.exit(exitCode);
}

function requireNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) {
    die(`Node ${process.versions.node} is too old: Node 20 or newer is needed to begin (https://nodejs.org).`, 2);
  }
}

/** Why `npm ci` has to run, or undefined when node_modules is what the lock file says. npm writes the lock file of
 * what it installed as its last act, so an interrupted installation is told apart too. */
function reasonToInstall() {
  const installedLock = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedLock)) return 'node_modules is missing or incomplete';
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedLock, 'utf8')).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.link) continue;
    const there = installed[path];
    if (there ? there.version !== entry.version : !entry.optional && !entry.devOptional) {
      return `package-lock.json asks for ${path.replace(/^.*node_modules\//, '')} ${entry.version}`;
    }
  }
  const version = spawnSync(node24, ['--version'], { encoding: 'utf8' });
  if (version.status !== 0) return 'its Node 24 does not run on this machine';
  return undefined;
}

function installDependencies() {
  const reason = reasonToInstall();
  if (reason === undefined) return;
  const started = Date.now();
  say(`Installing dependencies with npm ci (${reason}) …`);
  // Under `npm run`, npm names itself; its own loglevel must not silence the one that installs.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const [command, ...prefix] = npm;
  const result = spawnSync(command, [...prefix, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    shell: process.platform === 'win32',
  });
  if (result.error) die(`npm could not be started (${result.error.message}). Is npm on the PATH?`);
  if (result.status !== 0) die('npm ci failed: its messages are above. Is the npm registry reachable? Try again.');
  say(`Dependencies installed in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
}

/** The directory of PostgreSQL's programs: see lib/cli/setup/postgres-binaries.ts. */
function providePostgres() {
  const result = spawnSync(node24, [join(root, 'lib', 'cli', 'setup', 'provide-postgres.ts')], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
  return result.stdout.trim();
}

/** What the programs that start PostgreSQL and tasks need to know, and the Node to run them on. */
function prepare() {
  const environment = { PG_BIN: providePostgres() };
  const workspace = prepareWorkspace(root, say);
  if (workspace === undefined) return { environment, node: node24 };
  return { environment: { ...environment, PGDR_WORKSPACE: workspace.directory }, node: workspace.node };
}

/** Runs a program on Node 24 and ends as it ends. Ctrl-C reaches the whole foreground group, so only wait here. */
function run(args, { environment, node } = { environment: {}, node: node24 }) {
  return new Promise((done) => {
    const child = spawn(node, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } });
    const ignore = () => {};
    const forward = () => child.kill('SIGTERM');
    process.on('SIGINT', ignore);
    process.on('SIGTERM', forward);
    child.on('error', (error) => die(`${args[0]} could not be started: ${error.message}`));
    child.on('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', forward);
      done(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}

const bin = (name) => join('node_modules', name);

async function test(args, prepared) {
  const stages = [
    ['Types', [bin('typescript/bin/tsc'), '-p', '.', '--noEmit']],
    ['Lint and format', [bin('@biomejs/biome/bin/biome'), 'check']],
  ];
  for (const [title, command] of stages) {
    const started = Date.now();
    say(`${title} …`);
    const code = await run(command);
    if (code !== 0) return code;
    say(`${title}: fine in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
  }
  const projects = ['unit', 'workflows', 'infra', 'local', 'faults'].flatMap((name) => ['--project', name]);
  const chosen = args.some((argument) => argument.startsWith('--project')) ? [] : projects;
  return run([bin('vitest/vitest.mjs'), 'run', ...chosen, ...args], prepared);
}

const tasks = {
  /** Only what comes before the others: dependencies, PostgreSQL and the workspace. */
  prepare: () => {
    prepare();
    return 0;
  },
  rehearse: (args) => run(['bin/pgdr.ts', 'rehearse', ...args], prepare()),
  test: (args) => test(args, prepare()),
  scenarios: (args) => run([bin('vitest/vitest.mjs'), 'run', '--project', 'scenarios', ...args], prepare()),
  peers: (args) => run([bin('vitest/vitest.mjs'), 'run', '--project', 'peers', ...args], prepare()),
  bench: (args) => run(['bench/compare.ts', ...args], prepare()),
  synth: (args) => run([bin('aws-cdk/bin/cdk'), 'synth', ...args]),
  pgdr: (args) => run(['bin/pgdr.ts', ...args], ['rehearse', 'up'].includes(args[0]) ? prepare() : undefined),
};

const [task = '', ...args] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task)) {
  die(`usage: node bin/bootstrap.mjs ${Object.keys(tasks).join('|')} [options]`, 2);
}
requireNode();
installDependencies();
process.exitCode = await tasks[task](args);
