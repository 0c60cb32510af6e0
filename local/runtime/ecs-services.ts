import {
  AwsError,
  type CallContext,
  type MadeResource,
  type Operation,
  type ResourceContext,
  type World,
} from '../facade.ts';
import { type Authorisation, page } from './api.ts';
import { createService, type Deployment, type Service } from './ecs-service.ts';
import { readCreateService, readUpdateService, serviceInput } from './ecs-service-input.ts';
import { passedRoles } from './execution-role.ts';
import type { RunTaskInput } from './run-task-input.ts';
import type { Task } from './task.ts';
import type { TaskDefinition } from './task-definition.ts';

export interface EcsServices {
  readonly operations: Readonly<Record<string, Operation>>;
  make(properties: any, context: ResourceContext): MadeResource;
  onTask(task: Task): void;
  activeIn(clusterArn: string): number;
  close(): void;
}

/** What services need of the facade that they belong to. */
export interface ServiceHost {
  readonly authorize: (context: CallContext, call: Authorisation) => Promise<void>;
  clusterOf(name: string | undefined, region: string): { readonly arn: string; readonly name: string };
  definitionOf(name: string, region: string): TaskDefinition | undefined;
  start(given: { region: string; clusterName: string; definition: TaskDefinition; input: RunTaskInput }): Task;
}

interface Entry {
  readonly service: Service;
  /** CreateService's input, with what UpdateService has changed. */
  input: any;
}

export function createEcsServices(world: World, host: ServiceHost): EcsServices {
  const entries = new Map<string, Entry>();
  const stopWatching = world.outages.onChange(() => {
    for (const { service } of entries.values()) service.reconcile();
  });

  const arnOf = (cluster: { arn: string }, name: string): string =>
    `${cluster.arn.replace(':cluster/', ':service/')}/${name.split('/').at(-1)}`;
  /** Where a call's service is, whether there or not. */
  const place = (input: any, region: string) => {
    const cluster = host.clusterOf(input.cluster, region);
    return { cluster, arn: arnOf(cluster, String(input.service ?? input.serviceName)) };
  };
  const existing = (arn: string): Entry => {
    const entry = entries.get(arn);
    if (!entry) throw new AwsError('ServiceNotFoundException', 'Service not found.');
    if (entry.service.status !== 'ACTIVE') throw new AwsError('ServiceNotActiveException', 'Service was not ACTIVE.');
    return entry;
  };
  const definitionOf = (name: unknown, region: string): TaskDefinition => {
    const definition = host.definitionOf(String(name), region);
    if (!definition) throw new AwsError('ClientException', 'TaskDefinition not found.');
    return definition;
  };

  const create = (input: any, region: string): Service => {
    const { cluster, arn } = place(input, region);
    const name = arn.split('/').at(-1) ?? '';
    if (!/^[\w-]{1,255}$/.test(name)) throw new AwsError('InvalidParameterException', 'serviceName is required.');
    const settings = readCreateService(input, definitionOf(input.taskDefinition, region));
    if (entries.has(arn) && entries.get(arn)?.service.status !== 'INACTIVE')
      throw new AwsError('InvalidParameterException', 'Creation of service was not idempotent.');
    const about = { arn, name, region, clusterName: cluster.name };
    const service = createService(world, about, settings, (definition, run) =>
      host.start({ region, clusterName: cluster.name, definition, input: run }),
    );
    entries.set(arn, { service, input });
    service.reconcile();
    return service;
  };

  const operations: Readonly<Record<string, Operation>> = {
    CreateService: async (input, context) => {
      const { cluster, arn } = place(input, context.region);
      const definition = host.definitionOf(String(input.taskDefinition), context.region);
      await host.authorize(context, {
        operation: 'CreateService',
        resource: arn,
        input,
        conditions: { 'ecs:cluster': cluster.arn },
        also: passedRoles([definition?.taskRoleArn, definition?.executionRoleArn]),
      });
      return { service: describe(create(input, context.region), input) };
    },

    UpdateService: async (input, context) => {
      const { cluster, arn } = place(input, context.region);
      const known = entries.get(arn);
      const name = input.taskDefinition ?? known?.service.settings.definition.taskDefinitionArn;
      const definition = host.definitionOf(String(name), context.region);
      await host.authorize(context, {
        operation: 'UpdateService',
        resource: arn,
        input,
        conditions: { 'ecs:cluster': cluster.arn },
        also: input.taskDefinition ? passedRoles([definition?.taskRoleArn, definition?.executionRoleArn]) : [],
      });
      const entry = existing(arn);
      const before = { settings: entry.service.settings, input: entry.input };
      const { settings, input: merged, force } = readUpdateService(input, before, definitionOf(name, context.region));
      entry.input = merged;
      entry.service.update(settings, force);
      return { service: describe(entry.service, merged) };
    },

    DeleteService: async (input, context) => {
      const { cluster, arn } = place(input, context.region);
      const conditions = { 'ecs:cluster': cluster.arn };
      await host.authorize(context, { operation: 'DeleteService', resource: arn, input, conditions });
      const { service, input: made } = existing(arn);
      if (service.settings.desiredCount > 0 && input.force !== true)
        throw new AwsError(
          'InvalidParameterException',
          'The service cannot be stopped while it is scaled above 0. Scale it down, or delete it with force.',
        );
      service.drain();
      return { service: describe(service, made) };
    },

    DescribeServices: async (input, context) => {
      const cluster = host.clusterOf(input.cluster, context.region);
      const names: string[] = input.services ?? [];
      if (names.length < 1 || names.length > 10)
        throw new AwsError('InvalidParameterException', 'services must have 1 to 10 members.');
      const arns = names.map((name) => arnOf(cluster, name));
      const conditions = { 'ecs:cluster': cluster.arn };
      const [resource = '*', ...others] = arns;
      const also = others.map((other) => ({ action: 'ecs:DescribeServices', resource: other, conditions }));
      await host.authorize(context, { operation: 'DescribeServices', resource, input, conditions, also });
      const found = arns.map((arn) => entries.get(arn));
      return {
        services: found
          .filter((entry) => entry !== undefined)
          .map(({ service, input: made }) => describe(service, made)),
        failures: arns.filter((_, index) => !found[index]).map((arn) => ({ arn, reason: 'MISSING' })),
      };
    },

    ListServices: async (input, context) => {
      const cluster = host.clusterOf(input.cluster, context.region);
      const conditions = { 'ecs:cluster': cluster.arn };
      await host.authorize(context, { operation: 'ListServices', resource: '*', input, conditions });
      const prefix = arnOf(cluster, '');
      const active = [...entries.values()].filter(
        ({ service }) => service.arn.startsWith(prefix) && service.status !== 'INACTIVE',
      );
      const { items, next } = page(active, input.nextToken, input.maxResults ?? 10);
      return { serviceArns: items.map(({ service }) => service.arn), nextToken: next };
    },
  };

  return {
    operations,
    make: (properties, context) => {
      const input = serviceInput(properties, context);
      try {
        const service = create(input, context.region);
        return { ref: service.arn, attributes: { Name: service.name, ServiceArn: service.arn } };
      } catch (error) {
        throw new Error(`AWS::ECS::Service ${context.stack}/${context.logicalId}: ${(error as Error).message}`);
      }
    },
    onTask: (task) => {
      for (const { service } of entries.values()) service.onTask(task);
    },
    activeIn: (clusterArn) =>
      [...entries.values()].filter(
        ({ service: { arn, status } }) => status === 'ACTIVE' && arn.startsWith(arnOf({ arn: clusterArn }, '')),
      ).length,
    close: () => {
      stopWatching();
      for (const { service } of entries.values()) service.close();
    },
  };
}

