import {
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  RedriveExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiCall } from '../../local/facade.ts';
import { held, openStage, type Stage, until } from './failover-harness.ts';

/**
 * The controller is killed at every state that does something, in a failover and in the failback after it: its execution
 * is aborted as the state makes its call, which goes on with nobody to hear its answer. A redrive ends what was begun.
 */

interface Step {
  readonly machine: string;
  readonly state: string;
  /** Which of the calls of the machine's role it makes. */
  readonly call: number;
}

let stage: Stage;
beforeAll(async () => {
  // The name moves as a record that is changed: every change of writer here goes through Route 53's API.
  stage = await openStage('failover-controller', { mode: 'record-update' });
});
afterAll(() => stage?.close());

const machineArn = (name: string) =>
  `arn:aws:states:us-east-1:${stage.pair.cloud.account}:stateMachine:rehearsal-${name}`;

/** The states of the deployed machine that an undisturbed run calls something from, in their order. */
async function stepsOf(machine: string): Promise<Step[]> {
  const { sfn } = stage.pair.clients.standby;
  const { definition } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn: machineArn(machine) }));
  const { StartAt, States } = JSON.parse(definition as string);
  const found: string[] = [];
  for (let name = StartAt; name !== undefined; ) {
    const state = States[name];
    if (state.Type === 'Task') found.push(name);
    for (const branch of state.Branches ?? []) found.push(branch.StartAt);
    // Of a choice, what happens unasked.
    name = state.Next ?? state.Default;
  }
  return found.map((state, call) => ({ machine, state, call }));
}

/** Runs a machine whose controller is killed at a step, redrives it and gives its end. */
async function runKilledAt(operation: 'failover' | 'failback', step: Step) {
  const { pair } = stage;
  const { sfn } = pair.clients.standby;
  const { roleArn } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn: machineArn(step.machine) }));
  const calls = new Set(['Invoke', 'GetParameter', 'Publish', 'StartExecution']);
  let seen = 0;
  let executionArn = '';
  let started = () => {};
  const isStarted = new Promise<void>((resolve) => {
    started = resolve;
  });
  const undo = pair.cloud.intercept(async ({ principal, operation: name }: ApiCall) => {
    if (principal.roleArn !== roleArn || !calls.has(name) || seen++ !== step.call) return;
    await isStarted;
    await sfn.send(new StopExecutionCommand({ executionArn, error: 'Killed', cause: step.state }));
  });
  try {
    executionArn = await pair.start(operation, { database: 'orders', force: true });
    started();
    await until(`${operation} is killed`, async () => {
      const { status } = await sfn.send(new DescribeExecutionCommand({ executionArn }));
      return status !== 'RUNNING';
    });
  } finally {
    undo();
  }
  const { events } = await sfn.send(new GetExecutionHistoryCommand({ executionArn, reverseOrder: true }));
  expect([step.state, events?.[0]?.type]).toEqual([step.state, 'ExecutionAborted']);
  await sfn.send(new RedriveExecutionCommand({ executionArn }));
  return pair.follow(executionArn);
}

describe('controller-kill-each-state', () => {
  it('a redrive ends what was begun, wherever the controller was killed', async () => {
    const nested = [...(await stepsOf('failover-switch')), ...(await stepsOf('failover-verify'))];
    const failover = [...(await stepsOf('failover')), ...nested];
    const failback = [...(await stepsOf('failback')), ...nested].map((_, i, all) => all[(i + 3) % all.length] as Step);
    expect(failover.length).toBeGreaterThan(14);
    for (const [i, step] of failover.entries()) {
      const over = await runKilledAt('failover', step);
      expect([step, over.failure]).toEqual([step, undefined]);
      expect(over.outcome?.failover).toMatchObject({ to: 'standby', epoch: 2 + 2 * i });
      await stage.moreWrites(20, 'standby');
      const back = failback[i % failback.length] as Step;
      const returned = await runKilledAt('failback', back);
      expect([back, returned.failure]).toEqual([back, undefined]);
      expect(returned.outcome?.failover).toMatchObject({ to: 'primary', epoch: 3 + 2 * i });
      await stage.moreWrites(20, 'primary');
    }
    const verdict = await stage.judge('primary');
    expect(verdict).toMatchObject({ repeatedIds: 0, switches: 2 * failover.length });
    held(
      'controller-kill-each-state',
      'one writer at a time, and a redrive ends what was begun',
      `${failover.length} states of a failover, ${verdict.acknowledged} writes`,
    );
  });
});
