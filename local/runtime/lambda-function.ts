import type { ResourceContext, World } from '../facade.ts';
import { onlyKnown, required, tagMap } from './properties.ts';

export interface LambdaFunction {
  readonly arn: string;
  readonly name: string;
  readonly region: string;
  readonly roleArn: string;
  readonly handler: string;
  readonly runtime: string;
  /** The unpacked bundle: stands for /var/task. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Seconds. */
  readonly timeout: number;
  /** MiB. */
  readonly memorySize: number;
  readonly description: string;
  readonly architectures: readonly string[];
  readonly logGroup: string;
  readonly logFormat: 'Text' | 'JSON';
  /** Where failed asynchronous events go: an SQS queue's ARN. */
  readonly deadLetterQueue?: string;
  readonly reservedConcurrency?: number;
  /** Names of private zones are known to it. */
  readonly inVpc: boolean;
  /** By itself, and not only when its caller is. */
  readonly traced: boolean;
  readonly lastModified: string;
  readonly tags: Readonly<Record<string, string>>;
}

const TYPE = 'AWS::Lambda::Function';

const PROPERTIES = [
  'Architectures',
  'Code',
  'DeadLetterConfig',
  'Description',
  'Environment',
  'EphemeralStorage',
  'FunctionName',
  'Handler',
  'KmsKeyArn',
  'LoggingConfig',
  'MemorySize',
  'PackageType',
  'RecursiveLoop',
  'ReservedConcurrentExecutions',
  'Role',
  'Runtime',
  'Tags',
  'Timeout',
  'TracingConfig',
  'VpcConfig',
];
const REFUSED = {
  Layers: 'bundle the code of the layer with the function',
  ImageConfig: 'functions are zip packages here',
  FileSystemConfigs: 'there are no file systems to mount',
};
/** Lambda refuses functions that set these. */
const RESERVED =
  /^(_HANDLER|_X_AMZN_TRACE_ID|AWS_(DEFAULT_)?REGION|AWS_EXECUTION_ENV|AWS_LAMBDA_\w+|AWS_ACCESS_KEY(_ID)?|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|LAMBDA_TASK_ROOT|LAMBDA_RUNTIME_DIR)$/;

/** Reads the properties of an AWS::Lambda::Function. @param fileAsset the folder of an asset by its key in the bucket */
export function readFunction(
  properties: any,
  context: ResourceContext,
  world: World,
  fileAsset: (key: string) => string | undefined,
): LambdaFunction {
  onlyKnown(TYPE, context, properties, PROPERTIES, REFUSED);
  const fail = (message: string): never => {
    throw new Error(`${TYPE} ${context.stack}/${context.logicalId}: ${message}`);
  };
  const runtime = String(required(TYPE, context, properties, 'Runtime'));
  if (!/^nodejs\d+\.x$/.test(runtime)) fail(`only Node.js runtimes run here, not ${runtime}`);
  if (properties.PackageType && properties.PackageType !== 'Zip') fail('only PackageType Zip is supported');
  const code = properties.Code ?? {};
  onlyKnown(`${TYPE} Code`, context, code, ['S3Bucket', 'S3Key'], {
    ZipFile: 'inline code is not supported; make it an asset',
  });
  const directory = fileAsset(String(code.S3Key)) ?? fail(`the assembly has no file asset ${code.S3Key}`);
  const environment: Record<string, string> = properties.Environment?.Variables ?? {};
  const reserved = Object.keys(environment).find((name) => RESERVED.test(name));
  if (reserved) fail(`the environment variable ${reserved} is reserved by Lambda`);
  const logging = properties.LoggingConfig ?? {};
  onlyKnown(`${TYPE} LoggingConfig`, context, logging, [
    'ApplicationLogLevel',
    'LogFormat',
    'LogGroup',
    'SystemLogLevel',
  ]);
  const deadLetterQueue = properties.DeadLetterConfig?.TargetArn;
  if (deadLetterQueue && !/^arn:[\w-]+:sqs:/.test(deadLetterQueue))
    fail('only an SQS queue can be the DeadLetterConfig target');
  const timeout = Number(properties.Timeout ?? 3);
  if (!(timeout >= 1 && timeout <= 900)) fail(`Timeout must be 1 to 900 seconds, not ${properties.Timeout}`);
  const memorySize = Number(properties.MemorySize ?? 128);
  if (!(memorySize >= 128 && memorySize <= 10240))
    fail(`MemorySize must be 128 to 10240 MB, not ${properties.MemorySize}`);
  const name = properties.FunctionName ?? context.generatedName;
  return {
    arn: `arn:aws:lambda:${context.region}:${world.account}:function:${name}`,
    name,
    region: context.region,
    roleArn: String(required(TYPE, context, properties, 'Role')),
    handler: String(required(TYPE, context, properties, 'Handler')),
    runtime,
    directory,
    environment: Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, String(value)])),
    timeout,
    memorySize,
    description: properties.Description ?? '',
    architectures: properties.Architectures ?? ['x86_64'],
    logGroup: logging.LogGroup ?? `/aws/lambda/${name}`,
    logFormat: logging.LogFormat === 'JSON' ? 'JSON' : 'Text',
    deadLetterQueue,
    traced: properties.TracingConfig?.Mode === 'Active',
    inVpc: (properties.VpcConfig?.SubnetIds ?? []).length > 0,
    ...(properties.ReservedConcurrentExecutions !== undefined && {
      reservedConcurrency: Number(properties.ReservedConcurrentExecutions),
    }),
    lastModified: new Date(world.now()).toISOString().replace('Z', '+0000'),
    tags: tagMap(properties.Tags),
  };
}

/** A function's configuration as GetFunction and ListFunctions show it. */
export function describeFunction(fn: LambdaFunction): Record<string, unknown> {
  return {
    FunctionName: fn.name,
    FunctionArn: fn.arn,
    Runtime: fn.runtime,
    Role: fn.roleArn,
    Handler: fn.handler,
    CodeSize: 0,
    Description: fn.description,
    Timeout: fn.timeout,
    MemorySize: fn.memorySize,
    LastModified: fn.lastModified,
    Version: '$LATEST',
    Environment: { Variables: fn.environment },
    TracingConfig: { Mode: fn.traced ? 'Active' : 'PassThrough' },
    State: 'Active',
    LastUpdateStatus: 'Successful',
    PackageType: 'Zip',
    Architectures: fn.architectures,
    EphemeralStorage: { Size: 512 },
    LoggingConfig: { LogFormat: fn.logFormat, LogGroup: fn.logGroup },
    ...(fn.deadLetterQueue && { DeadLetterConfig: { TargetArn: fn.deadLetterQueue } }),
  };
}
