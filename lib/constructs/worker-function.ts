import { join } from 'node:path';
import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import { type Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, type CfnFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogLevel, NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { functionName } from '../config/names.ts';
import { allow, type Grant, makeRole } from './permissions.ts';
import { projectRoot } from './project.ts';

export interface WorkerFunctionProps {
  readonly system: string;
  /** Name of the file in lambdas/, without its extension. */
  readonly name: string;
  readonly description: string;
  readonly timeout: Duration;
  /** MiB; Lambda gives CPU in proportion, one whole vCPU at 1769. */
  readonly memorySize: number;
  readonly environment?: Record<string, string>;
  readonly grants: readonly Grant[];
  /** So that stacks of databases can allow it more, by name. @default a generated one */
  readonly roleName?: string;
  /** For functions that speak to databases. @default none: AWS APIs of every region can be reached */
  readonly network?: { readonly subnetIds: readonly string[]; readonly securityGroupId: string };
}

/** What Lambda does on behalf of a function that has a network. */
const networkInterfaces: Grant = {
  actions: [
    'ec2:CreateNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:DeleteNetworkInterface',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ],
  resources: ['*'],
  wildcard: 'Lambda names its interfaces by itself; the actions have no narrower resource.',
};

const tracing: Grant = {
  actions: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'],
  resources: ['*'],
  wildcard: 'X-Ray has no resources to name: a trace belongs to nobody.',
};

/** One file of lambdas/ as a function, with a role and a log of its own. */
export class WorkerFunction extends Construct {
  readonly function: NodejsFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: WorkerFunctionProps) {
    super(scope, id);
    const name = functionName(props.system, props.name);
    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${name}`,
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = makeRole(this, 'Role', new ServicePrincipal('lambda.amazonaws.com'), props.description, props.roleName);
    allow(this.role, { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] });
    allow(this.role, tracing, ...props.grants, ...(props.network ? [networkInterfaces] : []));
    this.function = new NodejsFunction(this, 'Function', {
      functionName: name,
      description: props.description,
      entry: join(projectRoot, 'lambdas', `${props.name}.ts`),
      depsLockFilePath: join(projectRoot, 'package-lock.json'),
      projectRoot,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      timeout: props.timeout,
      memorySize: props.memorySize,
      role: this.role,
      logGroup,
      environment: {
        POWERTOOLS_SERVICE_NAME: 'pgdr',
        POWERTOOLS_METRICS_NAMESPACE: 'pgdr',
        NODE_OPTIONS: '--enable-source-maps',
        ...props.environment,
      },
      awsSdkConnectionReuse: false, // Sets a variable that only the SDK's version 2 reads.
      bundling: {
        format: OutputFormat.ESM,
        target: 'node24',
        mainFields: ['module', 'main'],
        sourceMap: true,
        logLevel: LogLevel.ERROR,
        // The SDK of the lock file, which is the one that was tested, rather than the runtime's.
        bundleAwsSDK: true,
        // Dependencies that are still CommonJS call require, which a module does not have.
        banner: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    });
    const resource = this.function.node.defaultChild as CfnFunction;
    // Not by the property `tracing`, with which CDK would add the permission by itself.
    resource.tracingConfig = { mode: 'Active' };
    if (props.network) {
      const { subnetIds, securityGroupId } = props.network;
      resource.vpcConfig = {
        subnetIds: [...subnetIds],
        securityGroupIds: [securityGroupId],
      };
    }
  }
}
