import { readPolicy } from '../iam/policy.ts';
import type { AttachedPolicy } from './iam.ts';

const LAMBDA_LOGS = ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'];

/** Those policies of AWS's own whose documents this cloud knows: a role with any other is refused. */
export const AWS_MANAGED_POLICIES: ReadonlyMap<string, AttachedPolicy> = new Map(
  Object.entries({
    'service-role/AWSLambdaBasicExecutionRole': LAMBDA_LOGS,
    'service-role/AmazonECSTaskExecutionRolePolicy': [
      'ecr:GetAuthorizationToken',
      'ecr:BatchCheckLayerAvailability',
      'ecr:GetDownloadUrlForLayer',
      'ecr:BatchGetImage',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ],
    AWSXRayDaemonWriteAccess: [
      'xray:PutTraceSegments',
      'xray:PutTelemetryRecords',
      'xray:GetSamplingRules',
      'xray:GetSamplingTargets',
      'xray:GetSamplingStatisticSummaries',
    ],
  }).map(([path, actions]) => {
    const name = path.split('/').at(-1) ?? path;
    const document = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] };
    return [`arn:aws:iam::aws:policy/${path}`, { name, document, statements: readPolicy(name, document, 'identity') }];
  }),
);
