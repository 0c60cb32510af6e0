/**
 * Installs PostgreSQL majors that this system does not have, beside it: `node bin/majors.mjs [major …]`, by default
 * those that Debian carries. Plain Node 20 or newer, and apt. Each comes from a release of Debian or Ubuntu that carries it, with
 * a C library of its own, unpacked into .pgdr/majors/<major>/root; .pgdr/majors/<major>/bin holds programs that run
 * it where it lies. No root is needed, no package of this system is touched and no service is started. What is
 * there already is left alone.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure, run, say, since } from './commands.mjs';
import { isOpen, isOurs, openAll, outsideOf } from './workspace.mjs';

const debian = process.env.PGDR_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
const ubuntu = process.env.PGDR_UBUNTU_MIRROR ?? 'http://archive.ubuntu.com/ubuntu';
/**
 * The releases of a distribution that a major and what it depends on come from, the newest of each package. No release of
 * Debian carried 14 or 16; the C library of bullseye is too old for {@link wrapPrograms}, that of bookworm runs 13 too.
 */
const suites = {
  13: ['debian', 'bullseye', 'bookworm'],
  14: ['ubuntu', 'jammy', 'jammy-updates'],
  15: ['debian', 'bookworm'],
  16: ['ubuntu', 'noble', 'noble-updates'],
  17: ['debian', 'trixie'],
  18: ['debian', 'sid'],
};
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Changes when what is made here does, so that older installations are made anew. */
const layout = 1;

const checkout = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** A major that this system has in Debian's own place needs no second copy. */
const ofSystem = (major) => existsSync(`/usr/lib/postgresql/${major}/bin/postgres`);

/**
 * Where majors lie. PostgreSQL runs as a user without rights of its own, so below a checkout that is closed to others
 * there is only a link to a directory outside of it.
 */
function majorsDirectory() {
  const inside = join(checkout, '.pgdr', 'majors');
  mkdirSync(dirname(inside), { recursive: true });
  if (process.getuid?.() !== 0 || isOpen(dirname(inside))) {
    if (lstatSync(inside, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(inside);
    mkdirSync(inside, { recursive: true });
    chmodSync(inside, 0o755);
    return inside;
  }
  const workspace = outsideOf(checkout);
  if (workspace === undefined) throw new Failure(`other users may not enter ${checkout}, and there is nowhere else`);
  const outside = `${workspace}-majors`;
  if (existsSync(outside) && !isOurs(outside)) throw new Failure(`${outside} is somebody else's. Try: remove it`);
  mkdirSync(outside, { recursive: true });
  chmodSync(outside, 0o755);
  rmSync(inside, { recursive: true, force: true });
  symlinkSync(outside, inside);
  return outside;
}

async function install(major, directory) {
  const target = join(directory, String(major));
  const stampFile = join(target, 'installed');
  const [distribution, suite] = suites[major];
  const stamp = JSON.stringify({ layout, target, suite });
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    say(`PostgreSQL ${major}: ${await versionOf(target)} in ${join(target, 'bin')}.`);
    return;
  }
  const started = Date.now();
  say(`PostgreSQL ${major}: fetching from ${distribution} ${suite} …`);
  const work = `${target}.unfinished`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const packages = await downloadMajor(major, work);
  say(`PostgreSQL ${major}: unpacking ${packages.length} packages …`);
  for (const path of packages) await run('dpkg-deb', ['--extract', path, join(work, 'root')]);
  rmSync(join(work, 'apt'), { recursive: true });
  rmSync(target, { recursive: true, force: true });
  renameSync(work, target);
  wrapPrograms(major, target);
  openAll(target);
  const version = await versionOf(target);
  writeFileSync(stampFile, stamp);
  say(`PostgreSQL ${major}: ${version} in ${join(target, 'bin')}, ${since(started)}.`);
}

const versionOf = async (target) =>
  (await run(join(target, 'bin', 'postgres'), ['--version'])).trim().replace('postgres (PostgreSQL) ', '');

/** The server's packages and all that they depend on. */
async function downloadMajor(major, work) {
  const [distribution, ...releases] = suites[major];
  const lines = (mirror, key) => releases.map((suite) => `deb [signed-by=${key}] ${mirror} ${suite} main\n`).join('');
  const packages = [`postgresql-${major}`, `postgresql-client-${major}`];
  if (distribution === 'debian') return download(join(work, 'apt'), lines(debian, keyring), packages);
  // Debian has the keys of Ubuntu in a package of its own.
  const source = `deb [signed-by=${keyring}] ${debian} trixie main\n`;
  for (const path of await download(join(work, 'keys', 'apt'), source, ['ubuntu-archive-keyring', 'ubuntu-keyring'])) {
    await run('dpkg-deb', ['--extract', path, join(work, 'keys')]);
  }
  const ubuntuKeyring = join(work, 'keys', 'usr', 'share', 'keyrings', 'ubuntu-archive-keyring.gpg');
  const found = await download(join(work, 'apt'), lines(ubuntu, ubuntuKeyring), packages);
  rmSync(join(work, 'keys'), { recursive: true });
  return found;
}

/** Packages and all that they depend on, chosen and checked by apt as for an empty system; gives their files. */
async function download(directory, sources, packages) {
  const at = (...path) => join(directory, ...path);
  for (const path of [
    ['etc', 'parts'],
    ['state', 'lists', 'partial'],
    ['cache', 'archives', 'partial'],
  ]) {
    mkdirSync(at(...path), { recursive: true });
  }
  writeFileSync(at('status'), '');
  writeFileSync(at('etc', 'sources.list'), sources);
  const configuration = {
    Dir: directory,
    'Dir::Etc': 'etc',
    'Dir::Etc::sourcelist': 'sources.list',
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::parts': 'parts',
    'Dir::State': 'state',
    'Dir::State::status': at('status'),
    'Dir::Cache': 'cache',
    'APT::Architecture': (await run('dpkg', ['--print-architecture'])).trim(),
    'APT::Install-Recommends': 'false',
    // The index of an unstable release is valid for a week, and mirrors may be older.
    'Acquire::Check-Valid-Until': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    // The directory may be closed to apt's own user.
    'APT::Sandbox::User': 'root',
  };
  const file = at('apt.conf');
  writeFileSync(
    file,
    Object.entries(configuration)
      .map(([name, value]) => `${name} "${value}";\n`)
      .join(''),
  );
  const apt = (...args) =>
    run('apt-get', ['--quiet', ...args], { APT_CONFIG: file, DEBIAN_FRONTEND: 'noninteractive' });
  await apt('update');
  await apt('install', '--yes', '--download-only', ...packages);
  const archives = at('cache', 'archives');
  return readdirSync(archives)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => join(archives, name));
}

