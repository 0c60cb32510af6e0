import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError, exitCode } from '../errors.ts';

/** PostgreSQL refuses to run as root: who runs the source server then. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** `postgres`, else `nobody`, when this process is root; undefined when it is not, for then it serves itself. */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = lines.find((fields) => fields[0] === name);
    if (entry) return { name, uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new CliError(
    'NoUnprivilegedUser',
    'PostgreSQL does not run as root, and neither `postgres` nor `nobody` exists here.',
    {
      exit: exitCode.refused,
      intact: 'Nothing was started.',
      tryNext: 'Run the rehearsal as an ordinary user.',
    },
  );
}

/** Refuses a place that `account` cannot walk to, such as a checkout below /root. Throws with the directory's name. */
export function requireReachable(directory: string, account: Account | undefined): void {
  if (account === undefined) {
    accessSync(directory, constants.W_OK);
    return;
  }
  for (let at = directory; ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      throw new CliError(
        'CheckoutUnreachable',
        `The user ${account.name}, as which PostgreSQL runs, may not enter ${at}.`,
        {
          exit: exitCode.refused,
          intact: 'Nothing was started.',
          tryNext:
            'Start it with `npm run rehearse`, clone to a directory that others may enter, or run as an ordinary user.',
        },
      );
    }
    if (dirname(at) === at) return;
  }
}
