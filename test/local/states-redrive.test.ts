import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  RedriveExecutionCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { States as StateDefinitions } from './asl-machines.ts';
import { region, type StatesCloud, startStatesCloud } from './states-cloud.ts';

let cloud: StatesCloud;
let client: SFNClient;

beforeAll(async () => {
  cloud = await startStatesCloud();
  client = new SFNClient({ ...cloud.host.client(region), maxAttempts: 1 });
});

afterAll(async () => {
  client.destroy();
  await cloud.close();
});

const wait: StateDefinitions = { Wait: { Type: 'Wait', Seconds: 60, End: true } };
const echo: StateDefinitions = { Echo: { Type: 'Pass', End: true } };

/** Starts and waits for the end. */
async function start(stateMachineArn: string, input: unknown = {}, name?: string) {
  const started = await client.send(
    new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input), ...(name && { name }) }),
  );
  await cloud.states.ended(started.executionArn as string);
  return client.send(new DescribeExecutionCommand({ executionArn: started.executionArn }));
}

describe('executions', () => {
  it('can be redriven once they failed, and say so', async () => {
    const Choices = [{ Condition: '{% $states.context.Execution.RedriveCount = 1 %}', Next: 'Good' }];
    const stateMachineArn = await cloud.make({
      Pick: { Type: 'Choice', Choices, Default: 'Bad' },
      Bad: { Type: 'Fail', Error: 'Nope' },
      Good: { Type: 'Succeed' },
    });
    const list = async (redriveFilter: 'REDRIVEN' | 'NOT_REDRIVEN') =>
      (await client.send(new ListExecutionsCommand({ stateMachineArn, redriveFilter }))).executions?.length;
    const failed = await start(stateMachineArn, {}, 'one');
    expect(failed).toMatchObject({ status: 'FAILED', redriveStatus: 'REDRIVABLE', redriveCount: 0 });
    expect(failed).not.toHaveProperty('redriveStatusReason');
    const { executionArn } = failed;
    const redrive = (clientToken?: string) => client.send(new RedriveExecutionCommand({ executionArn, clientToken }));
    expect([await list('REDRIVEN'), await list('NOT_REDRIVEN')]).toEqual([0, 1]);
    const { redriveDate } = await redrive('token');
    await cloud.states.ended(executionArn as string);
    const described = await client.send(new DescribeExecutionCommand({ executionArn }));
    // The Fail state itself is what is redriven: it fails again.
    expect(described).toMatchObject({ status: 'FAILED', redriveCount: 1, redriveDate, error: 'Nope' });
    expect([await list('REDRIVEN'), await list('NOT_REDRIVEN')]).toEqual([1, 0]);
    // The same token is the same request; without one it is a new one.
    expect(await redrive('token')).toMatchObject({ redriveDate });
    await redrive();
    await cloud.states.ended(executionArn as string);
    expect(await client.send(new DescribeExecutionCommand({ executionArn }))).toMatchObject({ redriveCount: 2 });
    const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn }));
    expect(events?.map(({ type }) => type).slice(-4)).toEqual([
      'ExecutionRedriven',
      'ExecutionFailed',
      'ExecutionRedriven',
      'ExecutionFailed',
    ]);
    expect(events?.at(-2)?.executionRedrivenEventDetails).toEqual({ redriveCount: 2 });
  });

  it('cannot be redriven while they run or once they succeeded', async () => {
    const stateMachineArn = await cloud.make(wait);
    const { executionArn } = await client.send(new StartExecutionCommand({ stateMachineArn }));
    const refused = { name: 'ExecutionNotRedrivable', message: 'Execution is RUNNING and cannot be redriven' };
    await expect(client.send(new RedriveExecutionCommand({ executionArn }))).rejects.toMatchObject(refused);
    const running = await client.send(new DescribeExecutionCommand({ executionArn }));
    expect(running).toMatchObject({ redriveStatus: 'NOT_REDRIVABLE', redriveStatusReason: refused.message });
    const done = await start(await cloud.make(echo, { StateMachineName: 'echo' }));
    const again = client.send(new RedriveExecutionCommand({ executionArn: done.executionArn }));
    await expect(again).rejects.toThrow('Execution is SUCCEEDED and cannot be redriven');
  });

  it('of a distributed Map are executions too, listed by its Map Run', async () => {
    const ItemProcessor = {
      ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
      StartAt: 'Item',
      States: { Item: { Type: 'Pass', End: true } },
    };
    const each = { Type: 'Map', Items: [1, 2], ItemProcessor, Label: 'each', End: true };
    const stateMachineArn = await cloud.make({ Each: each }, { StateMachineName: 'mapper' });
    const { executionArn, output } = await start(stateMachineArn);
    expect(output).toBe('[1,2]');
    const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn }));
    const mapRunArn = events?.find(({ type }) => type === 'MapRunStarted')?.mapRunStartedEventDetails?.mapRunArn;
    const { executions } = await client.send(new ListExecutionsCommand({ mapRunArn }));
    expect(executions).toHaveLength(2);
    for (const { executionArn: child, stateMachineArn: machineArn } of executions ?? []) {
      expect(child).toMatch(/:execution:mapper\/each:[\w-]{36}$/);
      expect(machineArn).toBe(`${stateMachineArn}/each`);
      const described = await client.send(new DescribeExecutionCommand({ executionArn: child }));
      expect(described).toMatchObject({ status: 'SUCCEEDED', mapRunArn });
    }
    expect((await client.send(new ListExecutionsCommand({ stateMachineArn }))).executions).toHaveLength(1);
  });
});
