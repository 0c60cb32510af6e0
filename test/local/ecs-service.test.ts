import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateServiceCommand,
  type CreateServiceCommandInput,
  DeleteServiceCommand,
  DescribeClustersCommand,
  DescribeServicesCommand,
  ECSClient,
  ListServicesCommand,
  StopTaskCommand,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Facade, ResourceContext } from '../../local/facade.ts';
import { createEcs, type EcsFacade, type TaskView } from '../../local/facades/ecs.ts';
import { createSecretsManager } from '../../local/facades/secrets-manager.ts';
import { type Host, startHost } from '../../local/host.ts';

const region = 'eu-central-1';
const image = 'registry/image:tag';
const root = mkdtempSync(join(tmpdir(), 'ecs-service-test-'));
const context = mkdtempSync(join(tmpdir(), 'ecs-service-image-'));
const about: ResourceContext = { region, stack: 'Stack', logicalId: 'Made', generatedName: 'made-up', assembly: root };
const WAIT = { timeout: 20_000, interval: 50 };
let host: Host;
let ecs: EcsFacade;
let secrets: Facade;
let client: ECSClient;
let cluster = 0;

const STAYS = 'setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0))';

beforeAll(async () => {
  // Twenty times as fast: what ends within three seconds has failed.
  host = await startHost({ directory: root, regions: [region], clock: { rate: 20 } });
  secrets = host.add(createSecretsManager(host.world));
  ecs = host.add(
    createEcs(host.world, {
      imageFor: (uri) => (uri === image ? { context, buildArgs: {} } : undefined),
      containerCredentialsPath: host.identity.containerCredentialsPath,
    }),
  );
  client = new ECSClient({ ...host.client(region), maxAttempts: 1 });
  chmodSync(context, 0o755);
});

afterAll(async () => {
  client.destroy();
  await host.close();
  for (const folder of [root, context]) rmSync(folder, { recursive: true, force: true });
});

const make = async (type: string, properties: object) => {
  const made = await ecs.resources?.[`AWS::ECS::${type}`]?.(properties, about);
  return String(made?.ref);
};
const define = (code: string, family = 'worker') =>
  make('TaskDefinition', {
    Family: family,
    Cpu: '256',
    Memory: '512',
    NetworkMode: 'awsvpc',
    RequiresCompatibilities: ['FARGATE'],
    ContainerDefinitions: [{ Name: 'main', Image: image, Command: ['node', '-e', code] }],
  });
/** A cluster of its own, so that its tasks can be told apart. */
const newCluster = () => make('Cluster', { ClusterName: `cluster-${++cluster}` });
const create = async (taskDefinition: string, rest: Partial<CreateServiceCommandInput> = {}) => {
  const name = await newCluster();
  await client.send(
    new CreateServiceCommand({
      cluster: name,
      serviceName: 'receiver',
      taskDefinition,
      desiredCount: 1,
      launchType: 'FARGATE',
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'] } },
      ...rest,
    }),
  );
  return name;
};
const describeService = async (name: string) =>
  (await client.send(new DescribeServicesCommand({ cluster: name, services: ['receiver'] }))).services?.[0];
const tasks = (name: string): TaskView[] => ecs.tasks().filter(({ taskArn }) => taskArn.includes(`/${name}/`));
const running = (name: string): TaskView[] => tasks(name).filter(({ lastStatus }) => lastStatus === 'RUNNING');
const steady = async (name: string, count: number) => {
  await expect
    .poll(async () => {
      const service = await describeService(name);
      return [service?.runningCount, service?.deployments?.length, service?.deployments?.[0]?.rolloutState];
    }, WAIT)
    .toEqual([count, 1, 'COMPLETED']);
};
const update = (name: string, rest: object) =>
  client.send(new UpdateServiceCommand({ cluster: name, service: 'receiver', ...rest }));