/**
 * Puts in the place of each program a script that runs it by the loader and with the libraries of its own root. The
 * name it is given (argv[0]) stays that of its place, from which PostgreSQL finds its other programs and its files.
 */
function wrapPrograms(major, target) {
  const root = join(target, 'root');
  const bin = join(root, 'usr', 'lib', 'postgresql', String(major), 'bin');
  const own = join(dirname(bin), 'programs');
  const libraries = libraryDirectories(root);
  const loader = libraries
    .concat(join(root, 'usr', 'lib64'), join(root, 'lib64'), join(root, 'lib'))
    .flatMap((place) => (existsSync(place) ? readdirSync(place).map((name) => join(place, name)) : []))
    .find((path) => /^ld-linux[\w.-]*\.so\.\d$/.test(basename(path)));
  if (loader === undefined) throw new Failure(`${root} holds no dynamic loader`);
  renameSync(bin, own);
  mkdirSync(bin);
  for (const program of readdirSync(own)) {
    const path = join(own, program);
    if (!readFileSync(path).subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) continue;
    const words = [loader, '--library-path', libraries.join(':'), '--argv0', join(bin, program), path];
    writeFileSync(join(bin, program), `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`);
    chmodSync(join(bin, program), 0o755);
  }
  symlinkSync(join('root', 'usr', 'lib', 'postgresql', String(major), 'bin'), join(target, 'bin'));
}

/** As Debian's loader has them: /lib and /usr/lib, each with a directory named after the architecture. */
function libraryDirectories(root) {
  return ['usr/lib', 'lib']
    .map((path) => join(root, path))
    .filter((path) => existsSync(path))
    .flatMap((path) => [
      ...readdirSync(path)
        .filter((name) => /-linux-gnu/.test(name))
        .map((name) => join(path, name)),
      path,
    ]);
}

function requireTools() {
  const missing = ['apt-get', 'dpkg-deb'].filter((name) => spawnSync(name, ['--version']).status !== 0);
  if (missing.length > 0) {
    throw new Failure(
      `${missing.join(' and ')} not found. Majors are unpacked from Debian's packages, on Debian and its kin. ` +
        'Try: install PostgreSQL 17 and 18 by other means and link their programs to .pgdr/majors/<major>/bin.',
    );
  }
  if (existsSync(keyring)) return;
  say('The keys of Debian are missing; trying apt-get install debian-archive-keyring …');
  const quiet = { stdio: ['ignore', process.stderr.fd, process.stderr.fd] };
  spawnSync('apt-get', ['-q', 'install', '-y', 'debian-archive-keyring'], quiet);
  if (!existsSync(keyring)) throw new Failure(`${keyring} is missing. Try: apt-get install debian-archive-keyring`);
}

const asked = process.argv.slice(2);
const unknown = asked.filter((major) => !Object.hasOwn(suites, major));
if (unknown.length > 0) {
  say(`majors: ${unknown.join(', ')}: which release has it? Known: ${Object.keys(suites).join(', ')}.`);
  process.exit(2);
}
try {
  const wanted =
    asked.length > 0 ? asked : Object.keys(suites).filter((major) => suites[major][0] === 'debian' && !ofSystem(major));
  requireTools();
  const started = Date.now();
  const directory = majorsDirectory();
  // At the same time: one waits for the network while another unpacks.
  await Promise.all(wanted.map((major) => install(Number(major), directory)));
  say(`Majors: ${wanted.join(', ')}, ${since(started)}.`);
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(`majors: ${error.message}`);
  process.exitCode = 1;
}
