import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { startPostgres } from '../lib/cli/rehearse/postgres-server.ts';
import { serverAccount } from '../lib/cli/rehearse/unprivileged.ts';
import { providePostgres } from '../lib/cli/setup/install-postgres.ts';
import { fillDatabase } from './compare/database.ts';
import { cpuOfEnded, cpuOfTree, median } from './compare/measure.ts';

/**
 * `node bench/base-backup.ts [--megabytes 1000] [--rounds 3]`: base backups of one server into one S3, by pgdr and by
 * those that others use, in turns. All speak TLS with the store. Whichever program is not installed is left out, by name.
 */
const { values } = parseArgs({
  options: { megabytes: { type: 'string', default: '1000' }, rounds: { type: 'string', default: '3' } },
});
const account = serverAccount();
const directory = mkdtempSync(join(tmpdir(), 'bench-base-'));
// The server, and what reads its files, run as an account of their own.
chmodSync(directory, 0o755);
const own = (path: string) => {
  mkdirSync(path, { recursive: true });
  if (account) chownSync(path, account.uid, account.gid);
  return path;
};
const { bin } = providePostgres(() => {});
const children: ChildProcess[] = [];
const started = async (script: string, ...args: string[]): Promise<Record<string, unknown>> => {
  const child = fork(join(import.meta.dirname, script), args);
  children.push(child);
  const [message] = await once(child, 'message');
  return message as Record<string, unknown>;
};

