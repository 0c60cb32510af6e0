/**
 * Builds the image of the tasks for real, without a Docker engine: `node bin/image.mjs [major …]`, by default 15 and 17.
 * Debian's buildah runs tasks/Dockerfile in a chroot; its base image is made by debootstrap of the Debian release that
 * carries the major, so that nothing but packages is fetched. What comes out lies in .pgdr/images/<major>: `root/` and
 * `config.json`, its OCI configuration. `npm run rehearse -- --image` runs the tasks inside of it. Takes root and apt.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure, run, say, since } from './commands.mjs';

/** The Debian release whose own packages hold a major. */
const suites = { 15: 'bookworm', 17: 'trixie' };
const mirror = process.env.PGDR_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
/** Certificates that this machine's owner trusts beside Debian's: a network that looks into TLS needs them. */
const ownCertificates = '/usr/local/share/ca-certificates';
const systemCertificates = '/etc/ssl/certs/ca-certificates.crt';
const checkout = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const images = join(checkout, '.pgdr', 'images');

/** The build context as `cdk deploy` would send it: staged by a synthesis of the sample configuration. */
async function stagedContext(work) {
  const assembly = join(work, 'assembly');
  const node = join(checkout, 'node_modules', 'node', 'bin', 'node');
  await run(node, [join(checkout, 'bin', 'app.ts')], { CDK_OUTDIR: assembly });
  const manifests = readdirSync(assembly).filter((name) => name.endsWith('.assets.json'));
  const sources = manifests.flatMap((name) =>
    Object.values(JSON.parse(readFileSync(join(assembly, name), 'utf8')).dockerImages ?? {}).map(
      (image) => image.source,
    ),
  );
  const [source] = sources;
  if (!source) throw new Failure('the templates of the sample configuration hold no image');
  return { directory: join(assembly, source.directory), file: source.dockerFile };
}

async function build(major, context, work, node) {
  const target = join(images, String(major));
  const stampFile = join(target, 'stamp');
  const recipe = createHash('sha256')
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest('hex');
  // The folder is named after the hash of what is in it.
  const stamp = `${basename(context.directory)} ${recipe}`;
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    say(`Image ${major}: as it was built, in ${target}.`);
    return;
  }
  const started = Date.now();
  const store = ['--root', join(work, 'store'), '--runroot', join(work, 'run'), '--storage-driver', 'vfs'];
  const buildah = (...args) => run('buildah', [...store, ...args]);
  const base = `localhost/base:${suites[major]}`;
  await makeBase(base, suites[major], work, buildah);
  say(`Image ${major}: building tasks/Dockerfile …`);
  await buildah(
    ...['build', '--isolation', 'chroot', '--layers=false', '--volume', `${node.directory}:/sources:ro`],
    ...['--build-arg', `BASE_IMAGE=${base}`, '--build-arg', `PG_MAJOR=${major}`, '--build-arg', 'PGDG_URL='],
    ...['--build-arg', `NODE_VERSION=${node.version}`, '--build-arg', 'NODE_URL=file:///sources'],
    ...['--file', join(context.directory, context.file), '--tag', `localhost/tasks:${major}`, context.directory],
  );
  const { OCIv1 } = JSON.parse(await buildah('inspect', '--type', 'image', `localhost/tasks:${major}`));
  const container = (await buildah('from', `localhost/tasks:${major}`)).trim();
  const root = (await buildah('mount', container)).trim();
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  await run('cp', ['--archive', '--reflink=auto', root, join(target, 'root')]);
  writeFileSync(join(target, 'config.json'), JSON.stringify(OCIv1.config, null, 2));
  writeFileSync(stampFile, stamp);
  await buildah('rm', container);
  await buildah('rmi', '--force', `localhost/tasks:${major}`);
  say(`Image ${major}: ${await bytesOf(target)} MB in ${target}, ${since(started)}.`);
}

const bytesOf = async (directory) => (await run('du', ['-sm', directory])).split('\t')[0];

