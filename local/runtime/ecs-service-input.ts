import { AwsError, type ResourceContext } from '../facade.ts';
import type { ServiceSettings } from './ecs-service.ts';
import { isTrue, onlyKnown, required, tagMap } from './properties.ts';
import { readRunTaskInput } from './run-task-input.ts';
import type { TaskDefinition } from './task-definition.ts';

const CREATE = [
  'availabilityZoneRebalancing',
  'capacityProviderStrategy',
  'clientToken',
  'cluster',
  'deploymentConfiguration',
  'deploymentController',
  'desiredCount',
  'enableECSManagedTags',
  'enableExecuteCommand',
  'launchType',
  'networkConfiguration',
  'platformVersion',
  'propagateTags',
  'schedulingStrategy',
  'serviceName',
  'tags',
  'taskDefinition',
];
const UPDATE = [
  'availabilityZoneRebalancing',
  'capacityProviderStrategy',
  'cluster',
  'deploymentConfiguration',
  'desiredCount',
  'enableECSManagedTags',
  'enableExecuteCommand',
  'forceNewDeployment',
  'networkConfiguration',
  'platformVersion',
  'propagateTags',
  'service',
  'taskDefinition',
];
const DEPLOYMENT = ['deploymentCircuitBreaker', 'maximumPercent', 'minimumHealthyPercent', 'strategy'];

const invalid = (message: string): AwsError => new AwsError('InvalidParameterException', message);

function refuseOthers(operation: string, input: object, known: readonly string[]): void {
  const unknown = Object.keys(input).find((name) => !known.includes(name) && !isEmpty((input as any)[name]));
  if (unknown) throw invalid(`${operation}: the local cloud does not support ${unknown}`);
}

const isEmpty = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.length === 0);

/** CreateService's parameters. @throws AwsError InvalidParameterException */
export function readCreateService(input: any, definition: TaskDefinition): ServiceSettings {
  refuseOthers('CreateService', input, CREATE);
  if ((input.schedulingStrategy ?? 'REPLICA') !== 'REPLICA')
    throw invalid('Services here are of the strategy REPLICA.');
  if ((input.deploymentController?.type ?? 'ECS') !== 'ECS') throw invalid('Deployments here are ECS’s own.');
  const { desiredCount = 1 } = input;
  return settingsOf(input, definition, desiredCount);
}

/** UpdateService's parameters on top of what a service has. @throws AwsError InvalidParameterException */
export function readUpdateService(
  input: any,
  before: { readonly settings: ServiceSettings; readonly input: any },
  definition: TaskDefinition,
): { settings: ServiceSettings; input: any; force: boolean } {
  refuseOthers('UpdateService', input, UPDATE);
  const { service: _, forceNewDeployment, ...changes } = input;
  const merged = { ...before.input, ...changes };
  const settings = settingsOf(merged, definition, merged.desiredCount ?? before.settings.desiredCount);
  return { settings, input: merged, force: forceNewDeployment === true };
}

function settingsOf(input: any, definition: TaskDefinition, desiredCount: number): ServiceSettings {
  if (!Number.isInteger(desiredCount) || desiredCount < 0) throw invalid('desiredCount must be 0 or more.');
  const configuration = input.deploymentConfiguration ?? {};
  refuseOthers('deploymentConfiguration', configuration, DEPLOYMENT);
  if ((configuration.strategy ?? 'ROLLING') !== 'ROLLING') throw invalid('Deployments here are rolling ones.');
  const { minimumHealthyPercent = 100, maximumPercent = 200 } = configuration;
  if (maximumPercent <= 100 && minimumHealthyPercent >= 100)
    throw invalid('maximumPercent and minimumHealthyPercent leave a deployment no room.');
  if (configuration.deploymentCircuitBreaker?.enable)
    throw invalid('The local cloud has no deployment circuit breaker.');
  const { launchType, capacityProviderStrategy, networkConfiguration, platformVersion, enableExecuteCommand } = input;
  const run = readRunTaskInput(
    {
      launchType,
      capacityProviderStrategy,
      networkConfiguration,
      platformVersion,
      enableExecuteCommand,
      group: `service:${input.serviceName}`,
    },
    definition,
  );
  return { definition, desiredCount, run, maximumPercent, minimumHealthyPercent };
}

const PROPERTIES = [
  'AvailabilityZoneRebalancing',
  'CapacityProviderStrategy',
  'Cluster',
  'DeploymentConfiguration',
  'DeploymentController',
  'DesiredCount',
  'EnableECSManagedTags',
  'EnableExecuteCommand',
  'LaunchType',
  'NetworkConfiguration',
  'PlatformVersion',
  'PropagateTags',
  'SchedulingStrategy',
  'ServiceName',
  'Tags',
  'TaskDefinition',
];

/** AWS::ECS::Service as CreateService's input. */
export function serviceInput(properties: any, context: ResourceContext): any {
  const type = 'AWS::ECS::Service';
  const { LoadBalancers, ServiceRegistries, HealthCheckGracePeriodSeconds: _, ...others } = properties;
  for (const list of [LoadBalancers, ServiceRegistries]) {
    if (list?.length > 0)
      throw new Error(`${type} ${context.stack}/${context.logicalId}: there is nothing here that balances load`);
  }
  onlyKnown(type, context, others, PROPERTIES);
  const strategy = properties.CapacityProviderStrategy?.map(({ CapacityProvider, Weight, Base }: any) => ({
    capacityProvider: CapacityProvider,
    weight: Weight,
    base: Base,
  }));
  const network = properties.NetworkConfiguration?.AwsvpcConfiguration;
  const deployment = properties.DeploymentConfiguration;
  const breaker = deployment?.DeploymentCircuitBreaker;
  const number = (value: unknown) => (value === undefined ? undefined : Number(value));
  return {
    cluster: properties.Cluster,
    serviceName: properties.ServiceName ?? context.generatedName,
    taskDefinition: required(type, context, properties, 'TaskDefinition'),
    desiredCount: number(properties.DesiredCount) ?? 1,
    launchType: strategy ? undefined : properties.LaunchType,
    capacityProviderStrategy: strategy,
    platformVersion: properties.PlatformVersion,
    schedulingStrategy: properties.SchedulingStrategy,
    enableExecuteCommand: isTrue(properties.EnableExecuteCommand),
    deploymentController: properties.DeploymentController && { type: properties.DeploymentController.Type },
    networkConfiguration: network && {
      awsvpcConfiguration: {
        subnets: network.Subnets,
        securityGroups: network.SecurityGroups,
        assignPublicIp: network.AssignPublicIp,
      },
    },
    deploymentConfiguration: deployment && {
      maximumPercent: number(deployment.MaximumPercent),
      minimumHealthyPercent: number(deployment.MinimumHealthyPercent),
      deploymentCircuitBreaker: breaker && { enable: isTrue(breaker.Enable) },
    },
    tags: Object.entries(tagMap(properties.Tags)).map(([key, value]) => ({ key, value })),
  };
}
