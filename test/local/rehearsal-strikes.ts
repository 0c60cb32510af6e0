import { UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { type DescribeExecutionOutput, SendTaskFailureCommand } from '@aws-sdk/client-sfn';
import { expect, vi } from 'vitest';
import { database, type Rehearsal, region, system } from '../../lib/cli/rehearse/rehearsal.ts';
import { clusterName, receiverName, type TaskPurpose, taskRoleName } from '../../lib/config/names.ts';
import type { ApiCall } from '../../local/facade.ts';

/** Things that happen to a rehearsal while it makes a call. */

type Fits = (call: ApiCall) => boolean;

const roleOf = (call: ApiCall): string => call.principal.roleArn?.split('/').at(-1) ?? '';

/** A call on S3 by a task of this purpose. */
export const byTask =
  (job: TaskPurpose): Fits =>
  (call) =>
    call.service === 's3' && roleOf(call) === taskRoleName(system, database, job, region);

/** The second part of an upload by a task of this purpose. */
export const isSecondPart =
  (job: TaskPurpose): Fits =>
  (call) =>
    call.operation === 'UploadPart' && Number(call.input.PartNumber) === 2 && byTask(job)(call);

/** Runs something with something done to it, once, by the first call that fits. */
export async function strikeOnce<T>(
  { cloud }: Rehearsal,
  run: () => Promise<T>,
  fits: Fits,
  strike: (call: ApiCall) => Promise<unknown> | undefined,
): Promise<T> {
  let struck = false;
  const undo = cloud.intercept(async (call) => {
    if (struck || !fits(call)) return;
    struck = true;
    await strike(call);
  });
  try {
    const ended = await run();
    expect(struck).toBe(true);
    return ended;
  } finally {
    undo();
  }
}

/** Holds a call up until its task has given a sign of life. */
export const awaitHeartbeat =
  ({ cloud }: Rehearsal) =>
  ({ principal }: ApiCall): Promise<void> =>
    expect
      .poll(
        () =>
          cloud.calls().some((call) => call.operation === 'SendTaskHeartbeat' && call.principal.arn === principal.arn),
        { timeout: 40_000, interval: 250 },
      )
      .toBe(true);

/** Gives a task's token back as failed while the task goes on: the workflow has to stop it, and is seen to. */
export async function giveUp<T>(rehearsal: Rehearsal, run: () => Promise<T>, job: TaskPurpose): Promise<T> {
  const { cloud, clients } = rehearsal;
  let taskToken = '';
  const undo = cloud.intercept((call) => {
    if (call.operation !== 'RunTask') return;
    taskToken = /"(AQC[A-Za-z0-9+/]{509})"/.exec(JSON.stringify(call.input))?.[1] ?? '';
  });
  try {
    return await strikeOnce(rehearsal, run, byTask(job), () =>
      clients.sfn.send(new SendTaskFailureCommand({ taskToken, error: 'GivenUp', cause: '{}' })),
    );
  } finally {
    undo();
  }
}

/** The task of an execution that was given up runs no more, by the workflow's own hand. */
export async function expectStopped({ cloud }: Rehearsal, execution: DescribeExecutionOutput): Promise<void> {
  expect(execution.status).toBe('FAILED');
  const running = () => workers(cloud).filter(({ lastStatus }) => lastStatus !== 'STOPPED');
  await expect.poll(running, { timeout: 30_000 }).toEqual([]);
  const stop = cloud
    .calls()
    .findLast(({ operation, principal }) => operation === 'StopTask' && principal.arn.includes(String(execution.name)));
  expect(stop).toBeDefined();
}

const receiver = receiverName(system, database);

/** The tasks that workflows ran, without the receiver of WAL, which is a service. */
export const workers = ({ ecs }: Rehearsal['cloud']) => ecs.tasks().filter(({ family }) => family !== receiver);

/** Sets how many receivers of WAL are to run, and waits until one streams, or none does. */
export async function scaleReceiver({ cloud, clients, source }: Rehearsal, desiredCount: 0 | 1): Promise<void> {
  const service = { cluster: clusterName(system), service: receiver };
  await clients.ecs.send(new UpdateServiceCommand({ ...service, desiredCount }));
  const client = await source.server.connect('postgres');
  try {
    const streaming = async () => {
      const slots = await client.query("SELECT FROM pg_replication_slots WHERE active AND slot_type = 'physical'");
      const tasks = cloud.ecs
        .tasks()
        .filter(({ family, lastStatus }) => family === receiver && lastStatus !== 'STOPPED');
      return [slots.rowCount, tasks.length];
    };
    const wanted = [desiredCount, desiredCount];
    await vi.waitFor(async () => expect(await streaming()).toEqual(wanted), { timeout: 60_000, interval: 250 });
  } finally {
    await client.end();
  }
}
