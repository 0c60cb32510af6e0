import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageConfiguration } from './dockerfile.ts';

/** An image that was built: its root file system as a folder, and how it wants to be run. */
export interface ImageRoot {
  readonly directory: string;
  readonly configuration: ImageConfiguration & { readonly workingDirectory?: string };
}

interface OciConfig {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly WorkingDir?: string;
}

/**
 * Reads a built image from a folder that holds `root/` and `config.json`, which is the `config` of its OCI image
 * configuration (as `buildah inspect` and `docker inspect` print it).
 */
export function readImageRoot(folder: string): ImageRoot {
  const config: OciConfig = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const pairs = (config.Env ?? []).map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]);
  return {
    directory: join(folder, 'root'),
    configuration: {
      environment: Object.fromEntries(pairs),
      ...(config.User && { user: config.User }),
      ...(config.Entrypoint && { entryPoint: config.Entrypoint }),
      ...(config.Cmd && { command: config.Cmd }),
      workingDirectory: config.WorkingDir || '/',
    },
  };
}

export interface RootedProcess {
  readonly root: string;
  /** Names or numbers, as in `USER`. */
  readonly user: string | undefined;
  readonly workingDirectory: string;
  readonly readOnly: boolean;
  readonly mounts: readonly { readonly containerPath: string; readonly folder: string }[];
  readonly command: readonly string[];
}

// The mounts are in a mount namespace of the process's own and vanish with it. There is no new process namespace, so
// that signals reach the command as they reach a container's first process.
const enter = `
set -e
root=$1 writable=$2 user=$3 directory=$4
shift 4
# PATH is the image's from here on; these programs are this machine's.
path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
for file in /etc/hosts /etc/resolv.conf; do
  if [ -f "$file" ] && [ -f "$root$file" ]; then mount --bind -o ro "$file" "$root$file"; fi
done
if [ "$writable" = no ]; then mount -o remount,bind,ro "$root"; fi
exec chroot --userspec="$user" "$root" /usr/bin/env --chdir="$directory" PATH="$path" "$@"
`;

/** The command line that runs a process inside an image's root file system. Needs root and Linux. */
export function enterRoot(process: RootedProcess): readonly string[] {
  const volumes = process.mounts
    .toSorted((a, b) => a.containerPath.length - b.containerPath.length)
    .flatMap(({ folder, containerPath }) => [folder, containerPath]);
  const writable = process.readOnly ? 'no' : 'yes';
  const { uid, gid } = identityWithin(process.root, process.user);
  const { root, workingDirectory, command } = process;
  const words = [root, writable, `${uid}:${gid}`, workingDirectory, ...volumes, '--', ...command];
  return ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', enter, 'enter-root', ...words];
}

/** Who a container's user is by its image's own lists. @throws Error when the image has no such user */
export function identityWithin(root: string, user: string | undefined): { uid: number; gid: number } {
  const [name = '0', group] = (user || '0').split(':');
  const line = (file: string, by: number, key: string) => {
    const path = join(root, 'etc', file);
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
    return lines.map((text) => text.split(':')).find((fields) => fields[by] === key);
  };
  const numeric = /^\d+$/.test(name);
  const entry = line('passwd', numeric ? 2 : 0, name);
  if (!entry && !numeric) throw new Error(`unable to find user ${name}: no matching entries in passwd file`);
  const gid = group === undefined ? (entry?.[3] ?? '0') : /^\d+$/.test(group) ? group : line('group', 0, group)?.[2];
  if (gid === undefined) throw new Error(`unable to find group ${group}: no matching entries in group file`);
  return { uid: Number(entry?.[2] ?? name), gid: Number(gid) };
}
