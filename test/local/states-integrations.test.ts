import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Execution } from '../../local/asl/executions.ts';
import { type ApiCall, AwsError } from '../../local/facade.ts';
import { createEcs, type EcsFacade } from '../../local/facades/ecs.ts';
import { createLambda, type LambdaFacade } from '../../local/facades/lambda.ts';
import { createS3 } from '../../local/facades/s3.ts';
import { createSns, type SnsFacade } from '../../local/facades/sns.ts';
import { createSsm } from '../../local/facades/ssm.ts';
import type { States } from '../../local/facades/states.ts';
import type { Host } from '../../local/host.ts';
import { lambda as lambdaInvoke, type States as StateDefinitions } from './asl-machines.ts';
import { asAdministrator, region, roleArn, type StatesCloud, startStatesCloud, task } from './states-cloud.ts';

// Tasks carried out by the real facades, over HTTP.

const image = 'registry/image:tag';
const sfnModule = createRequire(import.meta.url).resolve('@aws-sdk/client-sfn');

let cloud: StatesCloud;
let host: Host;
let states: States;
let ecs: EcsFacade;
let lambda: LambdaFacade;
let sns: SnsFacade;
let directory: string;
let made = 0;

const about: StatesCloud['about'] = (logicalId) => cloud.about(logicalId);
const begin: StatesCloud['begin'] = (definition, input) => cloud.begin(definition, input);
const finish: StatesCloud['finish'] = (definition, input) => cloud.finish(definition, input);

beforeAll(async () => {
  cloud = await startStatesCloud();
  ({ host, states, directory } = cloud);
  host.add(createSsm(host.world));
  host.add(createS3(host.world));
  lambda = host.add(createLambda(host.world, { fileAsset: (key) => join(directory, key.replace(/\.zip$/, '')) }));
  const real = createEcs(host.world, {
    imageFor: (uri) => (uri === image ? { context: directory, buildArgs: {} } : undefined),
    containerCredentialsPath: host.identity.containerCredentialsPath,
  });
  sns = host.add(createSns(host.world, { invokeFromService: lambda.invokeFromService }));
  // As where Fargate has no capacity: RunTask answers 200 with failures.
  const runTask = real.operations?.RunTask;
  const failures = [{ reason: 'RESOURCE:MEMORY', arn: 'arn:cluster' }];
  ecs = host.add({
    ...real,
    operations: {
      ...real.operations,
      RunTask: (input, context) => (input.group === 'no-room' ? { tasks: [], failures } : runTask?.(input, context)),
    },
  });
  await ecs.resources?.['AWS::ECS::Cluster']?.({ ClusterName: 'workers' }, about('Cluster'));
  await host.facades
    .find(({ service }) => service === 's3')
    ?.resources?.['AWS::S3::Bucket']?.({ BucketName: 'bucket' }, about('Bucket'));
});

afterAll(() => cloud.close());

const types = (execution: Execution) => execution.events.map(({ type }) => type);

