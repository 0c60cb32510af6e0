import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, CfnOutput, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as targets from 'aws-cdk-lib/aws-scheduler-targets';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';

export const REGION = 'eu-north-1';
export const OTHER_REGION = 'us-east-1';

/** What a function does: greets, and leaves what SNS sends it in the log. */
const FUNCTION = `exports.handler = async (event) => {
  console.log('told ' + JSON.stringify(event.Records ? event.Records[0].Sns.Message : event));
  return { greeting: process.env.GREETING + ' ' + event.name, region: process.env.AWS_REGION };
};`;

/** What a container does: fetches its role's credentials as an SDK would, and reports who it is. */
const CONTAINER = `const answer = await fetch(process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI);
const { RoleArn } = await answer.json();
console.log('container of ' + RoleArn + ' ' + process.argv.slice(2).join(' '));
`;

/** A small app of somebody else: every service that the local cloud offers, over two stacks and two regions. */
export function synthesizeApp(folder: string): string {
  const code = join(folder, 'function');
  const image = join(folder, 'image');
  for (const made of [code, image]) mkdirSync(made, { recursive: true });
  writeFileSync(join(code, 'index.js'), FUNCTION);
  writeFileSync(join(image, 'main.mjs'), CONTAINER);
  writeFileSync(join(image, 'Dockerfile'), 'FROM node:24\nARG FLAVOUR\nWORKDIR /app\nCOPY . .\n');

  const outdir = join(folder, 'cdk.out');
  const app = new App({ outdir, analyticsReporting: false });
  const base = new Stack(app, 'Base', { env: { region: REGION } });
  const key = new kms.Key(base, 'Key', { alias: 'alias/app', enableKeyRotation: true });
  const bucket = new s3.Bucket(base, 'Bucket', { versioned: true, removalPolicy: RemovalPolicy.RETAIN });
  const topic = new sns.Topic(base, 'Topic', { topicName: 'news' });
  const vpc = new ec2.Vpc(base, 'Vpc', {
    maxAzs: 2,
    natGateways: 0,
    restrictDefaultSecurityGroup: false,
    subnetConfiguration: [{ name: 'inner', subnetType: ec2.SubnetType.PRIVATE_ISOLATED }],
  });

  const greet = new lambda.Function(base, 'Greet', {
    functionName: 'greet',
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromAsset(code),
    environment: { GREETING: 'hello' },
  });
  topic.addSubscription(new subscriptions.LambdaSubscription(greet));

  const cluster = new ecs.CfnCluster(base, 'Cluster', { clusterName: 'workers' });
  const task = new ecs.FargateTaskDefinition(base, 'Task', { family: 'worker' });
  task.addContainer('main', {
    image: ecs.ContainerImage.fromAsset(image, { buildArgs: { FLAVOUR: 'plain' } }),
    entryPoint: ['node', 'main.mjs'],
    logging: ecs.LogDrivers.awsLogs({
      streamPrefix: 'worker',
      logGroup: new logs.LogGroup(base, 'TaskLogs', { logGroupName: '/tasks' }),
    }),
  });

  const dead = new sqs.Queue(base, 'Dead', { queueName: 'dead' });
  const machine = new sfn.StateMachine(base, 'Machine', {
    stateMachineName: 'flow',
    definitionBody: sfn.DefinitionBody.fromString(JSON.stringify(DEFINITION)),
    definitionSubstitutions: {
      Cluster: cluster.ref,
      Task: task.taskDefinitionArn,
      Greet: greet.functionArn,
      Topic: topic.topicArn,
      Subnets: vpc.isolatedSubnets.map(({ subnetId }) => subnetId).join(','),
    },
  });
  greet.grantInvoke(machine);
  topic.grantPublish(machine);
  task.grantRun(machine);
  machine.addToRolePolicy(
    new iam.PolicyStatement({
      actions: ['ecs:StopTask', 'ecs:DescribeTasks'],
      resources: [base.formatArn({ service: 'ecs', resource: 'task', resourceName: `${cluster.clusterName}/*` })],
    }),
  );
  new scheduler.Schedule(base, 'Nightly', {
    scheduleName: 'nightly',
    schedule: scheduler.ScheduleExpression.cron({ hour: '2', minute: '0' }),
    target: new targets.StepFunctionsStartExecution(machine, {
      input: scheduler.ScheduleTargetInput.fromObject({ name: 'schedule' }),
      deadLetterQueue: dead,
    }),
  });

  const user = new Stack(app, 'User', { env: { region: REGION } });
  new ssm.StringParameter(user, 'Parameter', { parameterName: '/app/bucket', stringValue: bucket.bucketName });
  new CfnOutput(user, 'KeyArn', { value: key.keyArn });

  const elsewhere = new Stack(app, 'Elsewhere', { env: { region: OTHER_REGION } });
  const secret = new secretsmanager.Secret(elsewhere, 'Secret', { secretName: 'password' });
  new CfnOutput(elsewhere, 'SecretArn', { value: secret.secretArn });

  app.synth();
  return outdir;
}

const DEFINITION = {
  QueryLanguage: 'JSONata',
  StartAt: 'Run a container',
  States: {
    'Run a container': {
      Type: 'Task',
      Resource: 'arn:aws:states:::ecs:runTask.sync',
      Arguments: {
        // biome-ignore-start lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
        Cluster: '${Cluster}',
        TaskDefinition: '${Task}',
        LaunchType: 'FARGATE',
        NetworkConfiguration: { AwsvpcConfiguration: { Subnets: "{% $split('${Subnets}', ',') %}" } },
        Overrides: { ContainerOverrides: [{ Name: 'main', Command: ['for', '{% $states.input.name %}'] }] },
      },
      Output: '{% $states.input %}',
      Next: 'Greet',
    },
    Greet: {
      Type: 'Task',
      Resource: 'arn:aws:states:::lambda:invoke',
      Arguments: { FunctionName: '${Greet}', Payload: '{% $states.input %}' },
      Output: '{% $states.result.Payload %}',
      Next: 'Tell',
    },
    Tell: {
      Type: 'Task',
      Resource: 'arn:aws:states:::sns:publish',
      Arguments: { TopicArn: '${Topic}', Message: '{% $states.input.greeting %}' },
      // biome-ignore-end lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
      Output: '{% $states.input %}',
      End: true,
    },
  },
};
