import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as targets from 'aws-cdk-lib/aws-scheduler-targets';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';

export const NORTH = 'eu-north-1';
export const EAST = 'us-east-1';

/** Puts a metric into each of the regions that it is told, and says of each whether it was reached. */
const PROBE = `
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
export const handler = async ({ regions }) => {
  const reached = await Promise.all(regions.map(async (region) => {
    const client = new CloudWatchClient({ region, maxAttempts: 1 });
    const datum = { MetricName: 'From-' + process.env.AWS_REGION, Value: 1, Timestamp: new Date() };
    try {
      await client.send(new PutMetricDataCommand({ Namespace: 'Probe', MetricData: [datum] }));
      return [region, true];
    } catch (error) {
      return [region, false];
    }
  }));
  return { now: Date.now(), reached: Object.fromEntries(reached) };
};
`;
const TASK = 'process.on("SIGTERM", () => process.exit(0));\nsetInterval(() => console.log("up"), 200);\n';

/** The same stack in two regions: an hourly probe, a workflow that waits, and a service of one task. */
export function synthesizeRegions(folder: string): string {
  const code = join(folder, 'probe');
  const image = join(folder, 'image');
  for (const made of [code, image]) mkdirSync(made, { recursive: true });
  writeFileSync(join(code, 'index.mjs'), PROBE);
  writeFileSync(join(image, 'main.mjs'), TASK);
  writeFileSync(join(image, 'Dockerfile'), 'FROM node:24\nWORKDIR /app\nCOPY . .\nENTRYPOINT ["node", "main.mjs"]\n');
  const outdir = join(folder, 'cdk.out');
  const app = new App({ outdir, analyticsReporting: false });
  for (const region of [NORTH, EAST]) addStack(app, region, code, image);
  app.synth();
  return outdir;
}

function addStack(app: App, region: string, code: string, image: string): void {
  const stack = new Stack(app, `App-${region}`, { env: { region } });
  const probe = new lambda.Function(stack, 'Probe', {
    functionName: 'probe',
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromAsset(code),
  });
  probe.addToRolePolicy(new iam.PolicyStatement({ actions: ['cloudwatch:PutMetricData'], resources: ['*'] }));
  new scheduler.Schedule(stack, 'Hourly', {
    scheduleName: 'hourly',
    schedule: scheduler.ScheduleExpression.cron({ minute: '0' }),
    target: new targets.LambdaInvoke(probe, {
      input: scheduler.ScheduleTargetInput.fromObject({ regions: [NORTH, EAST] }),
    }),
  });
  new sqs.Queue(stack, 'Queue', { queueName: 'queue' });
  const definition = {
    QueryLanguage: 'JSONata',
    StartAt: 'Sleep',
    States: { Sleep: { Type: 'Wait', Seconds: 7200, Output: { done: true }, End: true } },
  };
  new sfn.StateMachine(stack, 'Sleeper', {
    stateMachineName: 'sleeper',
    definitionBody: sfn.DefinitionBody.fromString(JSON.stringify(definition)),
  });
  const cluster = new ecs.CfnCluster(stack, 'Cluster', { clusterName: 'workers' });
  const task = new ecs.FargateTaskDefinition(stack, 'Task', { family: 'worker' });
  task.addContainer('main', {
    image: ecs.ContainerImage.fromAsset(image),
    logging: ecs.LogDrivers.awsLogs({
      streamPrefix: 'worker',
      logGroup: new logs.LogGroup(stack, 'Logs', { logGroupName: '/tasks' }),
    }),
  });
  const service = new ecs.CfnService(stack, 'Service', {
    cluster: cluster.ref,
    serviceName: 'worker',
    taskDefinition: task.taskDefinitionArn,
    desiredCount: 1,
    launchType: 'FARGATE',
    networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-0123456789abcdef0'] } },
  });
  service.node.addDependency(task);
}
