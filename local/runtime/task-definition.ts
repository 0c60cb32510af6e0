import type { ResourceContext } from '../facade.ts';
import { isTrue, onlyKnown, required, tagMap } from './properties.ts';

export interface ContainerDefinition {
  readonly name: string;
  readonly image: string;
  readonly essential: boolean;
  readonly entryPoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment: readonly { name: string; value: string }[];
  readonly secrets: readonly { name: string; valueFrom: string }[];
  readonly mountPoints: readonly { sourceVolume: string; containerPath: string; readOnly: boolean }[];
  readonly logConfiguration?: { readonly logDriver: string; readonly options: Readonly<Record<string, string>> };
  readonly user?: string;
  readonly workingDirectory?: string;
  /** Seconds between SIGTERM and SIGKILL. @default 30 */
  readonly stopTimeout?: number;
  /** As the template has them; they change nothing here. */
  readonly [other: string]: unknown;
}

export interface TaskDefinition {
  readonly taskDefinitionArn: string;
  readonly family: string;
  readonly revision: number;
  readonly status: 'ACTIVE';
  readonly networkMode: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly taskRoleArn?: string;
  readonly executionRoleArn?: string;
  readonly requiresCompatibilities: readonly string[];
  readonly runtimePlatform?: unknown;
  readonly ephemeralStorage?: { readonly sizeInGiB: number };
  readonly volumes: readonly { name: string }[];
  readonly containerDefinitions: readonly ContainerDefinition[];
  readonly registeredAt: Date;
  readonly tags: Readonly<Record<string, string>>;
}

const TYPE = 'AWS::ECS::TaskDefinition';

const TASK_PROPERTIES = [
  'ContainerDefinitions',
  'Cpu',
  'EphemeralStorage',
  'ExecutionRoleArn',
  'Family',
  'Memory',
  'NetworkMode',
  'RequiresCompatibilities',
  'RuntimePlatform',
  'Tags',
  'TaskRoleArn',
  'Volumes',
];

/** Limits (Cpu, Memory, Ulimits), hardening and health checks are taken note of, but a plain process has none of them. */
const CONTAINER_PROPERTIES = [
  'Command',
  'Cpu',
  'DockerLabels',
  'EntryPoint',
  'Environment',
  'Essential',
  'HealthCheck',
  'Image',
  'LinuxParameters',
  'LogConfiguration',
  'Memory',
  'MemoryReservation',
  'MountPoints',
  'Name',
  'PortMappings',
  'Privileged',
  'ReadonlyRootFilesystem',
  'Secrets',
  'StartTimeout',
  'StopTimeout',
  'Ulimits',
  'User',
  'VersionConsistency',
  'WorkingDirectory',
];

const LOG_OPTIONS = [
  'awslogs-group',
  'awslogs-region',
  'awslogs-stream-prefix',
  'awslogs-create-group',
  'mode',
  'max-buffer-size',
];

/** Memory in MiB that Fargate offers per CPU size: from, to, step. The smallest has its own list. */
const SMALLEST_SIZES = [512, 1024, 2048];
const FARGATE_SIZES: Readonly<Record<string, readonly [number, number, number]>> = {
  512: [1024, 4096, 1024],
  1024: [2048, 8192, 1024],
  2048: [4096, 16384, 1024],
  4096: [8192, 30720, 1024],
  8192: [16384, 61440, 4096],
  16384: [32768, 122880, 8192],
};

/** Reads the properties of an AWS::ECS::TaskDefinition. @throws Error on what Fargate or this cloud would not run */
export function readTaskDefinition(
  properties: any,
  context: ResourceContext,
  identity: { arn: string; family: string; revision: number },
): TaskDefinition {
  onlyKnown(TYPE, context, properties, TASK_PROPERTIES);
  const fail = (message: string): never => {
    throw new Error(`${TYPE} ${context.stack}/${context.logicalId}: ${message}`);
  };
  const volumes: { name: string }[] = (properties.Volumes ?? []).map((volume: any) => {
    const { Name, Host, ...rest } = volume;
    if (Object.keys(rest).length > 0 || Host?.SourcePath) fail(`only empty volumes are supported, ${Name} is another`);
    return { name: Name };
  });
  const compatibilities: string[] = properties.RequiresCompatibilities ?? [];
  if (compatibilities.includes('FARGATE')) {
    const problem = fargateProblem(properties);
    if (problem) fail(problem);
  }
  const containers = (required(TYPE, context, properties, 'ContainerDefinitions') as any[]).map((container) =>
    readContainer(container, context, volumes),
  );
  if (!containers.some((container) => container.essential)) fail('at least one container must be essential');
  return {
    taskDefinitionArn: identity.arn,
    family: identity.family,
    revision: identity.revision,
    status: 'ACTIVE',
    networkMode: properties.NetworkMode ?? 'bridge',
    cpu: properties.Cpu && String(properties.Cpu),
    memory: properties.Memory && String(properties.Memory),
    taskRoleArn: properties.TaskRoleArn,
    executionRoleArn: properties.ExecutionRoleArn,
    requiresCompatibilities: compatibilities,
    runtimePlatform: properties.RuntimePlatform && lowerFirst(properties.RuntimePlatform),
    ephemeralStorage: properties.EphemeralStorage && { sizeInGiB: Number(properties.EphemeralStorage.SizeInGiB) },
    volumes,
    containerDefinitions: containers,
    registeredAt: new Date(),
    tags: tagMap(properties.Tags),
  };
}

