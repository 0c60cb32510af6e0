import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { type PostgresServer, startPostgres } from '../../lib/cli/rehearse/postgres-server.ts';
import { serverAccount } from '../../lib/cli/rehearse/unprivileged.ts';
import { readDockerfile } from '../../local/runtime/dockerfile.ts';
import { cpuOfEnded, cpuOfTree, watchMemory } from './measure.ts';

/** Everything that is compared, each as one run that gives its figures. */

export interface Figures {
  /** Wall time. */
  readonly seconds: number;
  /** CPU seconds: of what the user runs, of PostgreSQL's server, of the store. */
  readonly clientCpu: number;
  readonly serverCpu: number;
  readonly storeCpu: number;
  /** Highest resident memory of the worker: its own process, and with the programs that it runs. */
  readonly peakBytes?: number;
  readonly peakWithChildrenBytes?: number;
}

export interface Bench {
  readonly bin: string;
  readonly directory: string;
  readonly source: PostgresServer;
  readonly database: string;
}

/** One round: a store that begins empty. */
export interface Round {
  readonly names: readonly string[];
  run(name: string): Promise<Figures>;
  close(): Promise<void>;
}

const here = import.meta.dirname;
const bucket = 'bench';
const secret = 'bench';
/** Whether the scripts use the real command line of AWS; otherwise a program of ours takes its place. */
export const awsCommand = spawnSync('aws', ['--version']).status === 0;
const transfer = `${process.execPath} ${join(here, 'transfer.ts')}`;

export async function openRound({ bin, directory, source, database }: Bench): Promise<Round> {
  const account = serverAccount();
  const identity = account && { uid: account.uid, gid: account.gid };
  const scratch = join(directory, 'scratch');
  mkdirSync(scratch, { recursive: true });
  if (account) chownSync(scratch, account.uid, account.gid);
  const cloud = fork(join(here, 'cloud.ts'), [join(directory, 'cloud')]);
  const { environment } = await message<{ environment: Record<string, string> }>(cloud);
  const connection = { host: source.host, port: source.port, username: source.superuser.user, dbname: database };
  const SecretString = JSON.stringify({ ...connection, password: source.superuser.password, sslmode: 'disable' });
  const secrets = new SecretsManagerClient({
    endpoint: environment.AWS_ENDPOINT_URL,
    region: environment.AWS_REGION,
    credentials: {
      accessKeyId: environment.AWS_ACCESS_KEY_ID as string,
      secretAccessKey: environment.AWS_SECRET_ACCESS_KEY as string,
      sessionToken: environment.AWS_SESSION_TOKEN,
    },
  });
  await secrets.send(new CreateSecretCommand({ Name: secret, SecretString }));

  const env: NodeJS.ProcessEnv = {
    ...environment,
    PATH: `${bin}:${process.env.PATH}`,
    HOME: process.env.HOME,
    TMPDIR: scratch,
    ...pgEnvironment(source, database),
  };
  const settings = settingsFor(bucket, secret);
  const archive = join(scratch, 'archive.dump');
  const folder = join(scratch, 'archive');
  let backupId = '';

  /** Client, server and store are told apart by the processes that used the time. */
  const measure = async (server: number, work: () => Promise<Partial<Figures> | undefined>): Promise<Figures> => {
    const now = () => ({
      at: performance.now() / 1000,
      client: cpuOfEnded(),
      server: cpuOfTree(server),
      store: cpuOfTree(cloud.pid as number),
    });
    const before = now();
    const more = await work();
    const after = now();
    return {
      seconds: after.at - before.at,
      clientCpu: after.client - before.client,
      serverCpu: after.server - before.server,
      storeCpu: after.store - before.store,
      ...more,
    };
  };
  const script = (text: string, more: NodeJS.ProcessEnv = {}) =>
    run('bash', ['-o', 'pipefail', '-c', text], { ...env, ...more });
  const own = { ...env, ...imageEnvironment() };
  const worker = async (...args: string[]): Promise<Partial<Figures>> => {
    const child = node(
      [join(here, 'worker.ts'), ...args],
      { ...own, PGDR_BENCH_SETTINGS: JSON.stringify(settings) },
      identity,
    );
    const { stdout, memory } = await child;
    const told = /^\{"measuredRestore":(.*)\}$/m.exec(stdout)?.[1];
    return { ...memory, ...(told && JSON.parse(told)) };
  };
  const backup = async () => {
    const job = { settings, execution: { arn: 'bench' } };
    const told = message<{ output?: { id: string }; failure?: string }>(cloud);
    const task = node(
      [join(here, '../../tasks/main.ts'), 'backup-logical'],
      { ...own, PGDR_TASK_TOKEN: 'bench', PGDR_JOB_INPUT: JSON.stringify(job) },
      identity,
    );
    const { memory } = await task;
    const { output, failure } = await told;
    if (!output) throw new Error(failure);
    backupId = output.id;
    return memory;
  };
  const put = (key: string) =>
    awsCommand ? `aws s3 cp --quiet - s3://${bucket}/${key}` : `${transfer} put ${bucket} ${key}`;
  const get = (key: string) =>
    awsCommand ? `aws s3 cp --quiet s3://${bucket}/${key} -` : `${transfer} get ${bucket} ${key}`;
  const putFolder = awsCommand
    ? `aws s3 cp --quiet --recursive ${folder} s3://${bucket}/directory`
    : `${transfer} put-folder ${bucket} directory ${folder}`;
  /** A server as PostgreSQL makes it, for whom nobody has tuned it. */
  const classicRestore = async () => {
    const home = join(directory, 'classic');
    const server = await startPostgres({ bin, directory: home, checksums: false, settings: { max_wal_size: '1GB' } });
    try {
      const client = await server.connect('postgres');
      await client.query(`CREATE DATABASE ${database}`);
      await client.end();
      return await measure(server.pid, () =>
        script(
          `${get('classic.sql.gz')} | gunzip | psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 >/dev/null`,
          pgEnvironment(server, database),
        ),
      );
    } finally {
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    }
  };
  const contenders: Record<string, () => Promise<Figures>> = {
    'pg_dump | gzip -6 | aws s3 cp': () =>
      measure(source.pid, () => script(`pg_dump | gzip -6 | ${put('classic.sql.gz')}`)),
    'pgdr backup': () => measure(source.pid, backup),
    'pg_dump -Fc | aws s3 cp': () => measure(source.pid, () => script(`pg_dump -Fc | ${put('custom.dump')}`)),
    'pgdr backup, without fingerprint': () => measure(source.pid, () => worker('dump', 'store')),
    'pg_dump -Fd -j2, then aws s3 cp': () =>
      measure(source.pid, () => script(`pg_dump -Fd -j2 -f ${folder} && ${putFolder} && rm -r ${folder}`)),
    'its streams, compressed, into nothing': () => measure(source.pid, () => worker('dump', 'compressed')),
    'its streams into nothing': () => measure(source.pid, () => worker('dump', 'nothing')),
    'aws s3 cp | gunzip | psql': classicRestore,
    'pgdr restore': () => measure(process.pid, () => worker('restore', backupId)),
    'pg_restore -j2 from local disk': async () => {
      await script(`${get('custom.dump')} > ${archive} && chmod a+r ${archive}`);
      const figures = await measure(process.pid, () => worker('pg_restore', archive));
      rmSync(archive);
      return figures;
    },
  };
  return {
    names: Object.keys(contenders),
    run: (name) => (contenders[name] as () => Promise<Figures>)(),
    async close() {
      const ended = once(cloud, 'exit');
      cloud.disconnect();
      await ended;
      for (const each of ['cloud', 'scratch']) rmSync(join(directory, each), { recursive: true, force: true });
    },
  };
}

