import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { DescribeTasksCommand, ECSClient, ListTasksCommand, RunTaskCommand } from '@aws-sdk/client-ecs';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { beforeAll, describe, expect, it } from 'vitest';
import { sendSigned } from '../../local/runtime/signed-request.ts';
import { account, allow, as, host, make, refusal, region, role, root, services } from './iam-host.ts';

const image = `${account}.dkr.ecr.${region}.amazonaws.com/images:tag`;
let made = 0;

describe('a service', () => {
  it('takes on roles alone that trust it, for what it does for this account', async () => {
    const stranger = await role([], 'ec2.amazonaws.com');
    mkdirSync(join(root, 'code'), { recursive: true });
    writeFileSync(join(root, 'code', 'index.js'), 'exports.handler = async () => 1;');
    const fn = (Role: string) =>
      make('AWS::Lambda::Function', {
        FunctionName: `f${++made}`,
        Code: { S3Bucket: 'assets', S3Key: 'code.zip' },
        Handler: 'index.handler',
        Runtime: 'nodejs24.x',
        Role,
      });
    await expect(fn(stranger)).rejects.toThrow(
      `User: lambda.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: ${stranger}`,
    );
    const { ref } = await fn(await role([], 'lambda.amazonaws.com'));
    expect(ref).toBeDefined();

    const group = (await make('AWS::Scheduler::ScheduleGroup', { Name: 'g' })).attributes?.Arn;
    const schedule = async (conditions: object) =>
      make('AWS::Scheduler::Schedule', {
        Name: `s${++made}`,
        GroupName: 'g',
        ScheduleExpression: 'rate(1 day)',
        State: 'DISABLED',
        FlexibleTimeWindow: { Mode: 'OFF' },
        Target: {
          Arn: `arn:aws:lambda:${region}:${account}:function:${ref}`,
          RoleArn: await role([], 'scheduler.amazonaws.com', { Condition: conditions }),
        },
      });
    await schedule({ StringEquals: { 'aws:SourceAccount': account }, ArnEquals: { 'aws:SourceArn': group } });
    await expect(schedule({ StringEquals: { 'aws:SourceAccount': '999999999999' } })).rejects.toThrow(/AssumeRole/);
    await expect(schedule({ ArnEquals: { 'aws:SourceArn': `${group}-other` } })).rejects.toThrow(/AssumeRole/);
  });

  it('limits a role to the items of a table that its condition names', async () => {
    await make('AWS::DynamoDB::Table', {
      TableName: 'items',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    });
    const Condition = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['orders/lease'] } };
    const table = `arn:aws:dynamodb:${region}:${account}:table/items`;
    const dynamo = new DynamoDBClient(await as(allow('dynamodb:GetItem', table, { Condition })));
    const get = (id: string) => dynamo.send(new GetItemCommand({ TableName: 'items', Key: { id: { S: id } } }));
    expect((await get('orders/lease')).Item).toBeUndefined();
    await expect(get('ledger/lease')).rejects.toThrow(/not authorized to perform: dynamodb:GetItem/);
  });

  it('loses the lines of a function that may not write its log', async () => {
    const logged = async (...statements: object[]) => {
      const FunctionName = `logger${++made}`;
      mkdirSync(join(root, FunctionName), { recursive: true });
      writeFileSync(join(root, FunctionName, 'index.js'), 'exports.handler = async () => { console.log("said"); };');
      await make('AWS::Lambda::Function', {
        FunctionName,
        Code: { S3Bucket: 'assets', S3Key: `${FunctionName}.zip` },
        Handler: 'index.handler',
        Runtime: 'nodejs24.x',
        Role: await role(statements, 'lambda.amazonaws.com'),
      });
      const path = `/2015-03-31/functions/${FunctionName}/invocations`;
      await sendSigned(host.world, host.identity.administrator, { service: 'lambda', region, path, body: '{}' });
      return services.logs
        .lines(region, `/aws/lambda/${FunctionName}`)
        .map(({ message }) => message)
        .join();
    };
    expect(await logged(allow(['logs:CreateLogStream', 'logs:PutLogEvents']))).toContain('said');
    expect(await logged(allow('logs:CreateLogStream'))).toBe('');
  });
});

