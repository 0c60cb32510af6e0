import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
  waitUntilInstanceStopped,
} from '@aws-sdk/client-ec2';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { machine } from './asl-machines.ts';
import { account, allow, as, host, make, refusal, region, role, services } from './iam-host.ts';
import { task } from './states-cloud.ts';

let client: EC2Client;
const children = new Map<string, ChildProcess>();

/** A machine is one process here. */
async function boot(name: string): Promise<void> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  children.set(name, child);
  await once(child, 'spawn');
}
async function end(name: string, force: boolean): Promise<void> {
  const child = children.get(name);
  if (child?.exitCode === null && child.kill(force ? 'SIGKILL' : 'SIGTERM')) await once(child, 'exit');
}
async function add(Name: string): Promise<string> {
  await boot(Name);
  const [start, stop] = [() => boot(Name), (force: boolean) => end(Name, force)];
  return services.ec2.addInstance({ region, tags: { Name }, privateIpAddress: '127.0.0.9', start, stop });
}
const state = async (id: string) => {
  const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0]?.State;
};
const settles = (id: string, name: string) => expect.poll(() => services.ec2.state(id)).toBe(name);

beforeAll(() => {
  client = new EC2Client({ ...host.client(region), maxAttempts: 1 });
});

afterAll(async () => {
  client.destroy();
  for (const name of children.keys()) await end(name, true);
});

it('stops the machine behind an instance, says so once nothing runs, and starts it again', async () => {
  const id = await add('primary');
  expect(await state(id)).toEqual({ Code: 16, Name: 'running' });
  const before = children.get('primary');
  const { StoppingInstances } = await client.send(new StopInstancesCommand({ InstanceIds: [id] }));
  expect(StoppingInstances).toEqual([
    { InstanceId: id, CurrentState: { Code: 64, Name: 'stopping' }, PreviousState: { Code: 16, Name: 'running' } },
  ]);
  await waitUntilInstanceStopped({ client, maxWaitTime: 10, minDelay: 1, maxDelay: 1 }, { InstanceIds: [id] });
  expect(before?.signalCode).toBe('SIGTERM');
  expect((await client.send(new StopInstancesCommand({ InstanceIds: [id] }))).StoppingInstances).toMatchObject([
    { CurrentState: { Name: 'stopped' } },
  ]);
  const { StartingInstances } = await client.send(new StartInstancesCommand({ InstanceIds: [id] }));
  expect(StartingInstances?.[0]?.CurrentState?.Name).toBe('pending');
  await settles(id, 'running');
  expect(children.get('primary')).not.toBe(before);
});

it('stays in between when the machine does not go down, until it is forced', async () => {
  const forced: boolean[] = [];
  const id = services.ec2.addInstance({
    region,
    start: async () => {},
    stop: async (force) => {
      forced.push(force);
      if (!force) throw new Error('it hangs');
    },
  });
  await client.send(new StopInstancesCommand({ InstanceIds: [id] }));
  await client.send(new StopInstancesCommand({ InstanceIds: [id] }));
  expect(await state(id)).toEqual({ Code: 64, Name: 'stopping' });
  await expect(client.send(new StartInstancesCommand({ InstanceIds: [id] }))).rejects.toMatchObject({
    name: 'IncorrectInstanceState',
  });
  await client.send(new StopInstancesCommand({ InstanceIds: [id], Force: true }));
  await settles(id, 'stopped');
  expect(forced).toEqual([false, true]);
});

it('finds instances by id, tag and state, and their status', async () => {
  const id = await add('found');
  const find = async (Name: string, ...Values: string[]) => {
    const { Reservations } = await client.send(new DescribeInstancesCommand({ Filters: [{ Name, Values }] }));
    return Reservations?.flatMap(({ Instances }) => Instances ?? []).map(({ InstanceId }) => InstanceId);
  };
  expect(await find('tag:Name', 'found', 'other')).toEqual([id]);
  expect(await find('instance-state-name', 'running')).toContain(id);
  await expect(find('colour', 'red')).rejects.toThrow(/filter 'colour'/);
  const status = await client.send(new DescribeInstanceStatusCommand({ InstanceIds: [id] }));
  expect(status.InstanceStatuses).toMatchObject([
    { InstanceId: id, InstanceState: { Name: 'running' }, InstanceStatus: { Status: 'ok' } },
  ]);
  const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  expect(Reservations?.[0]?.Instances?.[0]).toMatchObject({
    PrivateIpAddress: '127.0.0.9',
    Tags: [{ Key: 'Name', Value: 'found' }],
  });
  const missing = new DescribeInstancesCommand({ InstanceIds: ['i-00000000000000fff'] });
  await expect(client.send(missing)).rejects.toMatchObject({ name: 'InvalidInstanceID.NotFound' });
  await expect(client.send(new StopInstancesCommand({ InstanceIds: ['x'] }))).rejects.toThrow(/Invalid id/);
});

it('is stopped by whom a policy lets, by its tag too; a dry run says whether', async () => {
  const id = await add('orders');
  const other = await add('billing');
  const arn = `arn:aws:ec2:${region}:${account}:instance/*`;
  const tagged = { Condition: { StringEquals: { 'ec2:ResourceTag/Name': 'orders' } } };
  const fencer = new EC2Client(await as(allow('ec2:StopInstances', arn, tagged)));
  const denied = await refusal(fencer.send(new StopInstancesCommand({ InstanceIds: [id, other] })));
  expect(denied).toMatchObject({ code: 'UnauthorizedOperation', status: 403 });
  expect(denied.message).toContain(`ec2:StopInstances on resource: ${arn.replace('*', other)}`);
  await expect(fencer.send(new StopInstancesCommand({ InstanceIds: [id], DryRun: true }))).rejects.toMatchObject({
    name: 'DryRunOperation',
  });
  expect(services.ec2.state(id)).toBe('running');
  await fencer.send(new StopInstancesCommand({ InstanceIds: [id] }));
  await settles(id, 'stopped');
  fencer.destroy();
});

it('is stopped by a state machine', async () => {
  const id = await add('by-machine');
  const { ref } = await make('AWS::StepFunctions::StateMachine', {
    RoleArn: await role([allow('ec2:StopInstances')], 'states.amazonaws.com'),
    DefinitionString: machine(task('arn:aws:states:::aws-sdk:ec2:stopInstances', { InstanceIds: [id] })),
  });
  const sfn = new SFNClient(host.client(region));
  const { executionArn = '' } = await sfn.send(new StartExecutionCommand({ stateMachineArn: ref }));
  sfn.destroy();
  expect((await services.states.ended(executionArn)).outcome).toMatchObject({
    status: 'SUCCEEDED',
    output: { StoppingInstances: [{ InstanceId: id, CurrentState: { Code: 64, Name: 'stopping' } }] },
  });
});

it('loses its machines with its region', async () => {
  const id = await add('lost');
  host.world.outages.set(region, 'down');
  await settles(id, 'stopped');
  host.world.outages.set(region, 'up');
  expect(children.get('lost')?.signalCode).toBe('SIGKILL');
  expect(await state(id)).toEqual({ Code: 80, Name: 'stopped' });
});
