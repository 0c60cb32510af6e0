import { ArnFormat, Aws, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import {
  backupBucketName,
  functionName,
  keyAlias,
  stateMachineName,
  type TaskPurpose,
  taskRoleName,
} from '../config/names.ts';

/**
 * ARNs from names. Stacks find each other by these literals and never by exports, so that a database comes or goes
 * without touching the platform, and no region asks another for anything.
 */

const arn = (scope: Construct, service: string, resource: string, name: string, arnFormat?: ArnFormat): string =>
  Stack.of(scope).formatArn({ service, resource, resourceName: name, arnFormat });

export const stateMachineArn = (scope: Construct, system: string, workflow: string): string =>
  arn(scope, 'states', 'stateMachine', stateMachineName(system, workflow), ArnFormat.COLON_RESOURCE_NAME);

export const functionArn = (scope: Construct, system: string, name: string): string =>
  arn(scope, 'lambda', 'function', functionName(system, name), ArnFormat.COLON_RESOURCE_NAME);

export const alarmArn = (scope: Construct, name: string): string =>
  arn(scope, 'cloudwatch', 'alarm', name, ArnFormat.COLON_RESOURCE_NAME);

export const roleArn = (scope: Construct, name: string): string =>
  Stack.of(scope).formatArn({ service: 'iam', region: '', resource: 'role', resourceName: name });

export const taskRoleArn = (scope: Construct, system: string, database: string, job: TaskPurpose): string =>
  roleArn(scope, taskRoleName(system, database, job, Stack.of(scope).region));

export const bucketName = (scope: Construct, system: string): string =>
  backupBucketName(system, Aws.ACCOUNT_ID, Stack.of(scope).region);

/** The bucket, or with a key what lies under that key. */
export const bucketArn = (scope: Construct, system: string, key?: string): string =>
  Stack.of(scope).formatArn({
    service: 's3',
    region: '',
    account: '',
    resource: bucketName(scope, system),
    resourceName: key,
  });

/** The bucket of a region of the same account. */
export const bucketArnIn = (scope: Construct, system: string, region: string): string =>
  `arn:${Stack.of(scope).partition}:s3:::${backupBucketName(system, Aws.ACCOUNT_ID, region)}`;

/** A secret's ARN ends in six characters that Secrets Manager makes up. */
export const secretArn = (scope: Construct, name: string): string =>
  arn(scope, 'secretsmanager', 'secret', `${name}-??????`, ArnFormat.COLON_RESOURCE_NAME);

export const topicArn = (scope: Construct, name: string): string =>
  Stack.of(scope).formatArn({ service: 'sns', resource: name });

export const queueArn = (scope: Construct, name: string): string =>
  Stack.of(scope).formatArn({ service: 'sqs', resource: name });

export const parameterArn = (scope: Construct, name: string): string =>
  arn(scope, 'ssm', 'parameter', name.replace(/^\//, ''));

export const clusterArn = (scope: Construct, name: string): string => arn(scope, 'ecs', 'cluster', name);

export const taskArn = (scope: Construct, cluster: string): string => arn(scope, 'ecs', 'task', `${cluster}/*`);

export const taskDefinitionArn = (scope: Construct, familyAndRevision: string): string =>
  arn(scope, 'ecs', 'task-definition', familyAndRevision);

export const scheduleGroupArn = (scope: Construct, name: string): string =>
  arn(scope, 'scheduler', 'schedule-group', name);

export const tableArn = (scope: Construct, name: string, region?: string): string =>
  Stack.of(scope).formatArn({ service: 'dynamodb', resource: 'table', resourceName: name, ...(region && { region }) });

/** A key of which only the alias is known: a policy cannot name an alias, but it can ask that the key has it. */
export const keyByAlias = (scope: Construct, alias: string, region?: string) => ({
  resources: [
    Stack.of(scope).formatArn({ service: 'kms', resource: 'key', resourceName: '*', ...(region && { region }) }),
  ],
  conditions: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': alias } },
  wildcard: 'The key is known by its alias, which the condition demands.',
});

/** The system's key, for requests that come through S3. */
export function bucketKey(scope: Construct, system: string) {
  const { region, urlSuffix } = Stack.of(scope);
  const { conditions, ...key } = keyByAlias(scope, keyAlias(system));
  const StringEquals = { 'kms:ViaService': `s3.${region}.${urlSuffix}` };
  return { ...key, conditions: { ...conditions, StringEquals } };
}
