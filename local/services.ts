import type { Accounts } from './accounts.ts';
import { createCloudFormation } from './facades/cloudformation.ts';
import { createCloudWatch } from './facades/cloudwatch.ts';
import { createDynamoDb } from './facades/dynamodb.ts';
import { createEc2 } from './facades/ec2.ts';
import { createEcs, type TaskOptions } from './facades/ecs.ts';
import { createIam } from './facades/iam.ts';
import { createInert } from './facades/inert.ts';
import { createKms } from './facades/kms.ts';
import { createLambda, type LambdaOptions } from './facades/lambda.ts';
import { createLogs } from './facades/logs.ts';
import { createRoute53, type Route53Options } from './facades/route53.ts';
import { createS3 } from './facades/s3.ts';
import { createScheduler } from './facades/scheduler.ts';
import { createSecretsManager } from './facades/secrets-manager.ts';
import { createSns } from './facades/sns.ts';
import { createSqs } from './facades/sqs.ts';
import { createSsm } from './facades/ssm.ts';
import { createStates } from './facades/states.ts';
import { createSts } from './facades/sts.ts';
import type { Host } from './host.ts';
import type { OnMetric } from './runtime/service-metrics.ts';

/** Facades that tests and terminals use in process, as the outside world of the cloud. */
export interface Services {
  readonly states: ReturnType<typeof createStates>;
  readonly s3: ReturnType<typeof createS3>;
  readonly ec2: ReturnType<typeof createEc2>;
  readonly ecs: ReturnType<typeof createEcs>;
  readonly lambda: ReturnType<typeof createLambda>;
  readonly scheduler: ReturnType<typeof createScheduler>;
  readonly sns: ReturnType<typeof createSns>;
  readonly sqs: ReturnType<typeof createSqs>;
  readonly logs: ReturnType<typeof createLogs>;
  readonly cloudwatch: ReturnType<typeof createCloudWatch>;
  readonly route53: ReturnType<typeof createRoute53>;
  readonly ssm: ReturnType<typeof createSsm>;
  readonly kms: ReturnType<typeof createKms>;
  readonly iam: ReturnType<typeof createIam>;
}

/**
 * Every service of this cloud. A host closes facades in the reverse order: what starts work (schedules, workflows)
 * stops before what carries it out (tasks, functions), and both before what they write to.
 */
export function createServices(
  host: Host,
  options: TaskOptions & LambdaOptions & Pick<Route53Options, 'dnsPort'> & { readonly accounts?: Accounts },
): Services {
  const { world } = host;
  for (const create of [createInert, createSts, createSecretsManager, createDynamoDb]) host.add(create(world));
  const iam = host.add(createIam(world));
  const kms = host.add(createKms(world));
  const ssm = host.add(createSsm(world));
  const onMetric: OnMetric = (sample) => cloudwatch.record(sample);
  const s3 = host.add(createS3(world, { onMetric, accounts: options.accounts }));
  const cloudwatch = host.add(
    createCloudWatch(world, { publishFromService: (...message) => sns.publishFromService(...message) }),
  );
  const route53 = host.add(createRoute53(world, { cloudwatch, dnsPort: options.dnsPort }));
  const logs = host.add(createLogs(world, { onMetric }));
  const ec2 = host.add(createEc2(world));
  const ecs = host.add(createEcs(world, options));
  const nameServer = async (): Promise<string> => {
    const { address, port } = await route53.nameServer();
    return `${address}:${port}`;
  };
  const lambda = host.add(createLambda(world, { ...options, nameServer, onMetric }));
  host.add(createCloudFormation(world, { invoke: lambda.invokeAsDeployer }));
  const sqs = host.add(createSqs(world, { onMetric }));
  const { invokeFromService } = lambda;
  const sns = host.add(createSns(world, { invokeFromService, sendFromService: sqs.sendFromService }));
  const states = host.add(createStates(world, { onMetric }));
  const scheduler = host.add(createScheduler(world, { onMetric }));
  return { states, s3, ec2, ecs, lambda, scheduler, sns, sqs, logs, cloudwatch, route53, ssm, kms, iam };
}