describe('a state machine', () => {
  const machine = async (roleArn: string, logs = false) =>
    make('AWS::StepFunctions::StateMachine', {
      StateMachineName: `m${++made}`,
      RoleArn: roleArn,
      DefinitionString: JSON.stringify({
        QueryLanguage: 'JSONata',
        StartAt: 'Read',
        States: {
          Read: {
            Type: 'Task',
            Resource: 'arn:aws:states:::aws-sdk:ssm:getParameter',
            Arguments: { Name: '/machine' },
            End: true,
          },
        },
      }),
      ...(logs && {
        LoggingConfiguration: {
          Level: 'ALL',
          Destinations: [
            { CloudWatchLogsLogGroup: { LogGroupArn: `arn:aws:logs:${region}:${account}:log-group:m:*` } },
          ],
        },
      }),
    });

  it('is not made for a role that does not trust it or may not deliver its log', async () => {
    await expect(machine(await role([]))).rejects.toThrow(/User: states.amazonaws.com is not authorized/);
    const silent = await role([], 'states.amazonaws.com');
    await expect(machine(silent, true)).rejects.toThrow(/not authorized to access the Log Destination.*logs:CreateLog/);
    await machine(silent);
    await machine(await role([allow('logs:*')], 'states.amazonaws.com'), true);
  });

  it('fails with the action and the resource that its role lacks', async () => {
    const sfn = new SFNClient(host.client(region));
    const { ref } = await machine(await role([], 'states.amazonaws.com'));
    const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn: ref, input: '{}' }));
    await services.states.ended(String(executionArn));
    expect(await sfn.send(new DescribeExecutionCommand({ executionArn }))).toMatchObject({
      status: 'FAILED',
      error: 'Ssm.AccessDeniedException',
      cause: expect.stringContaining(
        `ssm:GetParameter on resource: arn:aws:ssm:${region}:${account}:parameter/machine`,
      ),
    });
  });
});

