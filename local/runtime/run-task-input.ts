import { AwsError } from '../facade.ts';
import { sizeProblem, storageProblem, type TaskDefinition } from './task-definition.ts';

export interface ContainerOverride {
  readonly name: string;
  readonly command?: readonly string[];
  readonly environment?: readonly { name: string; value: string }[];
  readonly cpu?: number;
  readonly memory?: number;
  readonly memoryReservation?: number;
}

export interface TaskOverrides {
  readonly containerOverrides: readonly ContainerOverride[];
  readonly taskRoleArn?: string;
  readonly executionRoleArn?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly ephemeralStorage?: { readonly sizeInGiB: number };
}

/** RunTask's parameters, checked. */
export interface RunTaskInput {
  readonly count: number;
  readonly launchType: string;
  readonly capacityProviderName?: string;
  readonly overrides: TaskOverrides;
  readonly subnets: readonly string[];
  readonly startedBy?: string;
  readonly group: string;
  readonly platformVersion: string;
  readonly enableExecuteCommand: boolean;
  readonly tags: readonly { key: string; value: string }[];
  readonly clientToken?: string;
}

const PARAMETERS = [
  'capacityProviderStrategy',
  'clientToken',
  'cluster',
  'count',
  'enableECSManagedTags',
  'enableExecuteCommand',
  'group',
  'launchType',
  'networkConfiguration',
  'overrides',
  'platformVersion',
  'propagateTags',
  'referenceId',
  'startedBy',
  'tags',
  'taskDefinition',
];
const OVERRIDES = ['containerOverrides', 'cpu', 'ephemeralStorage', 'executionRoleArn', 'memory', 'taskRoleArn'];
const CONTAINER_OVERRIDES = ['command', 'cpu', 'environment', 'memory', 'memoryReservation', 'name'];

const invalid = (message: string): AwsError => new AwsError('InvalidParameterException', message);

/** @throws AwsError InvalidParameterException or ClientException, as ECS answers */
export function readRunTaskInput(input: any, definition: TaskDefinition): RunTaskInput {
  refuseOthers('RunTask', input, PARAMETERS);
  const count = input.count ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > 10) throw invalid('Count should be between 1 and 10.');
  const strategy: { capacityProvider: string }[] = input.capacityProviderStrategy ?? [];
  if (strategy.length > 0 && input.launchType) {
    throw invalid(
      'Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.',
    );
  }
  const unknown = strategy.find(({ capacityProvider }) => !/^FARGATE(_SPOT)?$/.test(capacityProvider));
  if (unknown) throw invalid(`The specified capacity provider '${unknown.capacityProvider}' was not found.`);
  // Without either, ECS takes EC2, of which this cloud's clusters have no instances.
  const launchType = strategy.length > 0 ? 'FARGATE' : (input.launchType ?? 'EC2');
  if (launchType !== 'FARGATE') throw invalid('No Container Instances were found in your cluster.');
  if (!definition.requiresCompatibilities.includes('FARGATE')) {
    throw invalid('Task definition does not support launch_type FARGATE.');
  }
  const network = input.networkConfiguration?.awsvpcConfiguration;
  if (definition.networkMode === 'awsvpc' && !network) {
    throw invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.");
  }
  const subnets = network?.subnets ?? [];
  if (network && subnets.length === 0) throw invalid('subnets can not be empty.');
  return {
    count,
    launchType,
    capacityProviderName: strategy[0]?.capacityProvider,
    overrides: readOverrides(input.overrides ?? {}, definition),
    subnets,
    startedBy: input.startedBy,
    group: input.group ?? `family:${definition.family}`,
    platformVersion: !input.platformVersion || input.platformVersion === 'LATEST' ? '1.4.0' : input.platformVersion,
    enableExecuteCommand: input.enableExecuteCommand === true,
    tags: input.tags ?? [],
    clientToken: input.clientToken,
  };
}

function readOverrides(overrides: any, definition: TaskDefinition): TaskOverrides {
  refuseOthers('overrides', overrides, OVERRIDES);
  const cpu = overrides.cpu ?? definition.cpu;
  const memory = overrides.memory ?? definition.memory;
  const problem = sizeProblem(cpu, memory) ?? storageProblem(overrides.ephemeralStorage?.sizeInGiB);
  if (problem) throw new AwsError('ClientException', problem);
  const containerOverrides: ContainerOverride[] = overrides.containerOverrides ?? [];
  for (const override of containerOverrides) {
    refuseOthers('containerOverrides', override, CONTAINER_OVERRIDES);
    if (!definition.containerDefinitions.some(({ name }) => name === override.name)) {
      throw invalid(`Override for container named ${override.name} is not a container in the TaskDefinition.`);
    }
  }
  // ECS limits the overrides' text; a caller that puts its job there meets this limit in the cloud.
  if (JSON.stringify(overrides).length > 8192) {
    throw invalid('Container Overrides length must be at most 8192');
  }
  return { ...overrides, containerOverrides };
}

function refuseOthers(where: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown) throw invalid(`${where}: the local cloud does not support ${unknown}`);
}