/** As DescribeServices shows it. */
function describe(service: Service, input: any): Record<string, unknown> {
  const { settings, deployments, arn, region, clusterName } = service;
  const all = deployments.flatMap((deployment) => service.tasksOf(deployment));
  const shared = {
    launchType: settings.run.launchType,
    platformVersion: settings.run.platformVersion,
    networkConfiguration: input.networkConfiguration,
  };
  const describeDeployment = (deployment: Deployment, index: number) => ({
    id: deployment.id,
    status: index === 0 ? 'PRIMARY' : 'ACTIVE',
    taskDefinition: deployment.definition.taskDefinitionArn,
    desiredCount: index === 0 ? settings.desiredCount : 0,
    ...countsOf(service.tasksOf(deployment)),
    failedTasks: deployment.failedTasks,
    createdAt: deployment.createdAt,
    updatedAt: deployment.updatedAt,
    rolloutState: deployment.completed ? 'COMPLETED' : 'IN_PROGRESS',
    rolloutStateReason: `ECS deployment ${deployment.id} ${deployment.completed ? 'completed' : 'in progress'}.`,
    ...shared,
  });
  return {
    serviceArn: arn,
    serviceName: service.name,
    clusterArn: `arn:aws:ecs:${region}:${arn.split(':')[4]}:cluster/${clusterName}`,
    status: service.status,
    desiredCount: settings.desiredCount,
    ...countsOf(all),
    taskDefinition: settings.definition.taskDefinitionArn,
    deploymentConfiguration: {
      maximumPercent: settings.maximumPercent,
      minimumHealthyPercent: settings.minimumHealthyPercent,
    },
    deploymentController: { type: 'ECS' },
    deployments: deployments.map(describeDeployment),
    events: service.events,
    createdAt: service.createdAt,
    schedulingStrategy: 'REPLICA',
    enableExecuteCommand: settings.run.enableExecuteCommand,
    loadBalancers: [],
    serviceRegistries: [],
    ...shared,
  };
}

const countsOf = (tasks: readonly Task[]) => ({
  runningCount: tasks.filter(({ lastStatus }) => lastStatus === 'RUNNING').length,
  pendingCount: tasks.filter(({ lastStatus }) => ['PROVISIONING', 'PENDING'].includes(lastStatus)).length,
});