describe('a service', () => {
  it('keeps as many tasks up as it is told to, whoever ends them', async () => {
    const name = await create(await define(STAYS));
    await steady(name, 1);
    const [first] = running(name);
    process.kill(Number(first?.pid), 'SIGKILL');
    await expect.poll(() => running(name).some(({ taskArn }) => taskArn !== first?.taskArn), WAIT).toBe(true);
    const [second] = running(name);
    await client.send(new StopTaskCommand({ cluster: name, task: String(second?.taskArn) }));
    await expect.poll(() => running(name).map(({ taskArn }) => taskArn !== second?.taskArn), WAIT).toEqual([true]);
    await update(name, { desiredCount: 2 });
    await steady(name, 2);
    await update(name, { desiredCount: 0 });
    await expect.poll(() => running(name).length, WAIT).toBe(0);
    expect(tasks(name)).toHaveLength(4);
    const service = await describeService(name);
    expect(service?.events?.some(({ message }) => message?.includes('steady state'))).toBe(true);
    expect(tasks(name)[0]?.startedBy).toMatch(/^ecs-svc\//);
  });

  it('starts tasks that keep failing ever more slowly, and those that last again at once', async () => {
    const name = await create(await define('process.exit(1)', 'failing'));
    await expect.poll(() => tasks(name).length, WAIT).toBeGreaterThanOrEqual(5);
    const starts = (await describeService(name))?.events
      ?.filter(({ message }) => message?.includes('started'))
      .map(({ createdAt }) => Number(createdAt))
      .reverse() as number[];
    const pauses = starts.slice(1).map((time, index) => time - (starts[index] ?? 0));
    expect(pauses[3]).toBeGreaterThanOrEqual(4000);
    expect(pauses[2]).toBeGreaterThanOrEqual(2000);
    const service = await describeService(name);
    expect(service?.events?.some(({ message }) => message?.includes('unable to consistently start'))).toBe(true);
    await update(name, { taskDefinition: await define(STAYS, 'failing') });
    await steady(name, 1);
  });

  it('replaces its tasks for a new definition only once the new ones run', async () => {
    const name = await create(await define(STAYS, 'rolling'));
    await steady(name, 1);
    const [old] = running(name);
    let fewest = 1;
    const remove = ecs.onTask(() => {
      fewest = Math.min(fewest, running(name).length);
    });
    await update(name, { taskDefinition: await define(STAYS, 'rolling') });
    await steady(name, 1);
    remove();
    expect(running(name).map(({ taskArn }) => taskArn)).not.toContain(old?.taskArn);
    expect((await describeService(name))?.taskDefinition).toMatch(/rolling:2$/);
    expect(fewest).toBe(1);
    const [second] = running(name);
    await update(name, { forceNewDeployment: true });
    await expect.poll(() => running(name).some(({ taskArn }) => taskArn !== second?.taskArn), WAIT).toBe(true);
    await steady(name, 1);
  });

  it('stops the old before it starts the new where only one may run', async () => {
    const name = await create(await define(STAYS, 'single'), {
      deploymentConfiguration: { maximumPercent: 100, minimumHealthyPercent: 0 },
    });
    await steady(name, 1);
    let most = 0;
    const remove = ecs.onTask(() => {
      most = Math.max(most, running(name).length);
    });
    const [old] = running(name);
    await update(name, { forceNewDeployment: true });
    await expect.poll(() => running(name).map(({ taskArn }) => taskArn !== old?.taskArn), WAIT).toEqual([true]);
    remove();
    expect(most).toBe(1);
  });

  it('gives each task its role and its secrets, also the one in place of a killed one', async () => {
    const secret = await secrets.resources?.['AWS::SecretsManager::Secret']?.(
      { Name: 'token', SecretString: 'hush' },
      { ...about, generatedName: 'token' },
    );
    const role = (name: string) => `arn:aws:iam::111122223333:role/${name}`;
    const code = `fetch(process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI, {
        headers: { authorization: process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN },
      }).then((answer) => answer.json()).then(({ RoleArn }) => console.log(RoleArn, process.env.TOKEN)); ${STAYS}`;
    const definition = await make('TaskDefinition', {
      Family: 'secretive',
      Cpu: '256',
      Memory: '512',
      NetworkMode: 'awsvpc',
      RequiresCompatibilities: ['FARGATE'],
      TaskRoleArn: role('task'),
      ExecutionRoleArn: role('execution'),
      ContainerDefinitions: [
        {
          Name: 'main',
          Image: image,
          Command: ['node', '-e', code],
          Secrets: [{ Name: 'TOKEN', ValueFrom: secret?.ref }],
        },
      ],
    });
    const name = await create(definition);
    await expect.poll(() => running(name)[0]?.output, WAIT).toEqual([`${role('task')} hush`]);
    process.kill(Number(running(name)[0]?.pid), 'SIGKILL');
    await expect.poll(() => tasks(name)[1]?.output, WAIT).toEqual([`${role('task')} hush`]);
  });

  it('goes down with its region and comes back with it', async () => {
    const name = await create(await define(STAYS, 'regional'));
    await steady(name, 1);
    host.world.outages.set(region, 'down');
    await expect.poll(() => running(name).length, WAIT).toBe(0);
    await host.world.clock.advance(120_000);
    expect(tasks(name)).toHaveLength(1);
    host.world.outages.set(region, 'up');
    await expect.poll(() => running(name).length, WAIT).toBe(1);
  });

  it('is listed, and deleted when it is scaled down or by force', async () => {
    const name = await create(await define(STAYS, 'deleted'));
    await steady(name, 1);
    const listed = async () => (await client.send(new ListServicesCommand({ cluster: name }))).serviceArns;
    expect(await listed()).toEqual([`arn:aws:ecs:${region}:111122223333:service/${name}/receiver`]);
    const { clusters } = await client.send(new DescribeClustersCommand({ clusters: [name] }));
    expect(clusters?.[0]?.activeServicesCount).toBe(1);
    const remove = (force?: boolean) =>
      client.send(new DeleteServiceCommand({ cluster: name, service: 'receiver', force }));
    await expect(remove()).rejects.toThrow(/scaled above 0/);
    await remove(true);
    await expect.poll(async () => (await describeService(name))?.status, WAIT).toBe('INACTIVE');
    expect([running(name), await listed()]).toEqual([[], []]);
    await expect(update(name, { desiredCount: 1 })).rejects.toMatchObject({ name: 'ServiceNotActiveException' });
  });

  it('is made by a template, and refused where there is nothing like it here', async () => {
    const Cluster = await newCluster();
    const service = {
      Cluster,
      ServiceName: 'receiver',
      TaskDefinition: await define(STAYS, 'template'),
      DesiredCount: 1,
      LaunchType: 'FARGATE',
      DeploymentConfiguration: { MaximumPercent: 200, MinimumHealthyPercent: 50 },
      NetworkConfiguration: { AwsvpcConfiguration: { Subnets: ['subnet-1'], AssignPublicIp: 'DISABLED' } },
      EnableECSManagedTags: false,
    };
    expect(await make('Service', service)).toBe(`arn:aws:ecs:${region}:111122223333:service/${Cluster}/receiver`);
    await steady(Cluster, 1);
    const other = { ...service, ServiceName: 'other' };
    await expect(make('Service', { ...other, LoadBalancers: [{}] })).rejects.toThrow(/balances load/);
    await expect(make('Service', { ...other, SchedulingStrategy: 'DAEMON' })).rejects.toThrow(/REPLICA/);
    await expect(make('Service', { ...other, TaskDefinition: 'none' })).rejects.toThrow(/TaskDefinition not found/);
    await expect(make('Service', { ...other, VolumeConfigurations: [] })).rejects.toThrow(/VolumeConfigurations/);
    await expect(make('Service', service)).rejects.toThrow(/not idempotent/);
  });
});