/** How the image of the tasks sets its Node up. */
function imageEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS, MALLOC_ARENA_MAX } = readDockerfile(
    readFileSync(join(here, '../../tasks/Dockerfile'), 'utf8'),
  ).environment;
  return { NODE_OPTIONS, MALLOC_ARENA_MAX };
}

const pgEnvironment = ({ host, port, superuser }: PostgresServer, database: string) => ({
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: superuser.user,
  PGPASSWORD: superuser.password,
  PGDATABASE: database,
});

async function message<T>(child: ChildProcess): Promise<T> {
  return (await once(child, 'message'))[0] as T;
}

async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<undefined> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code, signal] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${args.at(-1)}: ended with ${signal ?? code}`);
  return undefined;
}

/** Runs a program of this repository on this Node, and watches its memory. */
async function node(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  identity: { uid: number; gid: number } | undefined,
) {
  const child = spawn(process.execPath, args, {
    env,
    ...identity,
    cwd: env.TMPDIR,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const watch = watchMemory(child.pid as number);
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = `${stdout}${text}`.slice(-65_536);
  });
  const [code, signal] = await once(child, 'close');
  const { ownBytes, withChildrenBytes } = watch.stop();
  if (code !== 0)
    throw new Error(`${args.join(' ')} ended with ${signal ?? code}: ${stdout.split('\n').slice(-4).join('\n')}`);
  return { stdout, memory: { peakBytes: ownBytes, peakWithChildrenBytes: withChildrenBytes } };
}

/** The defaults of the configuration, but that nothing is reused, so that every backup is a full one. */
function settingsFor(bucketName: string, secretName: string) {
  const task = { cpu: '2048', memory: '4096', storageGiB: 50, timeoutSeconds: 3600, heartbeatSeconds: 60 };
  const role = 'arn:aws:iam::111122223333:role/bench';
  return {
    schemaVersion: 1,
    system: 'bench',
    database: 'shop',
    lineage: 'main',
    version: 15,
    secret: secretName,
    bucket: bucketName,
    taskDefinition: 'bench',
    restoreTaskDefinition: 'bench',
    backupRoleArn: role,
    restoreRoleArn: role,
    recoverRoleArn: role,
    logical: {
      databases: null,
      ownStreams: 16,
      concurrency: 3,
      zstdLevel: 1,
      lockTimeoutSeconds: 60,
      reuseSeconds: 0,
      allowSkipped: [],
    },
    restoreTest: { assertions: [] },
    tasks: { backup: task, restore: task, recover: task },
    restore: { targets: [] },
    lock: { mode: 'GOVERNANCE', seconds: 86_400 },
    objectives: { rpoSeconds: 86_400, rtoSeconds: 3_600 },
  };
}
