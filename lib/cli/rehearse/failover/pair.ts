import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeTasksCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { ChangeResourceRecordSetsCommand, ListHostedZonesCommand, Route53Client } from '@aws-sdk/client-route-53';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { type DescribeExecutionOutput, ListExecutionsCommand, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { GetParameterCommand, PutParameterCommand } from '@aws-sdk/client-ssm';
import pg from 'pg';
import { type Cloud, startCloud } from '../../../../local/cloud.ts';
import { failoverParameterName, stateMachineName, stateTableName } from '../../../config/names.ts';
import type { ServerName } from '../../../core/failover/role.ts';
import type { Outcome, WorkflowFailure } from '../../../core/outcome.ts';
import { type Clients, createClients } from '../../clients.ts';
import { followExecution } from '../../follow.ts';
import type { StateStep, StateWatcher } from '../../states.ts';
import { synthesize } from '../assembly.ts';
import { type Instance, makeInstance } from './instance.ts';
import { type CuttablePath, openPath } from './proxy.ts';
import { hosts, makeServers, type PairFiles } from './servers.ts';

/** Two servers of one database in two regions of a local cloud, run by their agents, with pgdr deployed beside them. */

export const regions = { primary: 'eu-north-1', standby: 'us-east-1' } as const;
export const endpointName = 'orders.db.internal';
const services = { primary: 'orders-1', standby: 'orders-2' } as const;

export interface PairOptions {
  /** Directory of `initdb` and `postgres`, and their major. */
  readonly postgres: { readonly bin: string; readonly major: number };
  readonly directory: string;
  readonly fences?: readonly ('stop' | 'lease' | 'synchronous')[];
  readonly mode?: 'health-check' | 'record-update';
  readonly automatic?: boolean;
  /** Base backups and WAL too. */
  readonly physical?: boolean;
  /** The servers run on EC2 instances. @default as ECS services */
  readonly instances?: boolean;
  /** Puts a path that can be cut before the primary: for its clients, and for everybody beyond its region. */
  readonly cuttable?: boolean;
  /** Makes file systems of these sizes for the primary, bytes; takes root on Linux. */
  readonly disks?: { readonly data: number; readonly wal: number };
  /** More settings of both servers. */
  readonly serverOptions?: Readonly<Record<string, string>>;
  /** Gives the assembly to deploy in the place of the synthesized one. */
  readonly alter?: (assembly: string) => string;
  /** Where Slack's messages go. @default nowhere: the secret is not there */
  readonly slackWebhook?: string;
  readonly verbose?: (line: string) => void;
}

export interface MachineRun {
  readonly execution: DescribeExecutionOutput;
  readonly succeeded: boolean;
  readonly outcome: Outcome | undefined;
  readonly failure: WorkflowFailure | undefined;
  readonly states: readonly StateStep[];
  readonly seconds: number;
}

export interface Pair {
  readonly cloud: Cloud;
  readonly files: PairFiles;
  /** Clients of a server's region. */
  readonly clients: Readonly<Record<ServerName, Clients>>;
  readonly nameServer: string;
  /** With `cuttable`: what leads to the primary from its clients, and from beyond its region. */
  readonly paths: { readonly clients: CuttablePath; readonly border: CuttablePath } | undefined;
  /** A connection of the superuser to one server; whoever asks for one ends it. */
  connect(server: ServerName, database?: string): Promise<pg.Client>;
  start(machine: string, input: object, name?: string): Promise<string>;
  follow(executionArn: string, watcher?: StateWatcher): Promise<MachineRun>;
  /** Starts a machine of the recovery region and follows it to its end. */
  run(machine: string, input: object, watcher?: StateWatcher): Promise<MachineRun>;
  /** The execution of a machine that somebody else starts after a moment (milliseconds): the probe, the alarm. */
  awaitStart(machine: string, after: number, seconds?: number): Promise<string>;
  /** Runs the probe of both regions once, as their schedules would. */
  probe(): Promise<void>;
  setDesiredCount(server: ServerName, count: number): Promise<void>;
  /** The postmaster of a server that runs. */
  postmaster(server: ServerName): number;
  /** Everything that a server runs as, its postmaster first. */
  processes(server: ServerName): number[];
  /** SIGKILL to everything that a server runs as, and its volume is gone with its host: nothing can start it again. */
  lose(server: ServerName): void;
  /** The volume of a lost server is there again, as the crash left it. */
  giveBack(server: ServerName): void;
  /** The agent of a server that runs; throws while there is none. */
  agent(server: ServerName): number;
  stop(): Promise<void>;
}

export async function startPair(options: PairOptions): Promise<Pair> {
  const { postgres, directory, mode = 'health-check', physical = false } = options;
  const assembly = await synthesize(
    join(import.meta.dirname, 'failover.config.ts'),
    {
      PGDR_REHEARSE_MAJOR: String(postgres.major),
      PGDR_REHEARSE_MODE: mode,
      PGDR_REHEARSE_PHYSICAL: String(physical),
      PGDR_REHEARSE_INSTANCES: String(options.instances ?? false),
    },
    join('lib', 'cli', 'rehearse', 'failover', 'app.ts'),
  );
  const files = await makeServers(postgres.bin, join(directory, 'servers'), options);
  const paths = options.cuttable ? await openPaths(files) : undefined;
  const cloud = await startCloud({
    assembly: options.alter?.(assembly.directory) ?? assembly.directory,
    directory: join(directory, 'cloud'),
    containerPath: () => [postgres.bin],
    verbose: options.verbose,
  });
  const clients = {
    primary: createClients(cloud.client(regions.primary)),
    standby: createClients(cloud.client(regions.standby)),
  };
  const instances: Instance[] = [];
  const stop = async () => {
    for (const one of Object.values(clients)) one.close();
    await Promise.all(instances.map((instance) => instance.stop(true)));
    await cloud.close();
    await Promise.all(Object.values(paths ?? {}).map((path) => path.close()));
    files.unmount();
  };
  try {
    await addRecords(cloud, files);
    for (const server of ['primary', 'standby'] as const) await configure(clients[server], files, server, options);
    const pair = makePair({ cloud, files, clients, paths, stop, directory });
    const { address, port } = await cloud.route53.nameServer();
    // The role item is made by the first probe, without which the agent of the primary may start nothing.
    if (options.instances) instances.push(...(await startInstances(pair, options)));
    else for (const server of ['standby', 'primary'] as const) await pair.setDesiredCount(server, 1);
    await ready(pair);
    return Object.assign(pair, { nameServer: `${address}:${port}` });
  } catch (cause) {
    const said = await whatTasksSaid(cloud, clients);
    await stop();
    throw new Error(`The servers did not start: ${(cause as Error).message}\n${said.slice(-40).join('\n')}`, { cause });
  }
}

/** The instances that the configuration names: their agents have what a service's task has from its definition. */
async function startInstances({ cloud, files, clients }: Pair, options: PairOptions): Promise<Instance[]> {
  const made: Instance[] = [];
  for (const server of ['primary', 'standby'] as const) {
    const Name = failoverParameterName('rehearsal', 'orders');
    const { Parameter } = await clients[server].ssm.send(new GetParameterCommand({ Name }));
    const { listen, port, data } = files[server];
    const instance = makeInstance(files[server], {
      bin: options.postgres.bin,
      environment: {
        ...cloud.environment(regions[server]),
        PGDR_FAILOVER_SETTINGS: Parameter?.Value,
        PGDR_STATE_TABLE: stateTableName('rehearsal'),
        PGDR_SERVER: server,
        PGDATA: data,
        PGHOST: listen,
        PGPORT: String(port),
      },
    });
    cloud.ec2.addInstance({ region: regions[server], ...instance });
    made.push(instance);
    await instance.start();
  }
  return made;
}

/** The last tasks of both services, with why they ended. */
async function whatTasksSaid(cloud: Cloud, clients: Pair['clients']): Promise<string[]> {
  const said: string[] = [];
  for (const task of cloud.ecs.tasks().slice(-4)) {
    const { ecs } = task.region === regions.primary ? clients.primary : clients.standby;
    const { tasks } = await ecs.send(new DescribeTasksCommand({ cluster: 'databases', tasks: [task.taskArn] }));
    said.push(`${task.family} ${task.lastStatus} ${tasks?.[0]?.stoppedReason ?? ''}`, ...task.output.slice(-10));
  }
  return said;
}

/** The servers' own names; their owner keeps these. */
async function addRecords(cloud: Cloud, files: PairFiles): Promise<void> {
  const route53 = new Route53Client(cloud.client(regions.standby));
  const { HostedZones } = await route53.send(new ListHostedZonesCommand({}));
  const zone = HostedZones?.find(({ Name }) => Name === 'db.internal.');
  await route53.send(
    new ChangeResourceRecordSetsCommand({
      HostedZoneId: zone?.Id,
      ChangeBatch: {
        Changes: (['primary', 'standby'] as const).map((server) => ({
          Action: 'CREATE' as const,
          ResourceRecordSet: {
            Name: `${services[server]}.db.internal`,
            Type: 'A' as const,
            TTL: 60,
            ResourceRecords: [{ Value: files[server].host }],
          },
        })),
      },
    }),
  );
  route53.destroy();
}

/** Clients and the other region reach the primary where the names say it is; it listens elsewhere. */
async function openPaths({ primary }: PairFiles) {
  const to = primary.listen;
  const [clients, border] = await Promise.all([
    openPath({ host: primary.host, port: primary.port }, to),
    openPath({ host: hosts.border, port: primary.port }, to),
  ]);
  return { clients, border };
}

async function configure(
  { secrets, ssm }: Clients,
  files: PairFiles,
  server: ServerName,
  options: PairOptions,
): Promise<void> {
  const { slackWebhook } = options;
  if (slackWebhook !== undefined)
    await secrets.send(new CreateSecretCommand({ Name: 'pgdr/slack', SecretString: slackWebhook }));
  const isBeyond = server === 'standby' && options.cuttable;
  for (const [name, which] of [
    ['orders/control', 'primary'],
    ['orders/standby', 'standby'],
  ] as const) {
    const { port } = files[which];
    const host = which === 'primary' && isBeyond ? hosts.border : files[which].host;
    const value = { host, port, username: 'postgres', password: files.password, dbname: 'orders', sslmode: 'disable' };
    await secrets.send(new CreateSecretCommand({ Name: name, SecretString: JSON.stringify(value) }));
  }
  const { listen, port, data } = files[server];
  const values = {
    PGDATA: data,
    PGHOST: listen,
    PGPORT: String(port),
    PGDR_POSTGRES_OPTIONS: JSON.stringify(options.serverOptions ?? {}),
  };
  for (const [name, Value] of Object.entries(values))
    await ssm.send(new PutParameterCommand({ Name: `/servers/${server}/${name}`, Value, Type: 'String' }));
  await changeSettings(ssm, options);
}

/** As another configuration would have deployed them: synthesizing anew takes longer than everything else. */
async function changeSettings(
  ssm: Clients['ssm'],
  { fences = ['stop'], automatic = false }: PairOptions,
): Promise<void> {
  const Name = failoverParameterName('rehearsal', 'orders');
  const { Parameter } = await ssm.send(new GetParameterCommand({ Name }));
  const Value = JSON.stringify({ ...JSON.parse(Parameter?.Value ?? ''), fences, automatic });
  await ssm.send(new PutParameterCommand({ Name, Value, Overwrite: true }));
}

function makePair(given: Pick<Pair, 'cloud' | 'files' | 'clients' | 'paths' | 'stop'> & { directory: string }): Pair {
  const { cloud, files, clients } = given;
  const taskOf = (server: ServerName) => {
    const task = cloud.ecs
      .tasks()
      .findLast(({ family, lastStatus }) => family === services[server] && lastStatus === 'RUNNING');
    if (task?.pid === undefined) throw new Error(`no task of ${services[server]} runs`);
    return task.pid;
  };
  const machineArn = (machine: string) =>
    `arn:aws:states:${regions.standby}:${cloud.account}:stateMachine:${stateMachineName('rehearsal', machine)}`;
  const pair: Pair = {
    ...given,
    nameServer: '',
    async connect(server, database = 'orders') {
      const { listen, port } = files[server];
      const client = new pg.Client({
        host: listen,
        port,
        user: 'postgres',
        password: files.password,
        database,
        connectionTimeoutMillis: 2000,
      });
      client.on('error', () => {});
      await client.connect();
      return client;
    },
    async start(machine, input, name) {
      const { executionArn } = await clients.standby.sfn.send(
        new StartExecutionCommand({ stateMachineArn: machineArn(machine), name, input: JSON.stringify(input) }),
      );
      return executionArn as string;
    },
    async awaitStart(machine, after, seconds = 60) {
      const deadline = Date.now() + seconds * 1000;
      for (;;) {
        const { executions } = await clients.standby.sfn.send(
          new ListExecutionsCommand({ stateMachineArn: machineArn(machine), maxResults: 1 }),
        );
        const [newest] = executions ?? [];
        if (newest?.executionArn !== undefined && Number(newest.startDate) >= after) return newest.executionArn;
        if (Date.now() > deadline) throw new Error(`nobody started ${machine} within ${seconds} s`);
        await sleep(50);
      }
    },
    async follow(executionArn, watcher) {
      const { execution, steps, seconds } = await followExecution(clients.standby.sfn, executionArn, {
        watcher,
        interval: 100,
      });
      const succeeded = execution.status === 'SUCCEEDED';
      return {
        execution,
        succeeded,
        seconds,
        states: steps,
        outcome: succeeded ? parse<Outcome>(execution.output) : undefined,
        failure: succeeded ? undefined : parse<WorkflowFailure>(execution.cause),
      };
    },
    run: async (machine, input, watcher) => pair.follow(await pair.start(machine, input), watcher),
    async probe() {
      await Promise.all(
        Object.values(regions).map(async (region) => {
          await cloud.scheduler.fire(region, 'rehearsal-orders-probe-replication');
        }),
      );
    },
    async setDesiredCount(server, desiredCount) {
      await clients[server].ecs.send(
        new UpdateServiceCommand({ cluster: 'databases', service: services[server], desiredCount }),
      );
    },
    postmaster: (server) => {
      const [pid] = readPid(files[server].data);
      return pid;
    },
    processes: (server) => {
      const postmaster = pair.postmaster(server);
      const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(postmaster)], { encoding: 'utf8' });
      return [postmaster, ...stdout.split('\n').map(Number).filter(Boolean)];
    },
    lose: (server) => {
      const { data } = files[server];
      const pids = pair.processes(server);
      renameSync(data, `${data}.lost`);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
    },
    giveBack: (server) => {
      const { data } = files[server];
      if (existsSync(`${data}.lost`)) renameSync(`${data}.lost`, data);
    },
    agent: taskOf,
  };
  return pair;
}

const readPid = (data: string): [number] => [Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0])];

function parse<T>(text: string | undefined): T | undefined {
  try {
    return JSON.parse(text ?? '') as T;
  } catch {
    return undefined;
  }
}

/** Until the standby streams from a primary that takes writes. */
async function ready(pair: Pair): Promise<void> {
  await pair.probe();
  const deadline = Date.now() + 90_000;
  for (;;) {
    try {
      const client = await pair.connect('primary');
      try {
        const { rows } = await client.query(
          "SELECT count(*)::int AS n FROM pg_stat_replication WHERE state = 'streaming'",
        );
        if (rows[0].n > 0) return;
      } finally {
        await client.end();
      }
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new Error('the standby does not stream');
    await sleep(100);
  }
}
