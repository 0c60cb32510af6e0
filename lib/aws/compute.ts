import { DescribeInstancesCommand, EC2Client, StartInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import {
  DescribeServicesCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  StopTaskCommand,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import type { Compute } from '../core/failover-settings.ts';

/** What a server runs on: stopping it, starting it, and reading back which of the two came about. */

// A region that is down answers nothing: other fences are waiting.
const patience = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
};

type Service = { readonly cluster: string; readonly service: string };

/** Asks for the stop of every task of the service, or of the instance; a task that hangs is killed by ECS in the end. */
export async function stopCompute(region: string, compute: Compute): Promise<void> {
  if (compute.kind === 'ec2') {
    const ec2 = new EC2Client({ region, ...patience });
    await ec2.send(new StopInstancesCommand({ InstanceIds: [compute.instanceId], Force: true }));
    return;
  }
  const ecs = new ECSClient({ region, ...patience });
  const { cluster, service } = compute;
  await ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount: 0 }));
  const tasks = await tasksOf(ecs, compute, 'RUNNING');
  await Promise.all(
    tasks.map((task) => ecs.send(new StopTaskCommand({ cluster, task, reason: 'pgdr: fenced by a failover' }))),
  );
}

export async function startCompute(region: string, compute: Compute): Promise<void> {
  if (compute.kind === 'ec2') {
    const ec2 = new EC2Client({ region, ...patience });
    await ec2.send(new StartInstancesCommand({ InstanceIds: [compute.instanceId] }));
    return;
  }
  const ecs = new ECSClient({ region, ...patience });
  const { cluster, service } = compute;
  await ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount: 1 }));
}

/** Whether nothing of it runs and nothing of it will be started. */
export async function describeStop(region: string, compute: Compute): Promise<{ stopped: boolean; detail: string }> {
  return compute.kind === 'ec2' ? describeInstance(region, compute.instanceId) : describeService(region, compute);
}

async function describeInstance(region: string, instanceId: string) {
  const ec2 = new EC2Client({ region, ...patience });
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
  const state = Reservations?.[0]?.Instances?.[0]?.State?.Name ?? 'unknown';
  return { stopped: state === 'stopped' || state === 'terminated', detail: `instance ${instanceId} is ${state}` };
}

async function describeService(region: string, compute: Service) {
  const ecs = new ECSClient({ region, ...patience });
  const { cluster, service } = compute;
  const { services } = await ecs.send(new DescribeServicesCommand({ cluster, services: [service] }));
  const found = services?.[0];
  if (!found) return { stopped: false, detail: `there is no service ${service} in ${cluster}` };
  if (found.desiredCount !== 0)
    return { stopped: false, detail: `service ${service} wants ${found.desiredCount} tasks` };
  const arns = [...(await tasksOf(ecs, compute, 'RUNNING')), ...(await tasksOf(ecs, compute, 'STOPPED'))];
  const tasks =
    arns.length === 0 ? [] : ((await ecs.send(new DescribeTasksCommand({ cluster, tasks: arns }))).tasks ?? []);
  // A task that is being stopped still runs: it may acknowledge to its last breath.
  const alive = tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
  const running = (found.runningCount ?? 0) + (found.pendingCount ?? 0);
  if (alive.length > 0 || running > 0)
    return { stopped: false, detail: `${Math.max(alive.length, running)} tasks of service ${service} are not STOPPED` };
  return { stopped: true, detail: `service ${service} wants no task, and its ${tasks.length} known tasks are STOPPED` };
}

async function tasksOf(ecs: ECSClient, { cluster, service }: Service, desiredStatus: 'RUNNING' | 'STOPPED') {
  const { taskArns } = await ecs.send(new ListTasksCommand({ cluster, serviceName: service, desiredStatus }));
  return taskArns ?? [];
}

export async function restartService(region: string, { cluster, service }: Service): Promise<void> {
  const ecs = new ECSClient({ region, ...patience });
  await ecs.send(new UpdateServiceCommand({ cluster, service, forceNewDeployment: true }));
}

/** Sets how many tasks a service of this region keeps up, unless it does already. */
export async function setServiceCount({ cluster, service }: Service, desiredCount: number): Promise<void> {
  const ecs = new ECSClient(patience);
  const { services } = await ecs.send(new DescribeServicesCommand({ cluster, services: [service] }));
  if (services?.[0]?.desiredCount === desiredCount) return;
  await ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount }));
}
