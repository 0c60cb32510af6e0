import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  DescribeStateMachineForExecutionCommand,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  ListStateMachinesCommand,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newTaskToken } from '../../local/asl/tokens.ts';
import type { ApiCall, ResourceContext } from '../../local/facade.ts';
import { createStates, type States } from '../../local/facades/states.ts';
import { type Host, startHost } from '../../local/host.ts';
import { machine, type States as StateDefinitions } from './asl-machines.ts';

const region = 'eu-west-1';
const roleArn = 'arn:aws:iam::111122223333:role/machine';

let directory: string;
let host: Host;
let states: States;
let client: SFNClient;
let logged: string[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'states-'));
  logged = [];
  host = await startHost({
    directory,
    regions: [region],
    log: (_region, group, _stream, line) => logged.push(`${group} ${line}`),
  });
  states = host.add(createStates(host.world));
  client = new SFNClient({ ...host.client(region), maxAttempts: 1 });
});

afterEach(async () => {
  client.destroy();
  await host.close();
  rmSync(directory, { recursive: true, force: true });
});

const context: ResourceContext = {
  region,
  stack: 'Stack',
  logicalId: 'Machine',
  generatedName: 'Stack-Machine-ABC',
  assembly: '/nowhere',
};

async function make(definition: StateDefinitions | string, properties: Record<string, unknown> = {}): Promise<string> {
  const maker = states.resources?.['AWS::StepFunctions::StateMachine'];
  const DefinitionString = typeof definition === 'string' ? definition : machine(definition);
  const made = await maker?.({ RoleArn: roleArn, DefinitionString, ...properties }, context);
  return made?.ref as string;
}

const wait: StateDefinitions = { Wait: { Type: 'Wait', Seconds: 60, End: true } };
const echo: StateDefinitions = { Echo: { Type: 'Pass', End: true } };

/** Starts and waits for the end. */
async function start(stateMachineArn: string, input: unknown = {}, name?: string) {
  const started = await client.send(
    new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input), ...(name && { name }) }),
  );
  await states.ended(started.executionArn as string);
  return client.send(new DescribeExecutionCommand({ executionArn: started.executionArn }));
}

