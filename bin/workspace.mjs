/**
 * As root, PostgreSQL and the tasks run as another user, who must be able to reach what they run. A checkout below
 * /root or in a private temporary directory is closed to that user; then its part of the work is done in a
 * directory of our own outside, with a copy of the packages that tasks use and of Node.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Whether users without rights of their own may enter a directory, and read what lies in it. */
export function isOpen(directory) {
  if ((statSync(directory).mode & 0o005) !== 0o005) return false;
  for (let at = dirname(directory); ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

/** Packages of the lock file that are not for development alone, by their folders. */
export function productionPackages(lock) {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== '' && !entry.dev && !entry.devOptional && !entry.optional)
    .map(([path]) => path);
}

/** A directory of our own that every user can reach; undefined where there is no place for one. */
export function outsideOf(root) {
  const parent = [tmpdir(), '/var/tmp', '/tmp'].find((place) => existsSync(place) && isOpen(place));
  return parent && join(parent, `pgdr-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`);
}

/** Gives the workspace's directory and its Node, or undefined when the checkout can be used as it is. */
export function prepareWorkspace(root, say) {
  if (process.getuid?.() !== 0) return undefined;
  const checked = [root, join(root, 'node_modules', 'pg'), join(root, 'node_modules', 'node', 'bin')];
  if (checked.every(isOpen) && (statSync(join(root, 'package.json')).mode & 0o004) !== 0) return undefined;

  const directory = outsideOf(root);
  if (directory === undefined) return undefined;
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const stamp = createHash('sha256').update(lockText).digest('hex');
  const stampFile = join(directory, 'stamp');
  if (!isOurs(directory) || !existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
    say(`Other users may not enter ${root}: tasks and PostgreSQL will run in ${directory}.`);
    rmSync(directory, { recursive: true, force: true });
    // Fails when somebody else has put something there meanwhile.
    mkdirSync(directory, { mode: 0o755 });
    for (const path of [...productionPackages(JSON.parse(lockText)), 'node_modules/node/bin']) {
      cpSync(join(root, path), join(directory, path), { recursive: true, dereference: true });
    }
    openAll(directory);
    writeFileSync(stampFile, stamp);
  }
  return { directory, node: join(directory, 'node_modules', 'node', 'bin', 'node') };
}

/** A directory, no link, of root's own, which nobody else may write to. */
export function isOurs(directory) {
  if (!existsSync(directory)) return false;
  const { uid, mode } = lstatSync(directory);
  return lstatSync(directory).isDirectory() && uid === 0 && (mode & 0o022) === 0;
}

/** As `chmod -R a+rX`. */
export function openAll(path) {
  const { mode } = lstatSync(path);
  if (lstatSync(path).isSymbolicLink()) return;
  const isDirectory = lstatSync(path).isDirectory();
  const open = isDirectory || (mode & 0o100) !== 0 ? 0o555 : 0o444;
  if ((mode & open) !== open) chmodSync(path, (mode & 0o7777) | open);
  if (isDirectory) for (const name of readdirSync(path)) openAll(join(path, name));
}
