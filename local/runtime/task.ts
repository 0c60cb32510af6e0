import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { World } from '../facade.ts';
import { type ContainerImage, startContainer } from './container.ts';
import { checkExecutionRole, checkTrust } from './execution-role.ts';
import type { ImageRoot } from './image-root.ts';
import { killInside, type Sandbox } from './processes.ts';
import type { RunTaskInput } from './run-task-input.ts';
import type { ContainerDefinition, TaskDefinition } from './task-definition.ts';
import { readSecrets } from './task-secrets.ts';

export interface TaskOptions {
  /** What stands for an image; undefined when nothing does, so that the pull fails. */
  readonly imageFor: (imageUri: string) => ContainerImage | undefined;
  /** Folders put first on a container's PATH, in place of what its image would hold. */
  readonly containerPath?: (image: ContainerImage) => readonly string[] | Promise<readonly string[]>;
  /** Images that were built: a container runs inside of its own. */
  readonly imageRoot?: (image: ContainerImage) => ImageRoot | undefined;
  /** The path below the endpoint at which a task asks for its role's credentials (see identity.ts). */
  readonly containerCredentialsPath?: (roleArn: string, sessionName: string, region: string) => string;
  /** Leaves a task's folder in place after it stopped. @default false */
  readonly keepStorage?: boolean;
}

/** A task as those see it who act as the outside world: tests that kill containers, a terminal that shows progress. */
export interface TaskView {
  readonly taskArn: string;
  readonly region: string;
  readonly family: string;
  readonly startedBy?: string;
  readonly lastStatus: string;
  /** Process id of the first essential container, once it runs. */
  readonly pid?: number;
  readonly containers: readonly { readonly name: string; readonly pid?: number; readonly exitCode?: number }[];
  /** The folder of the task's ephemeral storage. */
  readonly directory: string;
  /** The last lines that its containers wrote, oldest first. */
  readonly output: readonly string[];
}

export interface Task {
  readonly arn: string;
  readonly clusterArn: string;
  readonly definition: TaskDefinition;
  readonly input: RunTaskInput;
  readonly lastStatus: string;
  readonly desiredStatus: string;
  /** Why it ended or ends: `EssentialContainerExited`, `UserInitiated`, … */
  readonly stopCode: string | undefined;
  /** As DescribeTasks shows it. */
  describe(): Record<string, unknown>;
  view(): TaskView;
  /** @param code @default 'UserInitiated' */
  stop(reason: string, code?: string): void;
  /** SIGKILL at once; settles when the task is STOPPED. */
  kill(reason: string): Promise<void>;
  readonly stopped: Promise<void>;
}

interface Container {
  readonly definition: ContainerDefinition;
  readonly id: string;
  status: string;
  sandbox?: Sandbox;
  exitCode?: number;
  reason?: string;
}

const OUTPUT_LINES = 50;

