import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DescribeClustersCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  RunTaskCommand,
  type RunTaskCommandInput,
  StopTaskCommand,
  type Task,
} from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ResourceContext } from '../../local/facade.ts';
import { createEcs, type EcsFacade } from '../../local/facades/ecs.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-central-1';
const image = 'registry/image:tag';
const root = mkdtempSync(join(tmpdir(), 'ecs-test-'));
const context = mkdtempSync(join(tmpdir(), 'ecs-image-'));
const lines: { group: string; stream: string; line: string }[] = [];
let host: Host;
let ecs: EcsFacade;
let client: ECSClient;

const about: ResourceContext = { region, stack: 'Stack', logicalId: 'Task', generatedName: 'made-up', assembly: root };
const role = (name: string) => `arn:aws:iam::111122223333:role/${name}`;

async function define(family: string, container: object, rest: object = {}): Promise<string> {
  const made = await ecs.resources?.['AWS::ECS::TaskDefinition']?.(
    {
      Family: family,
      Cpu: '256',
      Memory: '512',
      NetworkMode: 'awsvpc',
      RequiresCompatibilities: ['FARGATE'],
      TaskRoleArn: role('worker'),
      ExecutionRoleArn: role('execution'),
      ContainerDefinitions: [
        {
          Name: 'main',
          Image: image,
          LogConfiguration: {
            LogDriver: 'awslogs',
            Options: { 'awslogs-group': '/tasks', 'awslogs-region': region, 'awslogs-stream-prefix': family },
          },
          ...container,
        },
      ],
      ...rest,
    },
    about,
  );
  return String(made?.ref);
}

const run = (taskDefinition: string, rest: Partial<RunTaskCommandInput> = {}) =>
  client.send(
    new RunTaskCommand({
      cluster: 'workers',
      taskDefinition,
      launchType: 'FARGATE',
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'] } },
      ...rest,
    }),
  );

const script = (code: string) => ['node', '-e', code];

async function until(taskArn: string | undefined, status: string, seconds = 15): Promise<Task> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise((r) => setTimeout(r, 30))) {
    const { tasks } = await client.send(new DescribeTasksCommand({ cluster: 'workers', tasks: [String(taskArn)] }));
    if (tasks?.[0]?.lastStatus === status) return tasks[0];
    if (tasks?.[0]?.lastStatus === 'STOPPED') throw new Error(`stopped: ${tasks[0].stoppedReason}`);
  }
  throw new Error(`${taskArn} did not become ${status}`);
}