function fargateProblem(properties: any): string | undefined {
  if (properties.NetworkMode !== 'awsvpc') return 'Fargate needs NetworkMode awsvpc';
  const problem = sizeProblem(properties.Cpu, properties.Memory);
  if (problem) return problem;
  return storageProblem(properties.EphemeralStorage?.SizeInGiB);
}

/** Why Fargate has no task of this CPU (units) and memory (MiB); undefined when it has. */
export function sizeProblem(cpu: unknown, memory: unknown): string | undefined {
  const [from, to, step] = FARGATE_SIZES[String(cpu)] ?? [];
  const size = Number(memory);
  const inRange = from && to && step && size >= from && size <= to && size % step === 0;
  const fits = String(cpu) === '256' ? SMALLEST_SIZES.includes(size) : inRange;
  return fits ? undefined : `No Fargate configuration exists for given values: ${cpu} CPU, ${memory} memory.`;
}

export function storageProblem(sizeInGiB: unknown): string | undefined {
  if (sizeInGiB === undefined) return undefined;
  const size = Number(sizeInGiB);
  return size >= 21 && size <= 200 ? undefined : `ephemeral storage must be 21 to 200 GiB, not ${sizeInGiB}`;
}

function readContainer(
  given: any,
  context: ResourceContext,
  volumes: readonly { name: string }[],
): ContainerDefinition {
  const type = `${TYPE} ContainerDefinition`;
  onlyKnown(type, context, given, CONTAINER_PROPERTIES);
  const name = String(required(type, context, given, 'Name'));
  const mountPoints = (given.MountPoints ?? []).map((mount: any) => ({
    sourceVolume: mount.SourceVolume,
    containerPath: mount.ContainerPath,
    readOnly: isTrue(mount.ReadOnly),
  }));
  for (const mount of mountPoints) {
    if (!volumes.some((volume) => volume.name === mount.sourceVolume)) {
      throw new Error(
        `${type} ${context.stack}/${context.logicalId}: ${name} mounts the unknown volume ${mount.sourceVolume}`,
      );
    }
  }
  return {
    ...lowerFirst(given),
    name,
    image: String(required(type, context, given, 'Image')),
    essential: given.Essential === undefined || isTrue(given.Essential),
    environment: (given.Environment ?? []).map(lowerFirst),
    secrets: (given.Secrets ?? []).map(lowerFirst),
    mountPoints,
    logConfiguration: given.LogConfiguration && readLogging(given.LogConfiguration, context),
    stopTimeout: given.StopTimeout === undefined ? undefined : Number(given.StopTimeout),
  };
}

function readLogging(given: any, context: ResourceContext): ContainerDefinition['logConfiguration'] {
  const type = `${TYPE} LogConfiguration`;
  onlyKnown(type, context, given, ['LogDriver', 'Options']);
  if (given.LogDriver !== 'awslogs') {
    throw new Error(`${type} ${context.stack}/${context.logicalId}: only awslogs is supported, not ${given.LogDriver}`);
  }
  const options = given.Options ?? {};
  onlyKnown(`${type} Options`, context, options, LOG_OPTIONS);
  // Fargate refuses a task definition without a prefix.
  for (const option of ['awslogs-group', 'awslogs-region', 'awslogs-stream-prefix'])
    required(type, context, options, option);
  return { logDriver: 'awslogs', options };
}

/** Members of a structure with the first letter in lower case, as the API has them; maps of the user's keys stay. */
function lowerFirst(value: any): any {
  if (Array.isArray(value)) return value.map(lowerFirst);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key.charAt(0).toLowerCase() + key.slice(1),
      key === 'DockerLabels' || key === 'Options' ? member : lowerFirst(member),
    ]),
  );
}

/** The definition that `family` (its latest revision), `family:revision` or an ARN names. */
export function findTaskDefinition(
  definitions: readonly TaskDefinition[],
  region: string,
  name: string,
): TaskDefinition | undefined {
  const arn = /:task-definition\/(.+)$/.exec(name)?.[1];
  const [family, revision] = (arn ?? name).split(':');
  const candidates = definitions.filter(
    (definition) => definition.family === family && definition.taskDefinitionArn.split(':')[3] === region,
  );
  return revision
    ? candidates.find((definition) => definition.revision === Number(revision))
    : candidates.toSorted((a, b) => b.revision - a.revision)[0];
}
