import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import { sendSigned } from '../../local/runtime/signed-request.ts';
import { machine } from './asl-machines.ts';
import { allow, host, make, region, role, root, services } from './iam-host.ts';

/** What AWS's services publish of themselves, and an alarm may watch. */

const seen = (namespace: string, resource: string) =>
  services.cloudwatch
    .samples(namespace)
    .filter(({ dimensions }) => Object.values(dimensions)[0] === resource)
    .map(({ name, values, unit, dimensions }) => `${Object.keys(dimensions)[0]} ${name} ${values[0]} ${unit}`);

describe('Lambda', () => {
  it('counts invocations, errors and what was throttled', async () => {
    mkdirSync(join(root, 'fn'), { recursive: true });
    writeFileSync(
      join(root, 'fn', 'index.mjs'),
      'export const handler = async ({ fails }) => { if (fails) throw new Error("no"); };',
    );
    const makeFunction = (FunctionName: string, rest: object = {}) =>
      role([allow('logs:*')], 'lambda.amazonaws.com').then((Role) =>
        make('AWS::Lambda::Function', {
          ...{ FunctionName, Code: { S3Bucket: 'assets', S3Key: 'fn.zip' }, Handler: 'index.handler' },
          ...{ Runtime: 'nodejs24.x', Role, ...rest },
        }),
      );
    await makeFunction('counted');
    await makeFunction('held-back', { ReservedConcurrentExecutions: 0 });
    const invoke = (name: string, event: object) =>
      sendSigned(host.world, host.identity.administrator, {
        service: 'lambda',
        region,
        path: `/2015-03-31/functions/${name}/invocations`,
        body: JSON.stringify(event),
      });
    await invoke('counted', { fails: false });
    await invoke('counted', { fails: true });
    await expect(invoke('held-back', {})).rejects.toThrow('Rate Exceeded');
    const counted = seen('AWS/Lambda', 'counted');
    expect(counted.filter((line) => !line.includes('Duration'))).toEqual([
      ...['FunctionName Invocations 1 Count', 'FunctionName Errors 0 Count', 'FunctionName Throttles 0 Count'],
      ...['FunctionName Invocations 1 Count', 'FunctionName Errors 1 Count', 'FunctionName Throttles 0 Count'],
    ]);
    expect(counted.filter((line) => /^FunctionName Duration [\d.]+ Milliseconds$/.test(line))).toHaveLength(2);
    expect(seen('AWS/Lambda', 'held-back')).toEqual(['FunctionName Throttles 1 Count']);
  });
});

describe('Step Functions', () => {
  it.each([
    ['ExecutionsSucceeded', { Only: { Type: 'Succeed' } }, {}],
    ['ExecutionsFailed', { Only: { Type: 'Fail', Error: 'No' } }, {}],
    ['ExecutionsTimedOut', { Only: { Type: 'Wait', Seconds: 60, End: true } }, { TimeoutSeconds: 1 }],
  ])('counts %s', async (metric, states, fields) => {
    const arn = String(
      (
        await make('AWS::StepFunctions::StateMachine', {
          RoleArn: await role([], 'states.amazonaws.com'),
          DefinitionString: JSON.stringify({ ...JSON.parse(machine(states as never)), ...fields }),
        })
      ).ref,
    );
    const client = new SFNClient(host.client(region));
    const { executionArn } = await client.send(new StartExecutionCommand({ stateMachineArn: arn, input: '{}' }));
    await services.states.ended(String(executionArn));
    client.destroy();
    const [started, ended, time] = seen('AWS/States', arn);
    expect([started, ended]).toEqual([
      'StateMachineArn ExecutionsStarted 1 Count',
      `StateMachineArn ${metric} 1 Count`,
    ]);
    expect(time).toMatch(/^StateMachineArn ExecutionTime \d+ Milliseconds$/);
  });
});

describe('Scheduler and SQS', () => {
  it('count what was dropped, and what lies in the dead-letter queue, by the minute', async () => {
    const { ref: url, attributes } = await make('AWS::SQS::Queue', { QueueName: 'dead' });
    await make('AWS::Scheduler::ScheduleGroup', { Name: 'nightly' });
    await make('AWS::Scheduler::Schedule', {
      Name: 'lost',
      GroupName: 'nightly',
      FlexibleTimeWindow: { Mode: 'OFF' },
      ScheduleExpression: 'rate(1 day)',
      Target: {
        Arn: `arn:aws:lambda:${region}:111122223333:function:nobody`,
        RoleArn: await role([allow(['lambda:InvokeFunction', 'sqs:SendMessage'])], 'scheduler.amazonaws.com'),
        DeadLetterConfig: { Arn: attributes?.Arn },
      },
    });
    await expect(services.scheduler.fire(region, 'lost')).rejects.toThrow('Function not found');
    expect(seen('AWS/Scheduler', 'nightly')).toEqual(
      ['InvocationAttemptCount', 'TargetErrorCount', 'InvocationDroppedCount', 'InvocationsSentToDeadLetterCount'].map(
        (name) => `ScheduleGroup ${name} 1 Count`,
      ),
    );

    const sqs = new SQSClient(host.client(region));
    await host.world.clock.advance(60_000);
    expect(seen('AWS/SQS', 'dead').slice(0, 2)).toEqual([
      'QueueName ApproximateNumberOfMessagesVisible 1 Count',
      'QueueName ApproximateNumberOfMessagesNotVisible 0 Count',
    ]);
    expect(seen('AWS/SQS', 'dead')[2]).toMatch(/^QueueName ApproximateAgeOfOldestMessage (59|60)[.\d]* Seconds$/);
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: url }));
    await host.world.clock.advance(10_000);
    await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: Messages?.[0]?.ReceiptHandle }));
    await host.world.clock.advance(60_000);
    expect(seen('AWS/SQS', 'dead').at(-3)).toBe('QueueName ApproximateNumberOfMessagesVisible 0 Count');
    // An empty queue that nobody uses is measured for six hours.
    await host.world.clock.advance(7 * 3_600_000);
    const told = seen('AWS/SQS', 'dead').length;
    await host.world.clock.advance(600_000);
    expect(seen('AWS/SQS', 'dead')).toHaveLength(told);
    await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'again' }));
    await host.world.clock.advance(60_000);
    expect(seen('AWS/SQS', 'dead').at(-3)).toBe('QueueName ApproximateNumberOfMessagesVisible 1 Count');
    sqs.destroy();
  });
});