async function runToEnd(taskDefinition: string, rest: Partial<RunTaskCommandInput> = {}): Promise<Task> {
  const { tasks } = await run(taskDefinition, rest);
  return until(tasks?.[0]?.taskArn, 'STOPPED');
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

beforeAll(async () => {
  host = await startHost({ directory: root, regions: [region] });
  const world = {
    ...host.world,
    log: (_region: string, group: string, stream: string, line: string) => void lines.push({ group, stream, line }),
  };
  const options = {
    imageFor: (uri: string) => (uri === image ? { context, buildArgs: { MAJOR: '17' } } : undefined),
    containerPath: () => ['/opt/stand-in'],
    containerCredentialsPath: host.identity.containerCredentialsPath,
  };
  ecs = host.add(createEcs(world, options));
  await ecs.resources?.['AWS::ECS::Cluster']?.({ ClusterName: 'workers' }, about);
  client = new ECSClient({ ...host.client(region), maxAttempts: 1 });
  // It stands for an image, which any user of the container can read.
  chmodSync(context, 0o755);
});

afterAll(async () => {
  client.destroy();
  await host.close();
  rmSync(root, { recursive: true, force: true });
  rmSync(context, { recursive: true, force: true });
});

describe('a task', () => {
  it('runs its command with its own environment only, and logs its lines', async () => {
    process.env.LEAK = 'must not be seen';
    const definition = await define('env', {
      Command: script('console.log(JSON.stringify({...process.env, cwd: process.cwd()})); console.error("to stderr")'),
      Environment: [
        { Name: 'A', Value: 'definition' },
        { Name: 'B', Value: 'definition' },
      ],
    });
    const task = await runToEnd(definition, {
      overrides: { containerOverrides: [{ name: 'main', environment: [{ name: 'B', value: 'override' }] }] },
    });
    delete process.env.LEAK;
    expect(task.containers?.[0]?.exitCode).toBe(0);
    expect(task.stopCode).toBe('EssentialContainerExited');
    const id = task.taskArn?.split('/').at(-1);
    const own = lines.filter(({ stream }) => stream === `env/main/${id}`);
    expect(own.map(({ line }) => line)).toContain('to stderr');
    const environment = JSON.parse(own.find(({ line }) => line.startsWith('{'))?.line ?? '{}');
    expect(environment).toMatchObject({ A: 'definition', B: 'override', AWS_REGION: region, cwd: context });
    expect(environment.AWS_ENDPOINT_URL).toBe(host.world.endpoint);
    expect(environment.TMPDIR).toBe(join(root, 'ecs', id ?? '', 'tmp'));
    expect(environment.PATH).toMatch(/^\/opt\/stand-in:/);
    expect(environment.LEAK).toBeUndefined();
    expect(Object.keys(environment).sort()).toEqual([
      'A',
      'AWS_CONTAINER_CREDENTIALS_FULL_URI',
      'AWS_DEFAULT_REGION',
      'AWS_ENDPOINT_URL',
      'AWS_EXECUTION_ENV',
      'AWS_REGION',
      'B',
      'HOME',
      'PATH',
      'TMPDIR',
      'cwd',
    ]);
    expect(existsSync(environment.TMPDIR)).toBe(false);
  });

  it('acts as its task role by the credentials that its environment points to', async () => {
    const sdk = new URL('../../node_modules/@aws-sdk/client-ecs/dist-cjs/index.js', import.meta.url).pathname;
    const code = `const {ECSClient,ListClustersCommand}=require(${JSON.stringify(sdk)});
      new ECSClient({}).send(new ListClustersCommand({})).then((a)=>console.log(a.clusterArns.join()))`;
    const task = await runToEnd(await define('role', { Command: script(code) }));
    expect(task.containers?.[0]?.exitCode).toBe(0);
    const call = host.ledger.calls().findLast(({ operation }) => operation === 'ListClusters');
    expect(call?.principal.roleArn).toBe(role('worker'));
  });

  it('shows a failing exit code', async () => {
    const task = await runToEnd(await define('fails', { Command: script('process.exit(3)') }));
    expect(task).toMatchObject({ lastStatus: 'STOPPED', stoppedReason: 'Essential container in task exited' });
    expect(task.containers?.[0]?.exitCode).toBe(3);
  });

  it('is stopped by SIGTERM and can end in its own way', async () => {
    const code = 'process.on("SIGTERM", () => process.exit(42)); setInterval(() => {}, 1000); console.log("ready")';
    const { tasks } = await run(await define('polite', { Command: script(code) }));
    const arn = tasks?.[0]?.taskArn;
    await expect.poll(() => ecs.tasks().find((task) => task.taskArn === arn)?.output).toContain('ready');
    await client.send(new StopTaskCommand({ cluster: 'workers', task: arn, reason: 'enough' }));
    const stopped = await until(arn, 'STOPPED');
    expect(stopped).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'enough' });
    expect(stopped.containers?.[0]?.exitCode).toBe(42);
  });

  it('is killed after StopTimeout, and with it daemons that left its process group', async () => {
    const code = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);
      const d = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"],
        {detached: true, stdio: "ignore", cwd: process.env.TMPDIR, env: {}}); d.unref(); console.log("daemon", d.pid)`;
    const { tasks } = await run(await define('stubborn', { Command: script(code), StopTimeout: 1 }));
    const arn = tasks?.[0]?.taskArn;
    const view = () => ecs.tasks().find((task) => task.taskArn === arn);
    await expect.poll(() => view()?.output.join()).toMatch(/daemon \d+/);
    const daemon = Number(/daemon (\d+)/.exec(view()?.output.join() ?? '')?.[1]);
    expect(alive(daemon)).toBe(true);
    await client.send(new StopTaskCommand({ cluster: 'workers', task: arn }));
    const stopped = await until(arn, 'STOPPED');
    expect(stopped.containers?.[0]?.exitCode).toBe(137);
    await expect.poll(() => alive(daemon)).toBe(false);
  });

  it('ends with 137 when somebody kills its container', async () => {
    const { tasks } = await run(await define('killed', { Command: script('setInterval(() => {}, 1000)') }));
    const arn = tasks?.[0]?.taskArn;
    await until(arn, 'RUNNING');
    process.kill(ecs.tasks().find((task) => task.taskArn === arn)?.pid as number, 'SIGKILL');
    const stopped = await until(arn, 'STOPPED');
    expect(stopped.containers?.[0]?.exitCode).toBe(137);
    expect(stopped.stopCode).toBe('EssentialContainerExited');
  });

  it.runIf(process.getuid?.() === 0)('runs as its user, who owns its storage', async () => {
    const code =
      'require("node:fs").writeFileSync(process.env.TMPDIR + "/x", ""); console.log(process.getuid(), process.getgid())';
    for (const [user, expected] of [
      ['10001:10002', '10001 10002'],
      ['no-such-user', '65534 65534'],
    ]) {
      const task = await runToEnd(await define('user', { Command: script(code), User: user }));
      expect(ecs.tasks().find(({ taskArn }) => taskArn === task.taskArn)?.output).toEqual([expected]);
    }
  });

  it.runIf(process.getuid?.() === 0)('reads its image as its user even where only root may', async () => {
    chmodSync(context, 0o700);
    writeFileSync(join(context, 'data'), 'content', { mode: 0o600 });
    const code = 'console.log(process.getuid(), require("node:fs").readFileSync("data", "utf8"))';
    const task = await runToEnd(await define('hidden', { Command: script(code), User: '10001' }));
    chmodSync(context, 0o755);
    expect(ecs.tasks().find(({ taskArn }) => taskArn === task.taskArn)?.output).toEqual(['10001 content']);
  });

  it('takes entry point, command and variables from the Dockerfile, and volumes for folders', async () => {
    const dockerfile =
      'ARG MAJOR=15\nFROM base AS app\nARG MAJOR\nENV PG=$MAJOR MODE="a b"\nENTRYPOINT ["node", "main.js"]\nCMD ["idle"]\n';
    writeFileSync(join(context, 'Dockerfile'), dockerfile);
    writeFileSync(
      join(context, 'main.js'),
      'console.log(process.argv[2], process.env.PG, process.env.MODE, process.env.WORK)',
    );
    const definition = await define(
      'image',
      {
        Environment: [{ Name: 'WORK', Value: '/scratch/x' }],
        MountPoints: [{ SourceVolume: 'v', ContainerPath: '/scratch' }],
      },
      { Volumes: [{ Name: 'v' }] },
    );
    const output = async (command?: string[]) => {
      const task = await runToEnd(definition, { overrides: { containerOverrides: [{ name: 'main', command }] } });
      const view = ecs.tasks().find(({ taskArn }) => taskArn === task.taskArn);
      return view?.output.join().replace(view.directory, '~');
    };
    expect(await output()).toBe('idle 17 a b ~/volumes/v/x');
    expect(await output(['job'])).toBe('job 17 a b ~/volumes/v/x');
    rmSync(join(context, 'Dockerfile'));
  });

  it('fails to start, with the reason, when image, program or secret is missing', async () => {
    const noImage = await runToEnd(await define('no-image', { Image: 'elsewhere/image:1', Command: ['node'] }));
    expect(noImage).toMatchObject({ stopCode: 'TaskFailedToStart' });
    expect(noImage.stoppedReason).toMatch(/^CannotPullContainerError: elsewhere\/image:1/);
    const noProgram = await runToEnd(await define('no-program', { Command: ['no-such-program'] }));
    expect(noProgram.stoppedReason).toMatch(
      /CannotStartContainerError: exec: "no-such-program": executable file not found/,
    );
    expect(noProgram.containers?.[0]?.exitCode).toBeUndefined();
    const secrets = [{ Name: 'S', ValueFrom: `arn:aws:secretsmanager:${region}:111122223333:secret:x-AbCdEf` }];
    const noSecret = await runToEnd(
      await define('no-secret', { Command: script('1'), Secrets: secrets }, { ExecutionRoleArn: role('execution') }),
    );
    expect(noSecret.stoppedReason).toMatch(/ResourceInitializationError: unable to pull secrets/);
  });

  it('ends with the cloud', async () => {
    const other = createEcs(host.world, { imageFor: () => ({ context, buildArgs: {} }), containerPath: () => [] });
    await other.resources?.['AWS::ECS::Cluster']?.({ ClusterName: 'workers' }, about);
    const before = ecs;
    ecs = other;
    const definition = await define('long', {
      Command: script('process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'),
    });
    ecs = before;
    const call = { region, requestId: '', principal: { arn: 'arn:aws:iam::111122223333:root' } };
    const network = { awsvpcConfiguration: { subnets: ['s'] } };
    await other.operations?.RunTask?.(
      { cluster: 'workers', taskDefinition: definition, launchType: 'FARGATE', networkConfiguration: network },
      call,
    );
    await expect.poll(() => other.tasks()[0]?.lastStatus).toBe('RUNNING');
    const pid = other.tasks()[0]?.pid as number;
    const started = Date.now();
    await other.close?.();
    expect(Date.now() - started).toBeLessThan(5000);
    expect(alive(pid)).toBe(false);
  });
});

describe('RunTask', () => {
  it('answers what it refuses as ECS does', async () => {
    const definition = await define('refusals', { Command: script('1') });
    const refused = async (rest: object) =>
      run(definition, rest as never).then(
        () => 'accepted',
        (e) => `${e.name}: ${e.message}`,
      );
    expect(await refused({ cluster: 'none' })).toMatch(/^ClusterNotFoundException/);
    expect(await refused({ taskDefinition: 'none' })).toBe('ClientException: TaskDefinition not found.');
    expect(await refused({ networkConfiguration: undefined })).toMatch(
      /^InvalidParameterException: Network Configuration must/,
    );
    expect(await refused({ launchType: undefined })).toMatch(/No Container Instances/);
    expect(await refused({ count: 11 })).toMatch(/Count/);
    expect(await refused({ overrides: { containerOverrides: [{ name: 'other' }] } })).toMatch(/container named other/);
    expect(await refused({ overrides: { cpu: '256', memory: '4096' } })).toMatch(/No Fargate configuration/);
    expect(await refused({ placementStrategy: [{ type: 'random' }] })).toMatch(/does not support placementStrategy/);
    expect(await refused({ capacityProviderStrategy: [{ capacityProvider: 'FARGATE' }] })).toMatch(/not supported/);
  });

  it('gives the same task for the same client token', async () => {
    const definition = await define('token', { Command: script('1') });
    const first = await run(definition, { clientToken: 'once' });
    const second = await run(definition, { clientToken: 'once' });
    expect(second.tasks?.[0]?.taskArn).toBe(first.tasks?.[0]?.taskArn);
    await expect(run(definition, { clientToken: 'once', startedBy: 'me' })).rejects.toThrow(/clientToken/);
  });

  it('lists and describes', async () => {
    const definition = await define('listed', { Command: script('setInterval(() => {}, 1000)') });
    expect(definition).toMatch(/task-definition\/listed:1$/);
    expect(await define('listed', { Command: script('setInterval(() => {}, 1000)') })).toMatch(/listed:2$/);
    const { tasks } = await run('listed', { startedBy: 'tester' });
    expect(tasks?.[0]?.taskDefinitionArn).toMatch(/listed:2$/);
    const list = async (filter: object) =>
      (await client.send(new ListTasksCommand({ cluster: 'workers', ...filter }))).taskArns;
    expect(await list({ startedBy: 'tester' })).toEqual([tasks?.[0]?.taskArn]);
    expect(await list({ family: 'nothing' })).toEqual([]);
    const missing = await client.send(new DescribeTasksCommand({ cluster: 'workers', tasks: ['abc'] }));
    expect(missing.failures?.[0]).toMatchObject({ reason: 'MISSING' });
    const described = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: 'listed' }));
    expect(described.taskDefinition).toMatchObject({ family: 'listed', revision: 2, cpu: '256' });
    const clusters = await client.send(new DescribeClustersCommand({ clusters: ['workers'] }));
    expect(clusters.clusters?.[0]?.clusterName).toBe('workers');
    await client.send(new StopTaskCommand({ cluster: 'workers', task: tasks?.[0]?.taskArn }));
    await until(tasks?.[0]?.taskArn, 'STOPPED');
  });
});

describe('AWS::ECS::TaskDefinition', () => {
  it('refuses what it does not know', async () => {
    await expect(define('x', { Interactive: true })).rejects.toThrow(
      /ContainerDefinition Stack\/Task: .* property Interactive/,
    );
    await expect(define('x', {}, { PidMode: 'task' })).rejects.toThrow(/property PidMode/);
    await expect(define('x', {}, { Memory: '1536' })).rejects.toThrow(/No Fargate configuration/);
    await expect(define('x', { MountPoints: [{ SourceVolume: 'none', ContainerPath: '/x' }] })).rejects.toThrow(
      /unknown volume/,
    );
  });
});
