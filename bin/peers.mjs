/**
 * Installs the judges of test/peers into .pgdr/peers, or where PGDR_PEERS says: those from PyPI into a virtual
 * environment, those in Go beside them. Plain Node 20 or newer. Nothing is done when what is there is what is asked for.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const directory = resolve(process.env.PGDR_PEERS ?? join(root, '.pgdr', 'peers'));
const requirements = join(root, 'test', 'peers', 'requirements.txt');
const goPrograms = ['github.com/versity/versitygw/cmd/versitygw@v1.8.0'];
const stampFile = join(directory, 'installed');
const stamp = `${goPrograms.join('\n')}\n${readFileSync(requirements, 'utf8')}`;

const say = (line) => process.stderr.write(`${line}\n`);
const run = (command, args, env = {}) =>
  spawnSync(command, args, {
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    env: { ...process.env, ...env },
  }).status === 0;

function die(line) {
  say(`peers: ${line}`);
  process.exit(1);
}

const python = () =>
  ['python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3'].find(
    (name) => spawnSync(name, ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))']).status === 0,
  );

/** Debian keeps what `python3 -m venv` needs in a package of its own. */
function makeEnvironment() {
  const make = () => {
    const name = python();
    return name !== undefined && run(name, ['-m', 'venv', directory]);
  };
  if (make()) return;
  say('Python 3.10 or newer with venv is missing; trying apt-get …');
  const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['-q', 'update'], quiet);
  run('apt-get', ['-q', 'install', '-y', '--no-install-recommends', 'python3-venv'], quiet);
  if (!make()) die('no virtual environment could be made. Try: install Python 3.10 or newer with its venv module.');
}

function install() {
  makeEnvironment();
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements];
  if (!run(join(directory, 'bin', 'python'), pip)) die('pip failed: its messages are above. Is PyPI reachable?');
  for (const program of goPrograms) {
    const built = run('go', ['install', '-trimpath', program], { GOBIN: join(directory, 'bin'), CGO_ENABLED: '0' });
    if (!built)
      die(`go install ${program} failed. Try: install Go 1.24 or newer (https://go.dev/dl) and run this again.`);
  }
  writeFileSync(stampFile, stamp);
}

if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
  say(`Judges: all in ${directory}.`);
} else {
  const started = Date.now();
  say(`Installing judges into ${directory} …`);
  install();
  say(`Judges installed in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
}