/** Makes a task and starts it at once: PROVISIONING, PENDING, RUNNING, DEPROVISIONING, STOPPED. */
export function startTask(
  world: World,
  options: TaskOptions,
  given: { region: string; clusterName: string; definition: TaskDefinition; input: RunTaskInput },
  onChange: (task: Task) => void,
): Task {
  const { region, clusterName, definition, input } = given;
  const id = randomUUID().replaceAll('-', '');
  const prefix = `arn:aws:ecs:${region}:${world.account}`;
  const arn = `${prefix}:task/${clusterName}/${id}`;
  const directory = join(world.directory, 'ecs', id);
  const createdAt = new Date(world.now());
  const times: Record<string, Date> = {};
  const output: string[] = [];
  const containers: Container[] = definition.containerDefinitions.map((container) => ({
    definition: container,
    id: randomUUID(),
    status: 'PENDING',
  }));
  let lastStatus = 'PROVISIONING';
  let desiredStatus = 'RUNNING';
  let stopCode: string | undefined;
  let stoppedReason: string | undefined;
  let killed = false;

  const enter = (status: string): void => {
    lastStatus = status;
    onChange(task);
  };
  const at = (name: string): void => {
    times[name] = new Date(world.now());
  };

  /** Asks for the end; the first cause stays. SIGTERM, and SIGKILL for those that outlive their StopTimeout. */
  const end = (code: string, reason: string): void => {
    if (stopCode) return;
    stopCode = code;
    stoppedReason = reason;
    desiredStatus = 'STOPPED';
    at('stoppingAt');
    for (const container of containers) terminate(container);
  };

  const terminate = ({ sandbox, definition: { stopTimeout } }: Container): void => {
    if (!sandbox) return;
    if (killed) {
      sandbox.kill();
      return;
    }
    sandbox.signal('SIGTERM');
    const timer = setTimeout(() => sandbox.kill(), (stopTimeout ?? 30) * 1000);
    void sandbox.ended.then(() => clearTimeout(timer));
  };

  const start = async (container: Container): Promise<void> => {
    const executionRole = input.overrides.executionRoleArn ?? definition.executionRoleArn;
    checkExecutionRole(world, region, container.definition, executionRole, id, streamOf(container.definition));
    const image = options.imageFor(container.definition.image);
    if (!image) {
      throw new Error(`CannotPullContainerError: ${container.definition.image}: not found among the assembly's images`);
    }
    const secrets = await readSecrets(world, region, container.definition, executionRole, id);
    const root = options.imageRoot?.(image);
    const path = (!root && (await options.containerPath?.(image))) || [];
    if (stopCode) return;
    container.sandbox = await startContainer({
      definition: container.definition,
      override: input.overrides.containerOverrides.find(({ name }) => name === container.definition.name),
      image,
      root,
      path,
      directory,
      environment: { ...agentEnvironment(), ...secrets },
      onLine: (line) => write(container, line),
    }).catch((error: Error) => {
      throw new Error(`CannotStartContainerError: ${error.message}`);
    });
    container.status = 'RUNNING';
    // A stop that came while the process was being started reaches it here.
    if (stopCode) terminate(container);
    void container.sandbox.ended.then(({ code, signal }) => {
      container.status = 'STOPPED';
      container.exitCode = code;
      if (signal === 'SIGKILL' && !stopCode) container.reason = 'Killed (SIGKILL)';
      if (container.definition.essential) end('EssentialContainerExited', 'Essential container in task exited');
    });
  };

  const agentEnvironment = (): Record<string, string> => {
    const role = input.overrides.taskRoleArn ?? definition.taskRoleArn;
    const base = {
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ENDPOINT_URL: world.endpoint,
      AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
    };
    if (!role) return base;
    const credentialsPath = options.containerCredentialsPath?.(role, id, region);
    if (credentialsPath) return { ...base, AWS_CONTAINER_CREDENTIALS_FULL_URI: world.endpoint + credentialsPath };
    const keys = world.credentialsFor(role, id, region);
    return {
      ...base,
      AWS_ACCESS_KEY_ID: keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
      AWS_SESSION_TOKEN: keys.sessionToken,
    };
  };

  const streamOf = ({ logConfiguration, name }: ContainerDefinition): string =>
    `${logConfiguration?.options['awslogs-stream-prefix']}/${name}/${id}`;

  const write = ({ definition: container }: Container, line: string): void => {
    output.push(line);
    if (output.length > OUTPUT_LINES) output.shift();
    const log = container.logConfiguration?.options;
    if (!log) return;
    world.log(log['awslogs-region'] ?? region, log['awslogs-group'] ?? '', streamOf(container), line);
  };

  const run = async (): Promise<void> => {
    try {
      makeFolder(world.directory, directory);
      const { taskRoleArn = definition.taskRoleArn, executionRoleArn = definition.executionRoleArn } = input.overrides;
      for (const role of [executionRoleArn, taskRoleArn]) if (role) checkTrust(world, arn, role);
      at('pullStartedAt');
      enter('PENDING');
      for (const container of containers) await start(container);
      at('pullStoppedAt');
      if (!stopCode) {
        at('startedAt');
        enter('RUNNING');
      }
    } catch (error) {
      end('TaskFailedToStart', (error as Error).message);
    }
    await Promise.all(containers.map(({ sandbox }) => sandbox?.ended));
    at('executionStoppedAt');
    desiredStatus = 'STOPPED';
    stopCode ??= 'EssentialContainerExited';
    enter('DEPROVISIONING');
    killInside(directory);
    if (!options.keepStorage) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    for (const container of containers) container.status = 'STOPPED';
    at('stoppedAt');
    enter('STOPPED');
  };

  const task: Task = {
    arn,
    clusterArn: `${prefix}:cluster/${clusterName}`,
    definition,
    input,
    get lastStatus() {
      return lastStatus;
    },
    get desiredStatus() {
      return desiredStatus;
    },
    get stopCode() {
      return stopCode;
    },
    stop: (reason, code = 'UserInitiated') => end(code, reason),
    kill: (reason) => {
      killed = true;
      end('UserInitiated', reason);
      for (const { sandbox } of containers) sandbox?.kill();
      return task.stopped;
    },
    stopped: Promise.resolve()
      .then(run)
      .catch((error) => world.note(`task ${arn}: ${error.stack}`)),
    view: () => ({
      taskArn: arn,
      region,
      family: definition.family,
      startedBy: input.startedBy,
      lastStatus,
      pid: containers.find((container) => container.definition.essential)?.sandbox?.pid,
      containers: containers.map(({ definition: { name }, sandbox, exitCode }) => ({
        name,
        pid: sandbox?.pid,
        exitCode,
      })),
      directory,
      output: [...output],
    }),
    describe: () => ({
      taskArn: arn,
      clusterArn: task.clusterArn,
      taskDefinitionArn: definition.taskDefinitionArn,
      group: input.group,
      startedBy: input.startedBy,
      launchType: input.launchType,
      capacityProviderName: input.capacityProviderName,
      platformVersion: input.platformVersion,
      platformFamily: 'Linux',
      availabilityZone: `${region}a`,
      cpu: input.overrides.cpu ?? definition.cpu,
      memory: input.overrides.memory ?? definition.memory,
      ephemeralStorage: input.overrides.ephemeralStorage ?? definition.ephemeralStorage ?? { sizeInGiB: 20 },
      overrides: input.overrides,
      enableExecuteCommand: input.enableExecuteCommand,
      tags: input.tags,
      attachments: [networkInterface(id, input.subnets, lastStatus)],
      connectivity: 'CONNECTED',
      healthStatus: 'UNKNOWN',
      version: 1,
      createdAt,
      ...times,
      lastStatus,
      desiredStatus,
      stopCode: lastStatus === 'STOPPED' || desiredStatus === 'STOPPED' ? stopCode : undefined,
      stoppedReason,
      containers: containers.map((container) => ({
        containerArn: `${prefix}:container/${clusterName}/${id}/${container.id}`,
        taskArn: arn,
        name: container.definition.name,
        image: container.definition.image,
        runtimeId: `${id}-${container.id.slice(0, 8)}`,
        lastStatus: container.status,
        exitCode: container.exitCode,
        reason: container.reason,
        healthStatus: 'UNKNOWN',
        networkInterfaces: [{ attachmentId: id, privateIpv4Address: '127.0.0.1' }],
      })),
    }),
  };
  return task;
}

const networkInterface = (id: string, subnets: readonly string[], status: string) => ({
  id,
  type: 'ElasticNetworkInterface',
  status: status === 'RUNNING' ? 'ATTACHED' : status === 'STOPPED' ? 'DELETED' : 'PRECREATED',
  details: [
    { name: 'subnetId', value: subnets[0] },
    { name: 'privateIPv4Address', value: '127.0.0.1' },
  ],
});

/** The task's folder, and the way to it open to users that containers run as; the folder of the cloud is its own. */
function makeFolder(root: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  if (process.getuid?.() !== 0) return;
  for (const folder of [root, join(root, 'ecs'), directory])
    chmodSync(folder, (statSync(folder).mode & 0o7777) | 0o111);
}