const server = await startPostgres({
  bin,
  directory: join(directory, 'source'),
  settings: { max_wal_size: '8GB', unix_socket_directories: own(join(directory, 'socket')) },
});
try {
  const { environment } = (await started('compare/cloud.ts', own(join(directory, 'cloud')))) as {
    environment: Record<string, string>;
  };
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    certificate,
    ...names,
  ]);
  chmodSync(certificate, 0o644);
  const behind = new URL(environment.AWS_ENDPOINT_URL ?? '').port;
  const { port: tlsPort } = await started('tls-proxy.ts', key, certificate, behind);
  const endpoint = `https://127.0.0.1:${tlsPort}`;

  const client = await server.connect('postgres');
  const bytes = await fillDatabase(client, Number(values.megabytes) * 1e6);
  await client.query('VACUUM');
  await client.query('CHECKPOINT');
  await client.end();

  const env = {
    ...environment,
    PATH: `${bin}:${process.env.PATH}`,
    AWS_ENDPOINT_URL: endpoint,
    AWS_CA_BUNDLE: certificate,
    NODE_EXTRA_CA_CERTS: certificate,
    PGHOST: server.host,
    PGPORT: String(server.port),
    PGUSER: server.superuser.user,
    PGPASSWORD: server.superuser.password,
    HOME: own(join(directory, 'home')),
    PGBACKREST_REPO1_S3_KEY: environment.AWS_ACCESS_KEY_ID,
    PGBACKREST_REPO1_S3_KEY_SECRET: environment.AWS_SECRET_ACCESS_KEY,
    ...(environment.AWS_SESSION_TOKEN && { PGBACKREST_REPO1_S3_TOKEN: environment.AWS_SESSION_TOKEN }),
  };
  const run = async (
    program: string,
    args: readonly string[],
    as: typeof account | null = account,
  ): Promise<string> => {
    const child = spawn(program, args, {
      env,
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(as && { uid: as.uid, gid: as.gid }),
    });
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    if (code !== 0) throw new Error(`${program} exited with ${code}: ${err || out}`);
    return out;
  };

  const pgbackrest = [
    '--stanza=bench',
    '--repo1-type=s3',
    '--repo1-path=/pgbackrest',
    '--repo1-s3-bucket=bench',
    `--repo1-s3-endpoint=127.0.0.1:${tlsPort}`,
    `--repo1-s3-region=${environment.AWS_REGION}`,
    '--repo1-s3-uri-style=path',
    '--no-repo1-storage-verify-tls',
    `--pg1-path=${join(directory, 'source', 'data')}`,
    `--pg1-socket-path=${join(directory, 'socket')}`,
    `--pg1-port=${server.port}`,
    `--pg1-user=${server.superuser.user}`,
    `--lock-path=${own(join(directory, 'lock'))}`,
    '--log-level-file=off',
    '--log-level-console=warn',
    '--no-config',
  ];
  const options = [
    ...['--type=full', '--start-fast', '--no-archive-check', '--repo1-retention-full=100'],
    ...['--process-max=2', '--compress-type=zst', '--compress-level=1'],
  ];
  const connection = {
    ...{ host: server.host, port: server.port, username: server.superuser.user, password: server.superuser.password },
    ...{ dbname: 'postgres', sslmode: 'disable' },
  };
  const tar = '--format=tar --wal-method=none --no-manifest --checkpoint=fast --compress=server-zstd:1 --pgdata=-';
  let n = 0;
  const contenders: Record<string, { readonly needs: string; readonly work: () => Promise<unknown> }> = {
    pgdr: {
      needs: 'node',
      work: () =>
        run(process.execPath, [
          join(import.meta.dirname, 'base-backup-task.ts'),
          JSON.stringify({ connection, prefix: `pgdr/${n++}/` }),
        ]),
    },
    'pg_basebackup, server-side zstd, | aws s3 cp': {
      needs: 'aws',
      work: () =>
        run(
          'bash',
          ['-c', `set -o pipefail; pg_basebackup ${tar} | aws s3 cp --quiet - s3://bench/stock/${n++}`],
          null,
        ),
    },
    pgBackRest: {
      needs: 'pgbackrest',
      work: () => run('pgbackrest', [...pgbackrest, ...options, 'backup']),
    },
    'barman-cloud-backup, uncompressed': {
      needs: 'barman-cloud-backup',
      work: () =>
        run('barman-cloud-backup', [
          ...['--endpoint-url', endpoint, '--immediate-checkpoint', '--jobs', '2'],
          ...['--host', server.host, '--port', String(server.port), '--user', server.superuser.user],
          ...['s3://bench/barman', `bench${n++}`],
        ]),
    },
  };
  const present = Object.entries(contenders).filter(([name, { needs }]) => {
    const found = spawnSync('which', [needs], { env }).status === 0;
    if (!found) console.log(`${name}: ${needs} is not installed here; nothing was measured of it`);
    return found;
  });
  if (present.some(([name]) => name === 'pgBackRest')) await run('pgbackrest', [...pgbackrest, 'stanza-create']);

  const samples = new Map(present.map(([name]) => [name, [] as { wall: number; client: number; server: number }[]]));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, { work }] of round % 2 ? present.toReversed() : present) {
      const [began, client, postgres] = [performance.now(), cpuOfEnded(), cpuOfTree(server.pid)];
      await work();
      samples.get(name)?.push({
        wall: (performance.now() - began) / 1000,
        client: cpuOfEnded() - client,
        server: cpuOfTree(server.pid) - postgres,
      });
    }
  }
  console.log(`${(bytes / 1e9).toFixed(2)} GB on disk, ${values.rounds} rounds, medians`);
  const of = (name: string, what: 'wall' | 'client' | 'server') =>
    median((samples.get(name) ?? []).map((sample) => sample[what]));
  const total = (name: string) => of(name, 'client') + of(name, 'server');
  console.table(
    Object.fromEntries(
      present.map(([name]) => [
        name,
        {
          seconds: of(name, 'wall').toFixed(1),
          'client CPU s': of(name, 'client').toFixed(1),
          'server CPU s': of(name, 'server').toFixed(1),
          'pgdr / it, wall': (of('pgdr', 'wall') / of(name, 'wall')).toFixed(2),
          'pgdr / it, CPU': (total('pgdr') / total(name)).toFixed(2),
        },
      ]),
    ),
  );
} finally {
  for (const child of children) child.disconnect();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