/** A minimal Debian as a base image, in place of the public one that the Dockerfile names. */
async function makeBase(tag, suite, work, buildah) {
  say(`Base: debootstrap of Debian ${suite} …`);
  const root = join(work, suite);
  // The signature is checked with Debian's keyring; where it is older than the release it is debootstrap that says so.
  await run('debootstrap', ['--variant=minbase', suite, root, mirror]);
  const certificates = existsSync(ownCertificates) ? readdirSync(ownCertificates) : [];
  const place = join(root, 'usr', 'local', 'share', 'ca-certificates');
  mkdirSync(place, { recursive: true });
  // The package ca-certificates, which the Dockerfile installs, takes them into the system's list.
  for (const name of certificates) cpSync(join(ownCertificates, name), join(place, name), { recursive: true });
  const container = (await buildah('from', 'scratch')).trim();
  await buildah('add', '--quiet', container, root, '/');
  if (certificates.length > 0) await buildah('config', '--env', `NODE_EXTRA_CA_CERTS=${systemCertificates}`, container);
  await buildah('commit', '--quiet', container, tag);
  await buildah('rm', container);
  rmSync(root, { recursive: true });
}

/** A folder as nodejs.org has it for a release, from the packages `node` and npm that are here. */
async function releaseOfNode(work) {
  const version = JSON.parse(readFileSync(join(checkout, 'node_modules', 'node', 'package.json'), 'utf8')).version;
  const directory = join(work, 'node');
  const name = `node-v${version}-linux-${process.arch}`;
  const root = join(directory, name);
  mkdirSync(join(root, 'bin'), { recursive: true });
  copyFileSync(join(checkout, 'node_modules', 'node', 'bin', 'node'), join(root, 'bin', 'node'));
  const program = (await run('sh', ['-c', 'command -v npm'])).trim();
  const npm = dirname(dirname(realpathSync(program)));
  cpSync(npm, join(root, 'lib', 'node_modules', 'npm'), { recursive: true, dereference: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'bin', 'npm'));
  await run('tar', ['-C', directory, '-cJf', join(directory, `${name}.tar.xz`), name], { XZ_OPT: '-1 -T0' });
  rmSync(root, { recursive: true });
  const digest = createHash('sha256')
    .update(readFileSync(join(directory, `${name}.tar.xz`)))
    .digest('hex');
  writeFileSync(join(directory, 'SHASUMS256.txt'), `${digest}  ${name}.tar.xz\n`);
  return { version, directory };
}

function requireTools() {
  if (process.getuid?.() !== 0) throw new Failure('an image is built in a chroot, which takes root. Try: sudo');
  const missing = ['buildah', 'debootstrap'].filter((name) => spawnSync(name, ['--version']).error);
  if (missing.length === 0) return;
  say(`${missing.join(' and ')} not found; trying apt-get install …`);
  const quiet = { stdio: ['ignore', process.stderr.fd, process.stderr.fd] };
  const environment = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  spawnSync('apt-get', ['-q', 'update'], quiet);
  spawnSync('apt-get', ['-q', 'install', '-y', '--no-install-recommends', ...missing], { ...quiet, ...environment });
  if (missing.some((name) => spawnSync(name, ['--version']).error)) {
    throw new Failure(`${missing.join(' and ')} could not be installed. Try: apt-get install ${missing.join(' ')}`);
  }
}

const asked = process.argv.slice(2);
const unknown = asked.filter((major) => !Object.hasOwn(suites, major));
if (unknown.length > 0) {
  say(`image: ${unknown.join(', ')}: Known: ${Object.keys(suites).join(', ')}.`);
  process.exit(2);
}
const started = Date.now();
const work = mkdtempSync(join(tmpdir(), 'image-'));
try {
  requireTools();
  mkdirSync(images, { recursive: true });
  const wanted = asked.length > 0 ? asked : Object.keys(suites);
  const context = await stagedContext(work);
  const node = await releaseOfNode(work);
  for (const major of wanted) await build(Number(major), context, work, node);
  say(`Images: ${wanted.join(', ')}, ${since(started)}.`);
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(`image: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
