import {
  AwsError,
  type CallContext,
  type ConditionValues,
  type Facade,
  type Operation,
  type Permission,
  type ResourceMaker,
  type World,
} from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { createEcsServices } from '../runtime/ecs-services.ts';
import { passedRoles } from '../runtime/execution-role.ts';
import { onlyKnown, required, tagMap } from '../runtime/properties.ts';
import { readRunTaskInput } from '../runtime/run-task-input.ts';
import { startTask, type Task, type TaskOptions, type TaskView } from '../runtime/task.ts';
import { findTaskDefinition, readTaskDefinition, type TaskDefinition } from '../runtime/task-definition.ts';

export type { ContainerImage } from '../runtime/container.ts';
export type { TaskOptions, TaskView } from '../runtime/task.ts';

export interface EcsFacade extends Facade {
  /** All tasks that are remembered, the oldest first. */
  tasks(): readonly TaskView[];
  /** Called whenever a task's lastStatus changes; returns the remover. */
  onTask(listener: (task: TaskView) => void): () => void;
}

interface Cluster {
  readonly arn: string;
  readonly name: string;
  readonly region: string;
  readonly tags: Record<string, string>;
  capacityProviders: readonly string[];
}

/** ECS forgets stopped tasks after an hour; here the latest of them stay. */
const KEPT_TASKS = 1000;