describe('aws-sdk', () => {
  const getParameter = 'arn:aws:states:::aws-sdk:ssm:getParameter';
  const put = { Name: '/a', Value: 'v', Type: 'String' };

  it('takes and gives PascalCase, with times as text, and calls as the machine’s role', async () => {
    const calls: ApiCall[] = [];
    const remove = host.intercept((call) => void calls.push(call));
    await finish(task('arn:aws:states:::aws-sdk:ssm:putParameter', put));
    const { outcome } = await finish(task(getParameter, { Name: '{% $states.input.name %}' }), { name: '/a' });
    remove();
    expect(outcome).toMatchObject({
      status: 'SUCCEEDED',
      output: { Parameter: { Name: '/a', Value: 'v', Version: 1 } },
    });
    const LastModifiedDate = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(outcome?.output).toMatchObject({ Parameter: { LastModifiedDate } });
    expect(outcome?.output).not.toHaveProperty('$metadata');
    const call = calls.find(({ operation }) => operation === 'GetParameter');
    expect(call).toMatchObject({ region, principal: { roleArn } });
    expect(call?.principal.arn).toMatch(/:assumed-role\/machine\//);
  });

  it('names errors as Step Functions does', async () => {
    const { outcome } = await finish(task(getParameter, { Name: '/missing' }));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'Ssm.ParameterNotFoundException' });
    expect(outcome?.cause).toMatch(/\(Service: Ssm, Status Code: 400, Request ID: [\w-]+\)$/);
    const object = await finish(task('arn:aws:states:::aws-sdk:s3:getObject', { Bucket: 'bucket', Key: 'missing' }));
    expect(object.outcome).toMatchObject({ error: 'S3.NoSuchKeyException' });
    expect(types(object)).toContain('TaskFailed');
  });

  it("names an undocumented error by the service's own exception", async () => {
    const remove = host.intercept(({ service }) => {
      if (service === 's3') throw new AwsError('AccessDenied', 'no', 403);
    });
    const { outcome } = await finish(task('arn:aws:states:::aws-sdk:s3:getObject', { Bucket: 'bucket', Key: 'k' }));
    remove();
    expect(outcome).toMatchObject({ error: 'S3.S3Exception' });
    expect(outcome?.cause).toContain('Status Code: 403');
  });

  it.each([
    [{ n: 1 }, '{"n":1}'],
    ['text', '"text"'],
  ])('writes the body %j as JSON and reads it as text', async (Body, text) => {
    const object = { Bucket: 'bucket', Key: 'hello' };
    const put = await finish(task('arn:aws:states:::aws-sdk:s3:putObject', { ...object, Body }));
    expect(put.outcome).toMatchObject({ status: 'SUCCEEDED', output: { ETag: expect.stringMatching(/^"\w{32}"$/) } });
    const { outcome } = await finish(task('arn:aws:states:::aws-sdk:s3:getObject', object));
    expect(outcome?.output).toMatchObject({ Body: text, ContentLength: text.length });
  });

  it.each([
    [getParameter, { name: '/a' }, /The field 'name' in Arguments is not supported.*try Name/],
    [getParameter, { Nome: '/a' }, /The field 'Nome' in Arguments is not supported/],
    [getParameter, '{% 7 %}', /The value of Arguments must be an object/],
    ['arn:aws:states:::aws-sdk:ssm:getParam', {}, /has no operation getParam/],
    ['arn:aws:states:::aws-sdk:rds:describeDBClusters', {}, /client-rds cannot be loaded; install it/],
  ])('stops at %s with %j', async (resource, parameters, cause) => {
    const { outcome } = await finish(task(resource, parameters));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
    expect(outcome?.cause).toMatch(cause);
  });
});

describe('lambda:invoke', () => {
  beforeAll(() => {
    const code = `export const handler = async (event) => {
      if (event.fail) throw Object.assign(new Error(event.fail), { name: 'Custom' });
      return { got: event };
    };`;
    mkdirSync(join(directory, 'fn'));
    writeFileSync(join(directory, 'fn', 'index.mjs'), code);
    const Code = { S3Bucket: 'assets', S3Key: 'fn.zip' };
    const properties = {
      FunctionName: 'fn',
      Code,
      Handler: 'index.handler',
      Runtime: 'nodejs24.x',
      Role: roleArn,
      Timeout: 20,
    };
    return lambda.resources?.['AWS::Lambda::Function']?.(properties, about('Function')) as never;
  });

  it('gives the payload, status and version', async () => {
    const { outcome } = await finish(task(lambdaInvoke, { FunctionName: 'fn', Payload: { n: 1 } }));
    expect(outcome?.output).toEqual({ ExecutedVersion: '$LATEST', Payload: { got: { n: 1 } }, StatusCode: 200 });
  });

  it("fails by the function's own error", async () => {
    const { outcome } = await finish(task(lambdaInvoke, { FunctionName: 'fn', Payload: { fail: 'sorry' } }));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'Custom' });
    expect(JSON.parse(outcome?.cause ?? '')).toMatchObject({ errorType: 'Custom', errorMessage: 'sorry' });
  });

  it('names the errors of the API', async () => {
    const { outcome } = await finish(task(lambdaInvoke, { FunctionName: 'none', Payload: {} }));
    expect(outcome).toMatchObject({ error: 'Lambda.ResourceNotFoundException' });
    expect(outcome?.cause).toMatch(/\(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException;/);
    const strange = await finish(task(lambdaInvoke, { FunctionName: 'fn', Input: {} }));
    expect(strange.outcome).toMatchObject({ error: 'States.Runtime' });
  });
});

