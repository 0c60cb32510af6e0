import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** Where a container's named user is unknown on this machine. */
const NOBODY: Identity = { uid: 65534, gid: 65534 };

/**
 * The identity of a container's `User` (`10001`, `10001:10001`, `postgres`, `postgres:postgres`). Undefined when this
 * process may not change its own, so that the child runs as it is, and for root, which a container has by default.
 */
export function containerIdentity(user: string | undefined): Identity | undefined {
  if (!user || process.getuid?.() !== 0) return undefined;
  const [name = '', group] = user.split(':');
  const numeric = /^\d+$/.test(name);
  const known = numeric ? undefined : lookUp('/etc/passwd', name);
  const uid = numeric ? Number(name) : (known?.[0] ?? NOBODY.uid);
  const ownGroup = numeric ? uid : (known?.[1] ?? NOBODY.gid);
  const gid =
    group === undefined
      ? ownGroup
      : /^\d+$/.test(group)
        ? Number(group)
        : (lookUp('/etc/group', group)?.[0] ?? ownGroup);
  return uid === 0 ? undefined : { uid, gid };
}

/** The numbers of a line of /etc/passwd (uid, gid) or /etc/group (gid). */
function lookUp(file: string, name: string): number[] | undefined {
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  return line
    ?.split(':')
    .slice(2, 4)
    .map(Number)
    .filter((number) => !Number.isNaN(number));
}

/** Whether a user may pass through a folder and all those above it, going by their modes. */
export function canReach({ uid, gid }: Identity, folder: string): boolean {
  if (!existsSync(folder)) return true;
  for (let at = realpathSync(folder); ; at = dirname(at)) {
    const status = statSync(at);
    const bit = status.uid === uid ? 0o100 : status.gid === gid ? 0o010 : 0o001;
    if ((status.mode & bit) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

const SETPRIV = '/usr/bin/setpriv';
/** Numbers of the bits in CapEff, by setpriv's names; the weaker one first. */
const READING_CAPABILITIES = { dac_read_search: 2, dac_override: 1 } as const;

/**
 * A command prefix that starts a program as a user who may read what only root can: an image's content is there for
 * its user, while a checkout below root's home is not. Undefined where that cannot be granted.
 */
export function readingLauncher({ uid, gid }: Identity): readonly string[] | undefined {
  if (process.platform !== 'linux' || !existsSync(SETPRIV)) return undefined;
  const effective = BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  const capability = Object.entries(READING_CAPABILITIES).find(([, bit]) => effective & (1n << BigInt(bit)))?.[0];
  if (!capability) return undefined;
  const grants = [`--inh-caps=+${capability}`, `--ambient-caps=+${capability}`];
  return [SETPRIV, `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...grants, '--'];
}
