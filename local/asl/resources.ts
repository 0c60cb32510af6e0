/** What a Task's Resource may be. */
export interface TaskResource {
  /** `lambda`, `ecs`, `aws-sdk:s3`: the history's resourceType. */
  readonly type: string;
  /** `invoke`, `runTask.sync`: the history's resource. */
  readonly resource: string;
  /** The service below `aws-sdk:` or the optimised integration's name. */
  readonly service: string;
  readonly action: string;
  readonly isSdk: boolean;
  /** Request response, run a job, or wait for the task's token. */
  readonly pattern: 'response' | 'sync' | 'sync:2' | 'waitForTaskToken';
}

type Pattern = TaskResource['pattern'];

const optimised: Record<string, readonly Pattern[]> = {
  'lambda:invoke': ['response', 'waitForTaskToken'],
  'ecs:runTask': ['response', 'sync', 'waitForTaskToken'],
  'sns:publish': ['response', 'waitForTaskToken'],
  'states:startExecution': ['response', 'sync', 'sync:2', 'waitForTaskToken'],
  'dynamodb:getItem': ['response'],
  'dynamodb:putItem': ['response'],
  'dynamodb:updateItem': ['response'],
  'dynamodb:deleteItem': ['response'],
};

/** AWS SDK integrations: the client package, and the prefix of its errors (the Java SDK's name of the service). */
export const sdkServices: Readonly<Record<string, { readonly client: string; readonly prefix: string }>> = {
  backup: { client: 'backup', prefix: 'Backup' },
  cloudwatch: { client: 'cloudwatch', prefix: 'CloudWatch' },
  cloudwatchlogs: { client: 'cloudwatch-logs', prefix: 'CloudWatchLogs' },
  dynamodb: { client: 'dynamodb', prefix: 'DynamoDb' },
  ec2: { client: 'ec2', prefix: 'Ec2' },
  ecs: { client: 'ecs', prefix: 'Ecs' },
  kms: { client: 'kms', prefix: 'Kms' },
  rds: { client: 'rds', prefix: 'Rds' },
  route53: { client: 'route-53', prefix: 'Route53' },
  s3: { client: 's3', prefix: 'S3' },
  scheduler: { client: 'scheduler', prefix: 'Scheduler' },
  secretsmanager: { client: 'secrets-manager', prefix: 'SecretsManager' },
  sfn: { client: 'sfn', prefix: 'Sfn' },
  sns: { client: 'sns', prefix: 'Sns' },
  sqs: { client: 'sqs', prefix: 'Sqs' },
  ssm: { client: 'ssm', prefix: 'Ssm' },
  sts: { client: 'sts', prefix: 'Sts' },
};

/** Takes a Resource apart; throws an Error that says what is wrong with it. */
export function parseResource(arn: string): TaskResource {
  if (/^arn:aws[a-z-]*:lambda:/.test(arn)) {
    throw new Error(`${arn} is a function's ARN; try arn:aws:states:::lambda:invoke with Arguments.FunctionName`);
  }
  const match = /^arn:aws[a-z-]*:states:::(.+)$/.exec(arn);
  if (!match?.[1]) throw new Error(`${arn} is not a known resource; try arn:aws:states:::<service>:<action>`);
  const [name = '', ...suffixes] = match[1].split('.');
  const pattern = (suffixes.join('.') || 'response') as Pattern;
  const sdk = /^aws-sdk:([a-z0-9]+):([a-z][A-Za-z0-9]+)$/.exec(name);
  if (sdk) return parseSdk(sdk[1] as string, sdk[2] as string, pattern);
  const patterns = optimised[name];
  if (!patterns) throw new Error(`${name} is not a known integration; known: ${Object.keys(optimised).join(', ')}`);
  if (!patterns.includes(pattern)) throw new Error(`${name} cannot be used with .${pattern}`);
  const [service = '', action = ''] = name.split(':');
  return { type: service, resource: match[1].slice(service.length + 1), service, action, isSdk: false, pattern };
}

function parseSdk(service: string, action: string, pattern: Pattern): TaskResource {
  if (!Object.hasOwn(sdkServices, service)) {
    throw new Error(`aws-sdk:${service} is not a known service; known: ${Object.keys(sdkServices).join(', ')}`);
  }
  if (pattern !== 'response' && pattern !== 'waitForTaskToken') {
    throw new Error(`an AWS SDK integration cannot be used with .${pattern}`);
  }
  const suffix = pattern === 'response' ? '' : '.waitForTaskToken';
  return { type: `aws-sdk:${service}`, resource: action + suffix, service, action, isSdk: true, pattern };
}