/** ECS on Fargate: clusters, task definitions, tasks that are child processes, and services that keep them up. */
export function createEcs(world: World, options: TaskOptions): EcsFacade {
  const clusters: Cluster[] = [];
  const definitions: TaskDefinition[] = [];
  const tasks = new Map<string, Task>();
  const byToken = new Map<string, { request: string; arns: string[] }>();
  const listeners = new Set<(task: TaskView) => void>();
  const authorize = authorizer(world, 'ecs');

  const arnOfCluster = (name: string | undefined, region: string): string =>
    clusterArn(world, region, (name ?? 'default').split('/').at(-1) ?? '');
  const clusterOf = (name: string | undefined, region: string): Cluster => {
    const cluster = clusters.find(({ arn }) => arn === arnOfCluster(name, region));
    if (!cluster) throw new AwsError('ClusterNotFoundException', 'Cluster not found.');
    return cluster;
  };
  const inCluster = (input: { cluster?: string }, { region }: CallContext): ConditionValues => ({
    'ecs:cluster': arnOfCluster(input.cluster, region),
  });
  const taskOf = (cluster: Cluster, idOrArn: string): Task | undefined => {
    const task = tasks.get(idOrArn.split('/').at(-1) ?? '');
    return task?.clusterArn === cluster.arn ? task : undefined;
  };
  const forgetOldTasks = (): void => {
    for (const [id, task] of tasks) {
      if (tasks.size <= KEPT_TASKS) return;
      if (task.lastStatus === 'STOPPED') tasks.delete(id);
    }
  };
  const changed = (task: Task): void => {
    services.onTask(task);
    for (const listener of listeners) listener(task.view());
  };
  const remember = (task: Task): Task => {
    tasks.set(task.arn.split('/').at(-1) ?? '', task);
    return task;
  };
  const services = createEcsServices(world, {
    authorize,
    clusterOf,
    definitionOf: (name, region) => findTaskDefinition(definitions, region, name),
    start: (given) => {
      forgetOldTasks();
      return remember(startTask(world, options, given, changed));
    },
  });
  // A region that is down has no machines; what runs in one that is cut off goes on.
  const stopWatching = world.outages.onChange((place, state) => {
    if (state !== 'down') return;
    for (const task of tasks.values()) {
      if (task.arn.split(':')[3] === place && task.lastStatus !== 'STOPPED')
        task.kill(`The region ${place} is down`).catch(() => {});
    }
  });

  const operations: Readonly<Record<string, Operation>> = {
    ...services.operations,

    RunTask: async (input, context) => {
      const { region } = context;
      const name = String(input.taskDefinition);
      const definition = findTaskDefinition(definitions, region, name);
      const resource =
        definition?.taskDefinitionArn ??
        `arn:aws:ecs:${region}:${world.account}:task-definition/${name.split('/').at(-1)}`;
      const { taskRoleArn, executionRoleArn } = input.overrides ?? {};
      const tags = input.tags?.length > 0 || input.propagateTags || input.enableECSManagedTags;
      const also: Permission[] = [
        ...passedRoles([taskRoleArn ?? definition?.taskRoleArn, executionRoleArn ?? definition?.executionRoleArn]),
        ...(tags ? [taggingAtStart(arnOfCluster(input.cluster, region))] : []),
      ];
      const conditions = inCluster(input, context);
      await authorize(context, { operation: 'RunTask', resource, input, conditions, also });
      if (!definition) throw new AwsError('ClientException', 'TaskDefinition not found.');
      const cluster = clusterOf(input.cluster, region);
      const checked = readRunTaskInput(input, definition);
      const request = JSON.stringify(input);
      const token = checked.clientToken && `${cluster.arn} ${checked.clientToken}`;
      const earlier = token ? byToken.get(token) : undefined;
      if (earlier && earlier.request !== request) {
        throw new AwsError('ConflictException', 'The clientToken was used by a RunTask with other parameters.');
      }
      if (earlier) {
        const again = earlier.arns.map((arn) => taskOf(cluster, arn)).filter((task) => task !== undefined);
        return { tasks: again.map((task) => task.describe()), failures: [] };
      }
      forgetOldTasks();
      const started = Array.from({ length: checked.count }, () =>
        startTask(world, options, { region, clusterName: cluster.name, definition, input: checked }, changed),
      );
      started.forEach(remember);
      if (token) byToken.set(token, { request, arns: started.map(({ arn }) => arn) });
      return { tasks: started.map((task) => task.describe()), failures: [] };
    },

    StopTask: async (input, context) => {
      const prefix = arnOfCluster(input.cluster, context.region).replace(':cluster/', ':task/');
      const resource = `${prefix}/${String(input.task).split('/').at(-1)}`;
      await authorize(context, { operation: 'StopTask', resource, input, conditions: inCluster(input, context) });
      const task = taskOf(clusterOf(input.cluster, context.region), String(input.task));
      if (!task) throw new AwsError('InvalidParameterException', 'The referenced task was not found.');
      task.stop(input.reason ?? 'Task stopped by user');
      return { task: task.describe() };
    },

    DescribeTasks: async (input, context) => {
      const names: string[] = input.tasks ?? [];
      const prefix = arnOfCluster(input.cluster, context.region).replace(':cluster/', ':task/');
      const arns = names.map((name) => `${prefix}/${name.split('/').at(-1)}`);
      const conditions = inCluster(input, context);
      const [resource = `${prefix}/*`, ...others] = arns;
      const also = others.map((other) => ({ action: 'ecs:DescribeTasks', resource: other, conditions }));
      await authorize(context, { operation: 'DescribeTasks', resource, input, conditions, also });
      const cluster = clusterOf(input.cluster, context.region);
      if (names.length === 0 || names.length > 100) throw new AwsError('InvalidParameterException', 'Tasks: 1 to 100.');
      const found = arns.map((arn) => taskOf(cluster, arn));
      return {
        tasks: found.filter((task) => task !== undefined).map((task) => task.describe()),
        failures: arns.filter((_, index) => !found[index]).map((arn) => ({ arn, reason: 'MISSING' })),
      };
    },

    ListTasks: async (input, context) => {
      // It can be confined to container instances, which Fargate has none of, and to a cluster by a condition.
      await authorize(context, { operation: 'ListTasks', resource: '*', input, conditions: inCluster(input, context) });
      const cluster = clusterOf(input.cluster, context.region);
      const wanted = input.desiredStatus ?? 'RUNNING';
      const found = [...tasks.values()].filter(
        (task) =>
          task.clusterArn === cluster.arn &&
          task.desiredStatus === wanted &&
          (!input.family || task.definition.family === input.family) &&
          (!input.startedBy || task.input.startedBy === input.startedBy) &&
          (!input.serviceName || task.input.group === `service:${String(input.serviceName).split('/').at(-1)}`) &&
          (!input.launchType || task.input.launchType === input.launchType),
      );
      const { items, next } = page(found, input.nextToken, input.maxResults ?? 100);
      return { taskArns: items.map(({ arn }) => arn), nextToken: next };
    },

    DescribeTaskDefinition: async (input, context) => {
      // ECS has no resource-level permission for it.
      await authorize(context, { operation: 'DescribeTaskDefinition', resource: '*', input });
      const found = findTaskDefinition(definitions, context.region, String(input.taskDefinition));
      if (!found) throw new AwsError('ClientException', 'Unable to describe task definition.');
      const { tags, ...taskDefinition } = found;
      const withTags = input.include?.includes('TAGS');
      return {
        taskDefinition: { ...taskDefinition, compatibilities: ['EC2', 'FARGATE'] },
        ...(withTags && { tags: tagList(tags) }),
      };
    },

    ListTaskDefinitions: async (input, context) => {
      await authorize(context, { operation: 'ListTaskDefinitions', resource: '*', input });
      const own = definitions
        .filter((definition) => definition.taskDefinitionArn.split(':')[3] === context.region)
        .filter((definition) => !input.familyPrefix || definition.family === input.familyPrefix);
      const { items, next } = page(own, input.nextToken, input.maxResults ?? 100);
      return { taskDefinitionArns: items.map(({ taskDefinitionArn }) => taskDefinitionArn), nextToken: next };
    },

    ListClusters: async (input, context) => {
      await authorize(context, { operation: 'ListClusters', resource: '*', input });
      const own = clusters.filter(({ region }) => region === context.region);
      const { items, next } = page(own, input.nextToken, input.maxResults ?? 100);
      return { clusterArns: items.map(({ arn }) => arn), nextToken: next };
    },

    DescribeClusters: async (input, context) => {
      const names: string[] = input.clusters ?? ['default'];
      const arns = names.map((name) => clusterArn(world, context.region, name.split('/').at(-1) ?? ''));
      await authorize(context, {
        operation: 'DescribeClusters',
        resource: arns.length === 1 ? (arns[0] as string) : clusterArn(world, context.region, '*'),
        input,
      });
      const found = arns.map((arn) => clusters.find((cluster) => cluster.arn === arn));
      return {
        clusters: found
          .filter((cluster) => cluster !== undefined)
          .map((cluster) => describeCluster(cluster, [...tasks.values()], services.activeIn(cluster.arn))),
        failures: arns.filter((_, index) => !found[index]).map((arn) => ({ arn, reason: 'MISSING' })),
      };
    },
  };

  const resources: Readonly<Record<string, ResourceMaker>> = {
    'AWS::ECS::Cluster': (properties, context) => {
      const known = [
        'CapacityProviders',
        'ClusterName',
        'ClusterSettings',
        'Configuration',
        'DefaultCapacityProviderStrategy',
        'Tags',
      ];
      onlyKnown('AWS::ECS::Cluster', context, properties, known);
      const name = properties.ClusterName ?? context.generatedName;
      const arn = clusterArn(world, context.region, name);
      if (clusters.some((cluster) => cluster.arn === arn))
        throw new Error(`AWS::ECS::Cluster ${name} exists already in ${context.region}`);
      clusters.push({
        arn,
        name,
        region: context.region,
        tags: tagMap(properties.Tags),
        capacityProviders: properties.CapacityProviders ?? [],
      });
      return { ref: name, attributes: { Arn: arn } };
    },

    'AWS::ECS::ClusterCapacityProviderAssociations': (properties, context) => {
      const type = 'AWS::ECS::ClusterCapacityProviderAssociations';
      onlyKnown(type, context, properties, ['CapacityProviders', 'Cluster', 'DefaultCapacityProviderStrategy']);
      const cluster = clusterOf(required(type, context, properties, 'Cluster') as string, context.region);
      cluster.capacityProviders = properties.CapacityProviders ?? [];
      return { ref: cluster.name };
    },

    'AWS::ECS::Service': services.make,

    'AWS::ECS::TaskDefinition': (properties, context) => {
      const family = properties.Family ?? context.generatedName;
      const { region } = context;
      const prefix = `arn:aws:ecs:${region}:${world.account}:task-definition/${family}:`;
      const revision = definitions.filter(({ taskDefinitionArn }) => taskDefinitionArn.startsWith(prefix)).length + 1;
      const definition = readTaskDefinition(properties, context, { arn: prefix + revision, family, revision });
      definitions.push(definition);
      return { ref: definition.taskDefinitionArn, attributes: { TaskDefinitionArn: definition.taskDefinitionArn } };
    },
  };

  return {
    service: 'ecs',
    operations,
    resources,
    tasks: () => [...tasks.values()].map((task) => task.view()),
    onTask: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      stopWatching();
      services.close();
      const running = [...tasks.values()].filter((task) => task.lastStatus !== 'STOPPED');
      await Promise.all(running.map((task) => task.kill('The local cloud was closed')));
    },
  };
}

const clusterArn = (world: World, region: string, name: string): string =>
  `arn:aws:ecs:${region}:${world.account}:cluster/${name}`;

/** Tags that a task gets at its start, its task definition's too, are a permission of their own. */
const taggingAtStart = (cluster: string): Permission => ({
  action: 'ecs:TagResource',
  resource: `${cluster.replace(':cluster/', ':task/')}/*`,
  conditions: { 'ecs:CreateAction': 'RunTask' },
});

const tagList = (tags: Readonly<Record<string, string>>) =>
  Object.entries(tags).map(([key, value]) => ({ key, value }));

const describeCluster = (cluster: Cluster, tasks: readonly Task[], services: number) => {
  const own = tasks.filter((task) => task.clusterArn === cluster.arn);
  return {
    clusterArn: cluster.arn,
    clusterName: cluster.name,
    status: 'ACTIVE',
    registeredContainerInstancesCount: 0,
    runningTasksCount: own.filter((task) => task.lastStatus === 'RUNNING').length,
    pendingTasksCount: own.filter((task) => ['PROVISIONING', 'PENDING'].includes(task.lastStatus)).length,
    activeServicesCount: services,
    capacityProviders: cluster.capacityProviders,
    tags: tagList(cluster.tags),
  };
};