describe('ecs:runTask', () => {
  const define = async (code: string, environment: { Name: string; Value: string }[] = [], Image = image) => {
    const container = { Name: 'main', Image, Command: [process.execPath, '-e', code], Environment: environment };
    const resource = await ecs.resources?.['AWS::ECS::TaskDefinition']?.(
      {
        Family: `family-${++made}`,
        Cpu: '256',
        Memory: '512',
        NetworkMode: 'awsvpc',
        RequiresCompatibilities: ['FARGATE'],
        TaskRoleArn: 'arn:aws:iam::111122223333:role/worker',
        ContainerDefinitions: [container],
      },
      about('Task'),
    );
    return String(resource?.ref);
  };
  const parameters = (TaskDefinition: string, more: object = {}) => ({
    Cluster: 'workers',
    TaskDefinition,
    LaunchType: 'FARGATE',
    NetworkConfiguration: { AwsvpcConfiguration: { Subnets: ['subnet-1'] } },
    ...more,
  });
  const sync = 'arn:aws:states:::ecs:runTask.sync';
  const token = 'arn:aws:states:::ecs:runTask.waitForTaskToken';

  it('.sync waits for the end and gives the task', async () => {
    const execution = await finish(task(sync, parameters(await define('setTimeout(() => {}, 100)'))));
    expect(execution.outcome).toMatchObject({
      status: 'SUCCEEDED',
      output: { LastStatus: 'STOPPED', StartedBy: 'AWS Step Functions', Containers: [{ Name: 'main', ExitCode: 0 }] },
    });
    expect(execution.outcome?.output).toMatchObject({ CreatedAt: expect.any(Number) });
    expect(types(execution)).toEqual(
      ['ExecutionStarted', 'TaskStateEntered', 'TaskScheduled', 'TaskStarted', 'TaskSubmitted', 'TaskSucceeded'].concat(
        ['TaskStateExited', 'ExecutionSucceeded'],
      ),
    );
  });

  it('.sync fails with States.TaskFailed and the task as cause when a container exits by another code', async () => {
    const { outcome } = await finish(task(sync, parameters(await define('process.exit(3)'))));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'States.TaskFailed' });
    expect(JSON.parse(outcome?.cause ?? '')).toMatchObject({ Containers: [{ ExitCode: 3 }] });
  });

  it('.sync fails when the task cannot start', async () => {
    const { outcome } = await finish(task(sync, parameters(await define('', [], 'registry/unknown:tag'))));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'States.TaskFailed' });
    expect(JSON.parse(outcome?.cause ?? '')).toMatchObject({ StopCode: 'TaskFailedToStart' });
  });

  it('.sync stops the task when the execution is stopped', async () => {
    const arn = await begin(task(sync, parameters(await define('setTimeout(() => {}, 60000)'))));
    const mine = () => ecs.tasks().find(({ lastStatus }) => lastStatus === 'RUNNING');
    await expect.poll(mine, { timeout: 15_000 }).toBeDefined();
    const { taskArn } = mine() as { taskArn: string };
    await states.operations?.StopExecution?.({ executionArn: arn }, asAdministrator);
    const status = () => ecs.tasks().find((view) => view.taskArn === taskArn)?.lastStatus;
    await expect.poll(status, { timeout: 15_000 }).toBe('STOPPED');
  });

  it('.sync stops the task that was being started when the execution was stopped', async () => {
    let arn = '';
    const before = ecs.tasks().length;
    const remove = host.intercept(async ({ operation }) => {
      if (operation === 'RunTask') await states.operations?.StopExecution?.({ executionArn: arn }, asAdministrator);
    });
    arn = await begin(task(sync, parameters(await define('setTimeout(() => {}, 60000)'))));
    const status = () => ecs.tasks()[before]?.lastStatus;
    await expect.poll(status, { timeout: 15_000 }).toBe('STOPPED');
    remove();
  });

  it('.sync stops the task when its own time is over', async () => {
    const stops: ApiCall[] = [];
    const remove = host.intercept((call) => void (call.operation === 'StopTask' && stops.push(call)));
    const definition = await define('setTimeout(() => {}, 60000)');
    const execution = await finish(task(sync, parameters(definition), { TimeoutSeconds: 2 }));
    expect(execution.outcome).toEqual({ status: 'FAILED', error: 'States.Timeout' });
    await expect.poll(() => stops.length).toBe(1);
    remove();
    const [{ task: stopped, reason }] = stops.map(({ input }) => input) as [{ task: string; reason: string }];
    expect(reason).toBe(
      `The Task state in AWS Step Functions execution [${execution.arn}] which was managing this resource was aborted`,
    );
    const status = () => ecs.tasks().find(({ taskArn }) => taskArn === stopped)?.lastStatus;
    await expect.poll(status, { timeout: 15_000 }).toBe('STOPPED');
  });

  const passToken = {
    Overrides: {
      ContainerOverrides: [
        { Name: 'main', Environment: [{ Name: 'TOKEN', Value: '{% $states.context.Task.Token %}' }] },
      ],
    },
  };
  const answer = `const { SFNClient, SendTaskSuccessCommand } = require(process.env.SFN);
    new SFNClient({}).send(new SendTaskSuccessCommand({ taskToken: process.env.TOKEN, output: '{"done":true}' }));`;

  it('.waitForTaskToken is answered by the container', async () => {
    const definition = await define(answer, [{ Name: 'SFN', Value: sfnModule }]);
    const execution = await finish(task(token, parameters(definition, passToken), { TimeoutSeconds: 30 }));
    expect(execution.outcome).toEqual({ status: 'SUCCEEDED', output: { done: true } });
  });

  it('.waitForTaskToken ends by its heartbeat where the container dies in silence', async () => {
    const more = { HeartbeatSeconds: 1, TimeoutSeconds: 30 };
    const execution = await finish(task(token, parameters(await define('process.exit(1)'), passToken), more));
    expect(execution.outcome).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
  });

  it.each([
    [sync, {}],
    [token, passToken],
  ])('%s fails where nothing could be placed', async (resource, more) => {
    const execution = await finish(task(resource, parameters('any', { ...more, Group: 'no-room' })));
    expect(execution.outcome).toMatchObject({ status: 'FAILED', error: 'AmazonECS.Unknown' });
    expect(execution.outcome?.cause).toContain('RESOURCE:MEMORY');
    expect(types(execution)).toContain('TaskSubmitFailed');
  });

  it('names the errors of the API', async () => {
    const { outcome } = await finish(task(sync, parameters(await define(''), { Cluster: 'unknown' })));
    expect(outcome).toMatchObject({ error: 'ECS.ClusterNotFoundException' });
  });
});