describe('the resource', () => {
  it('has the ARN as Ref, and Arn and Name', async () => {
    const maker = states.resources?.['AWS::StepFunctions::StateMachine'];
    const properties = { RoleArn: roleArn, DefinitionString: machine(echo), StateMachineName: 'echo', Tags: [] };
    const arn = 'arn:aws:states:eu-west-1:111122223333:stateMachine:echo';
    expect(await maker?.(properties, context)).toEqual({ ref: arn, attributes: { Arn: arn, Name: 'echo' } });
  });

  it('makes substitutions', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholder
    const text = machine({ Echo: { Type: 'Pass', Output: 'over ${Where}', End: true } });
    const arn = await make(text, { DefinitionSubstitutions: { Where: 'the hills' } });
    expect((await start(arn)).output).toBe('"over the hills"');
  });

  it('takes Definition as an object', async () => {
    const arn = await make(echo, { DefinitionString: undefined, Definition: JSON.parse(machine(echo)) });
    expect((await start(arn, { n: 1 })).output).toBe('{"n":1}');
  });

  it.each([
    [{ StateMachineType: 'EXPRESS' }, /only STANDARD/],
    [{ Mystery: 1 }, /Stack\/Machine.*does not support the property Mystery/],
    [{ DefinitionS3Location: {} }, /put the definition into DefinitionString/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholder
    [{ DefinitionString: machine({ A: { Type: 'Pass', Output: '${Missing}', End: true } }) }, /uses \$\{Missing\}/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholder
    [{ DefinitionSubstitutions: { X: '"' }, DefinitionString: '"${X}"' }, /has characters that JSON escapes/],
    [{ DefinitionString: '{}' }, /Stack\/Machine: .*\n.*QueryLanguage: is missing/],
    [{ RoleArn: undefined }, /RoleArn is required/],
  ])('refuses %j', async (properties, message) => {
    await expect(make(echo, properties)).rejects.toThrow(message);
  });
});

describe('executions', () => {
  it('run, and are described with dates, input and output', async () => {
    const arn = await make(echo, { StateMachineName: 'echo' });
    const described = await start(arn, { n: 1 }, 'first');
    expect(described).toMatchObject({
      executionArn: 'arn:aws:states:eu-west-1:111122223333:execution:echo:first',
      stateMachineArn: arn,
      name: 'first',
      status: 'SUCCEEDED',
      input: '{"n":1}',
      output: '{"n":1}',
      redriveCount: 0,
    });
    expect(described.startDate).toBeInstanceOf(Date);
    expect(described.stopDate?.getTime()).toBeGreaterThanOrEqual(described.startDate?.getTime() ?? Infinity);
  });

  it('know themselves in $states.context', async () => {
    const arn = await make({ Show: { Type: 'Pass', Output: '{% $states.context %}', End: true } });
    const output = JSON.parse((await start(arn, 5, 'me')).output ?? '');
    expect(output.Execution).toMatchObject({ Name: 'me', Input: 5, RoleArn: roleArn });
    expect(output.Execution.Id).toMatch(/:execution:Stack-Machine-ABC:me$/);
    expect(output.StateMachine).toEqual({ Id: arn, Name: 'Stack-Machine-ABC' });
  });

  it('show error and cause of a failure', async () => {
    const arn = await make({ No: { Type: 'Fail', Error: 'Nope', Cause: 'because' } });
    expect(await start(arn)).toMatchObject({ status: 'FAILED', error: 'Nope', cause: 'because' });
  });

  it('that ran out of time are TIMED_OUT without an error', async () => {
    const described = await start(await make(machine(wait, { TimeoutSeconds: 1 })));
    expect(described.status).toBe('TIMED_OUT');
    expect(described.error).toBeUndefined();
  });

  it('started twice under a name are one while they run with the same input', async () => {
    const stateMachineArn = await make(wait);
    const send = (input: string) => client.send(new StartExecutionCommand({ stateMachineArn, name: 'one', input }));
    const first = await send('{}');
    expect(await send('{}')).toMatchObject({ executionArn: first.executionArn, startDate: first.startDate });
    await expect(send('{"n":1}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
    await client.send(new StopExecutionCommand({ executionArn: first.executionArn }));
    await expect(send('{}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
  });

  it('can be stopped, with error and cause', async () => {
    const stateMachineArn = await make(wait);
    const { executionArn } = await client.send(new StartExecutionCommand({ stateMachineArn }));
    const stopped = await client.send(new StopExecutionCommand({ executionArn, error: 'Enough', cause: 'by hand' }));
    expect(stopped.stopDate).toBeInstanceOf(Date);
    const described = await client.send(new DescribeExecutionCommand({ executionArn }));
    expect(described).toMatchObject({ status: 'ABORTED', error: 'Enough', cause: 'by hand' });
    const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn, reverseOrder: true }));
    expect(events?.[0]).toMatchObject({ type: 'ExecutionAborted', executionAbortedEventDetails: { error: 'Enough' } });
  });

  it('are listed newest first, by status and in pages', async () => {
    const stateMachineArn = await make(echo);
    for (const name of ['a', 'b', 'c']) await start(stateMachineArn, {}, name);
    const list = (more: object) => client.send(new ListExecutionsCommand({ stateMachineArn, ...more }));
    const first = await list({ maxResults: 2 });
    expect(first.executions?.map(({ name }) => name)).toEqual(['c', 'b']);
    const second = await list({ maxResults: 2, nextToken: first.nextToken });
    expect(second.executions?.map(({ name }) => name)).toEqual(['a']);
    expect(second.nextToken).toBeUndefined();
    expect((await list({ statusFilter: 'FAILED' })).executions).toEqual([]);
    await expect(list({ nextToken: 'nonsense' })).rejects.toMatchObject({ name: 'InvalidToken' });
  });

  it('have a history that can be paged, turned round and stripped of data', async () => {
    const { executionArn } = await start(await make(echo), { secret: 1 });
    const history = (more: object) => client.send(new GetExecutionHistoryCommand({ executionArn, ...more }));
    const all = (await history({})).events ?? [];
    expect(all.map(({ id, type }) => [id, type])).toEqual([
      [1, 'ExecutionStarted'],
      [2, 'PassStateEntered'],
      [3, 'PassStateExited'],
      [4, 'ExecutionSucceeded'],
    ]);
    expect(all[0]?.timestamp).toBeInstanceOf(Date);
    expect(all[1]?.stateEnteredEventDetails).toMatchObject({ name: 'Echo', input: '{"secret":1}' });
    const page = await history({ maxResults: 3 });
    expect((await history({ maxResults: 3, nextToken: page.nextToken })).events).toEqual(all.slice(3));
    expect((await history({ reverseOrder: true })).events?.map(({ id }) => id)).toEqual([4, 3, 2, 1]);
    expect(JSON.stringify((await history({ includeExecutionData: false })).events)).not.toContain('secret');
  });

  it('can be watched', async () => {
    const seen: string[] = [];
    const unwatch = states.onEvent((arn, name, event) => seen.push(`${name} ${arn.split(':').at(-1)} ${event.type}`));
    const arn = await make(echo, { StateMachineName: 'echo' });
    await start(arn, {}, 'one');
    unwatch();
    await start(arn, {}, 'two');
    const types = ['ExecutionStarted', 'PassStateEntered', 'PassStateExited', 'ExecutionSucceeded'];
    expect(seen).toEqual(types.map((type) => `echo one ${type}`));
  });

  it('write their history to the log group', async () => {
    const LoggingConfiguration = {
      Level: 'ALL',
      IncludeExecutionData: false,
      Destinations: [
        { CloudWatchLogsLogGroup: { LogGroupArn: 'arn:aws:logs:eu-west-1:111122223333:log-group:/sfn:*' } },
      ],
    };
    await start(await make(echo, { LoggingConfiguration }), { secret: 1 });
    expect(logged).toHaveLength(4);
    expect(logged[1]).toMatch(/^\/sfn \{"id":"2","type":"PassStateEntered","details":\{"name":"Echo"\}/);
  });
});

describe('errors of the API', () => {
  const unknown = 'arn:aws:states:eu-west-1:111122223333:stateMachine:unknown';
  const execution = 'arn:aws:states:eu-west-1:111122223333:execution:unknown:x';

  it('name what is wrong', async () => {
    const stateMachineArn = await make(echo);
    const start = (input: object) => client.send(new StartExecutionCommand({ stateMachineArn, ...input }));
    const rejected = async (promise: Promise<unknown>, name: string) =>
      expect(promise).rejects.toMatchObject({ name, $metadata: { httpStatusCode: 400 } });
    await rejected(start({ stateMachineArn: unknown }), 'StateMachineDoesNotExist');
    await rejected(start({ stateMachineArn: 'nonsense' }), 'InvalidArn');
    await rejected(start({ stateMachineArn: stateMachineArn.replace(region, 'us-east-1') }), 'InvalidArn');
    await rejected(start({ input: '{' }), 'InvalidExecutionInput');
    await rejected(start({ input: JSON.stringify('x'.repeat(262_144)) }), 'ValidationException');
    await rejected(start({ name: 'a b' }), 'InvalidName');
    await rejected(client.send(new DescribeExecutionCommand({ executionArn: execution })), 'ExecutionDoesNotExist');
    await rejected(client.send(new StopExecutionCommand({ executionArn: execution })), 'ExecutionDoesNotExist');
    await rejected(client.send(new GetExecutionHistoryCommand({ executionArn: unknown })), 'InvalidArn');
    await rejected(
      client.send(new DescribeStateMachineCommand({ stateMachineArn: unknown })),
      'StateMachineDoesNotExist',
    );
    await rejected(client.send(new SendTaskHeartbeatCommand({ taskToken: 'nonsense' })), 'InvalidToken');
    await rejected(client.send(new SendTaskHeartbeatCommand({ taskToken: newTaskToken() })), 'TaskDoesNotExist');
  });
});

describe('state machines', () => {
  it('are listed and described', async () => {
    const stateMachineArn = await make(echo, { StateMachineName: 'echo' });
    const listed = await client.send(new ListStateMachinesCommand({}));
    expect(listed.stateMachines).toMatchObject([{ stateMachineArn, name: 'echo', type: 'STANDARD' }]);
    const described = await client.send(new DescribeStateMachineCommand({ stateMachineArn }));
    expect(described).toMatchObject({ name: 'echo', status: 'ACTIVE', definition: machine(echo), roleArn });
    const { executionArn } = await start(stateMachineArn);
    const of = await client.send(new DescribeStateMachineForExecutionCommand({ executionArn }));
    expect(of).toMatchObject({ stateMachineArn, definition: machine(echo) });
    const elsewhere = new SFNClient(host.client('us-east-1'));
    expect((await elsewhere.send(new ListStateMachinesCommand({}))).stateMachines).toEqual([]);
    elsewhere.destroy();
  });
});

describe('authorisation', () => {
  it('sees each call once, with action, resource and principal, without payloads', async () => {
    const calls: ApiCall[] = [];
    host.intercept((call) => void calls.push(call));
    const stateMachineArn = await make(echo);
    const { executionArn } = await start(stateMachineArn, { secret: 1 }, 'one');
    expect(calls).toMatchObject([
      { action: 'states:StartExecution', resource: stateMachineArn, region, input: { name: 'one' } },
      { action: 'states:DescribeExecution', resource: executionArn },
    ]);
    expect(calls[0]?.principal.arn).toBe('arn:aws:iam::111122223333:root');
    expect(JSON.stringify(calls)).not.toContain('secret');
  });
});

describe('tokens', () => {
  // The parent hands its token to a child execution, where the test picks it up.
  const asking = (stateMachineArn: string, more: Record<string, unknown> = {}): StateDefinitions => ({
    Ask: {
      Type: 'Task',
      Resource: 'arn:aws:states:::states:startExecution.waitForTaskToken',
      Arguments: { StateMachineArn: stateMachineArn, Input: { token: '{% $states.context.Task.Token %}' } },
      ...more,
      End: true,
    },
  });

  async function ask(more: Record<string, unknown> = {}) {
    const child = await make(echo, { StateMachineName: 'child' });
    const parent = await make(asking(child, more), { StateMachineName: 'parent' });
    const given = new Promise<string>((resolve) => {
      states.onEvent((_arn, name, event) => {
        const text = event.executionStartedEventDetails?.input;
        if (name === 'child' && typeof text === 'string') resolve(JSON.parse(text).token);
      });
    });
    const { executionArn } = await client.send(new StartExecutionCommand({ stateMachineArn: parent }));
    const outcome = async () => {
      await states.ended(executionArn as string);
      return client.send(new DescribeExecutionCommand({ executionArn }));
    };
    return { parent, taskToken: await given, outcome };
  }

  it('SendTaskSuccess ends the task; a second answer is too late', async () => {
    const calls: ApiCall[] = [];
    host.intercept((call) => void calls.push(call));
    const { parent, taskToken, outcome } = await ask();
    await client.send(new SendTaskSuccessCommand({ taskToken, output: '{"done":true}' }));
    expect(await outcome()).toMatchObject({ status: 'SUCCEEDED', output: '{"done":true}' });
    const again = client.send(new SendTaskSuccessCommand({ taskToken, output: '{}' }));
    await expect(again).rejects.toMatchObject({ name: 'TaskTimedOut' });
    expect(calls.find(({ operation }) => operation === 'SendTaskSuccess')?.resource).toBe(parent);
    // The child was started by the parent's role.
    const started = calls.filter(({ operation }) => operation === 'StartExecution')[1];
    expect(started?.principal.roleArn).toBe(roleArn);
  });

  it('SendTaskFailure fails it by name', async () => {
    const { taskToken, outcome } = await ask();
    await client.send(new SendTaskFailureCommand({ taskToken, error: 'Worker', cause: 'tired' }));
    expect(await outcome()).toMatchObject({ status: 'FAILED', error: 'Worker', cause: 'tired' });
  });

  it('an output that is not JSON is refused and the task goes on', async () => {
    const { taskToken, outcome } = await ask();
    const wrong = client.send(new SendTaskSuccessCommand({ taskToken, output: 'oops' }));
    await expect(wrong).rejects.toMatchObject({ name: 'InvalidOutput' });
    await client.send(new SendTaskSuccessCommand({ taskToken, output: '1' }));
    expect(await outcome()).toMatchObject({ status: 'SUCCEEDED', output: '1' });
  });

  it('heartbeats keep it open; silence closes it with States.Timeout', async () => {
    const { taskToken, outcome } = await ask({ HeartbeatSeconds: 1, TimeoutSeconds: 60 });
    for (let beat = 0; beat < 4; beat++) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await client.send(new SendTaskHeartbeatCommand({ taskToken }));
    }
    expect(await outcome()).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
    const late = client.send(new SendTaskHeartbeatCommand({ taskToken }));
    await expect(late).rejects.toMatchObject({ name: 'TaskTimedOut' });
  });
});