describe('RunTask', () => {
  const cluster = `arn:aws:ecs:${region}:${account}:cluster/tasks`;
  const inCluster = { Condition: { ArnEquals: { 'ecs:cluster': cluster } } };
  const run = allow('ecs:RunTask', '*', inCluster);
  const pull = allow([
    'ecr:GetAuthorizationToken',
    'ecr:BatchCheckLayerAvailability',
    'ecr:BatchGetImage',
    'ecr:GetDownloadUrlForLayer',
  ]);
  const log = allow(['logs:CreateLogStream', 'logs:PutLogEvents']);

  beforeAll(() => make('AWS::ECS::Cluster', { ClusterName: 'tasks' }));

  const define = async (roles: object) =>
    (
      await make('AWS::ECS::TaskDefinition', {
        Family: `family${++made}`,
        Cpu: '256',
        Memory: '512',
        NetworkMode: 'awsvpc',
        RequiresCompatibilities: ['FARGATE'],
        ContainerDefinitions: [
          {
            Name: 'main',
            Image: image,
            Command: ['node', '-e', ''],
            LogConfiguration: {
              LogDriver: 'awslogs',
              Options: { 'awslogs-group': '/tasks', 'awslogs-region': region, 'awslogs-stream-prefix': 'p' },
            },
          },
        ],
        ...roles,
      })
    ).ref;
  const start = (taskDefinition: string, rest: object = {}) =>
    new RunTaskCommand({
      cluster: 'tasks',
      taskDefinition,
      launchType: 'FARGATE',
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'] } },
      ...rest,
    });
  /** How a task ends that the administrator starts. */
  const ending = async (taskDefinition: string) => {
    const client = new ECSClient(host.client(region));
    const { tasks } = await client.send(start(taskDefinition));
    const describeTask = new DescribeTasksCommand({ cluster: 'tasks', tasks: [String(tasks?.[0]?.taskArn)] });
    const stopped = async () => (await client.send(describeTask)).tasks?.[0];
    await expect.poll(async () => (await stopped())?.lastStatus, { timeout: 10_000 }).toBe('STOPPED');
    return stopped();
  };

  it('takes passing on the roles of the definition and of the overrides, to tasks', async () => {
    const [TaskRoleArn, ExecutionRoleArn, other] = [await role([]), await role([pull, log]), await role([])];
    const definition = await define({ TaskRoleArn, ExecutionRoleArn });
    const pass = (Resource: string[], service = 'ecs-tasks.amazonaws.com') =>
      allow('iam:PassRole', Resource, { Condition: { StringEquals: { 'iam:PassedToService': service } } });
    const attempt = async (statements: object[], rest: object = {}) =>
      new ECSClient(await as(...statements)).send(start(definition, rest));

    for (const [passed, missing] of [
      [ExecutionRoleArn, TaskRoleArn],
      [TaskRoleArn, ExecutionRoleArn],
    ]) {
      const refused = await refusal(attempt([run, pass([passed as string])]));
      expect(refused).toMatchObject({ code: 'AccessDeniedException', status: 400 });
      expect(refused.message).toContain(`iam:PassRole on resource: ${missing}`);
    }
    const both = [TaskRoleArn as string, ExecutionRoleArn as string];
    expect((await refusal(attempt([run, pass(both, 'lambda.amazonaws.com')]))).message).toContain('iam:PassRole');
    await attempt([run, pass(both)]);
    const override = { overrides: { taskRoleArn: other } };
    expect((await refusal(attempt([run, pass(both)], override))).message).toContain(`PassRole on resource: ${other}`);
    await attempt([run, pass([other as string, ExecutionRoleArn as string])], override);

    expect((await refusal(attempt([run, pass(both)], { propagateTags: 'TASK_DEFINITION' }))).message).toContain(
      `ecs:TagResource on resource: arn:aws:ecs:${region}:${account}:task/tasks/*`,
    );
    const elsewhere = allow('ecs:RunTask', '*', { Condition: { ArnEquals: { 'ecs:cluster': `${cluster}-2` } } });
    expect((await refusal(attempt([elsewhere, pass(both)]))).message).toContain('perform: ecs:RunTask');
    await new ECSClient(await as(allow('ecs:ListTasks', '*', inCluster))).send(
      new ListTasksCommand({ cluster: 'tasks' }),
    );
  });

  it('stops a task whose image cannot be pulled, whose log cannot be opened, whose role does not trust ECS', async () => {
    const reason = async (roles: object) => (await ending(await define(roles)))?.stoppedReason;
    expect(await reason({ ExecutionRoleArn: await role([log]) })).toMatch(
      /^ResourceInitializationError.*ecr:GetAuthorizationToken on resource: \*/,
    );
    expect(await reason({ ExecutionRoleArn: await role([allow('ecr:GetAuthorizationToken'), log]) })).toMatch(
      /^CannotPullContainerError.*ecr:\w+ on resource: arn:aws:ecr:eu-north-1:111122223333:repository\/images/,
    );
    expect(await reason({ ExecutionRoleArn: await role([pull]) })).toMatch(
      /^ResourceInitializationError.*logs:CreateLogStream on resource: arn:aws:logs:\S+:log-group:\/tasks:log-stream:p\/main\//,
    );
    const ExecutionRoleArn = await role([pull, log]);
    const TaskRoleArn = await role([], 'lambda.amazonaws.com');
    expect(await reason({ ExecutionRoleArn, TaskRoleArn })).toMatch(/^ECS was unable to assume the role/);
    expect(await reason({ ExecutionRoleArn, TaskRoleArn: await role([]) })).toBe('Essential container in task exited');
  });
});