describe('sns:publish', () => {
  const publish = 'arn:aws:states:::sns:publish';

  it('sends what is not text as JSON', async () => {
    const calls: ApiCall[] = [];
    const remove = host.intercept((call) => void calls.push(call));
    const topic = await sns.resources?.['AWS::SNS::Topic']?.({ TopicName: 'topic' }, about('Topic'));
    const { outcome } = await finish(task(publish, { TopicArn: topic?.ref, Message: { n: 1 } }));
    remove();
    expect(outcome).toEqual({ status: 'SUCCEEDED', output: { MessageId: expect.stringMatching(/^[\w-]{36}$/) } });
    expect(sns.messages(topic?.ref)).toMatchObject([{ texts: { default: '{"n":1}' } }]);
    expect(calls).toContainEqual(
      expect.objectContaining({
        action: 'sns:Publish',
        resource: topic?.ref,
        principal: expect.objectContaining({ roleArn }),
      }),
    );
  });

  it('names the errors of the API', async () => {
    const TopicArn = 'arn:aws:sns:eu-west-1:111122223333:none';
    const { outcome } = await finish(task(publish, { TopicArn, Message: 'text' }));
    expect(outcome).toMatchObject({ error: 'SNS.NotFoundException' });
  });
});

describe('states:startExecution', () => {
  const nested = async (pattern: string, definition: StateDefinitions, Input: unknown = { n: 1 }) =>
    task(`arn:aws:states:::states:startExecution${pattern}`, { StateMachineArn: await cloud.make(definition), Input });
  const echo: StateDefinitions = { Echo: { Type: 'Pass', End: true } };

  it('goes on at once', async () => {
    const { outcome } = await finish(await nested('', echo));
    expect(outcome?.output).toMatchObject({
      ExecutionArn: expect.stringContaining(':execution:'),
      StartDate: expect.any(Number),
    });
  });

  it('.sync:2 gives input and output as JSON, .sync as text', async () => {
    const two = await finish(await nested('.sync:2', echo));
    expect(two.outcome?.output).toMatchObject({ Status: 'SUCCEEDED', Input: { n: 1 }, Output: { n: 1 } });
    const one = await finish(await nested('.sync', echo));
    expect(one.outcome?.output).toMatchObject({ Input: '{"n":1}', Output: '{"n":1}' });
  });

  it('.sync:2 fails with the child’s failure as cause', async () => {
    const { outcome } = await finish(await nested('.sync:2', { No: { Type: 'Fail', Error: 'Inner', Cause: 'deep' } }));
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'States.TaskFailed' });
    expect(JSON.parse(outcome?.cause ?? '')).toMatchObject({ Status: 'FAILED', Error: 'Inner', Cause: 'deep' });
  });

  it('.sync stops the child when its own time is over', async () => {
    const endless = await nested('.sync', { Wait: { Type: 'Wait', Seconds: 600, End: true } });
    const { outcome, events } = await finish({ Do: { ...endless.Do, TimeoutSeconds: 1 } });
    expect(outcome).toEqual({ status: 'FAILED', error: 'States.Timeout' });
    const submitted = events.find(({ type }) => type === 'TaskSubmitted')?.taskSubmittedEventDetails;
    const { ExecutionArn } = JSON.parse(String(submitted?.output));
    expect((await states.ended(ExecutionArn)).outcome).toMatchObject({
      status: 'ABORTED',
      cause: expect.stringContaining('which was managing this resource was aborted'),
    });
  });

  it('names the errors of the API', async () => {
    const StateMachineArn = 'arn:aws:states:eu-west-1:111122223333:stateMachine:none';
    const { outcome } = await finish(task('arn:aws:states:::states:startExecution', { StateMachineArn }));
    expect(outcome).toMatchObject({ error: 'StepFunctions.StateMachineDoesNotExistException' });
  });
});
