import { CfnParameter, Stack } from 'aws-cdk-lib';
import { DockerImageAsset } from 'aws-cdk-lib/aws-ecr-assets';
import { CfnService, CfnTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import {
  clusterName,
  executionRoleName,
  keyAlias,
  receiverName,
  securityGroupParameterName,
  stateItemId,
  stateTableName,
  subnetsParameterName,
  taskLogGroup,
  taskRoleName,
} from '../config/names.ts';
import type { PhysicalConfig } from '../config/physical-schema.ts';
import type { Config } from '../config/schema.ts';
import { lineagePrefix, walPrefix } from '../core/keys.ts';
import type { PhysicalSettings, ReceiverInput } from '../core/physical-settings.ts';
import { receiverCommand, receiverEnvironment } from '../core/receiver-process.ts';
import { bucketArn, bucketKey, bucketName, keyByAlias, roleArn, secretArn, stateMachineArn, tableArn } from './arns.ts';
import { acknowledge, allow, makeRole } from './permissions.ts';
import { imageAsset } from './worker-cluster.ts';

export interface WalReceiverProps {
  readonly system: string;
  readonly database: DatabaseConfig;
  readonly physical: PhysicalConfig;
  readonly settings: PhysicalSettings;
  readonly lock: Config['retention']['lock'];
  /** Network of the region: whether tasks have public addresses. */
  readonly assignPublicIp: boolean;
  /** Whether this region holds the writer: elsewhere the service stands ready with no task. */
  readonly running: boolean;
}

/** The service that receives the WAL of one database (tasks/wal-receiver.ts); ECS keeps one task of it up. */
export class WalReceiver extends Construct {
  constructor(scope: Construct, id: string, props: WalReceiverProps) {
    super(scope, id);
    const { system, database, physical, settings, lock } = props;
    const { name, lineage } = database;
    const { region } = Stack.of(this);
    const of = { system, database: name, lineage };
    const input: ReceiverInput = {
      ...of,
      bucket: bucketName(this, system),
      lock: { mode: lock.mode, seconds: lock.duration },
      backupStateMachineArn: stateMachineArn(this, system, 'backup-physical'),
      physical: settings,
      leaseMilliseconds: 15_000,
    };
    const role = this.makeRole(props);
    const task = new CfnTaskDefinition(this, 'Task', {
      family: receiverName(system, name),
      requiresCompatibilities: ['FARGATE'],
      networkMode: 'awsvpc',
      runtimePlatform: { cpuArchitecture: 'ARM64', operatingSystemFamily: 'LINUX' },
      cpu: String(physical.receiver.vcpu * 1024),
      memory: String(physical.receiver.memoryGiB * 1024),
      taskRoleArn: role.roleArn,
      executionRoleArn: roleArn(this, executionRoleName(system, region)),
      containerDefinitions: [
        {
          name: 'receiver',
          image: new DockerImageAsset(this, 'Image', imageAsset(database.version)).imageUri,
          essential: true,
          // Nothing it needs is on its disk, so it has none to write to.
          readonlyRootFilesystem: true,
          linuxParameters: { initProcessEnabled: true, capabilities: { drop: ['ALL'] } },
          entryPoint: [...receiverCommand],
          environment: Object.entries({ PGDR_RECEIVER: JSON.stringify(input), ...receiverEnvironment }).map(
            ([name, value]) => ({ name, value }),
          ),
          // What is not stored by then is still on the server.
          stopTimeout: 30,
          logConfiguration: {
            logDriver: 'awslogs',
            options: {
              'awslogs-group': taskLogGroup(system),
              'awslogs-region': region,
              'awslogs-stream-prefix': `wal-${name}`,
            },
          },
        },
      ],
    });
    acknowledge(task, 'AwsSolutions-ECS2', 'Names and numbers alone: the secret is named here and read by the task.');
    const parameter = (key: string, type: string, path: string) =>
      new CfnParameter(this, key, { type: `AWS::SSM::Parameter::Value<${type}>`, default: path });
    new CfnService(this, 'Service', {
      serviceName: receiverName(system, name),
      cluster: clusterName(system),
      taskDefinition: task.ref,
      desiredCount: props.running ? 1 : 0,
      launchType: 'FARGATE',
      // The old task goes before the new one comes: they would only wait for each other's lease.
      deploymentConfiguration: { minimumHealthyPercent: 0, maximumPercent: 100 },
      networkConfiguration: {
        awsvpcConfiguration: {
          subnets: parameter('Subnets', 'List<String>', subnetsParameterName(system)).valueAsList,
          securityGroups: [parameter('SecurityGroup', 'String', securityGroupParameterName(system)).valueAsString],
          assignPublicIp: props.assignPublicIp ? 'ENABLED' : 'DISABLED',
        },
      },
      propagateTags: 'SERVICE',
    });
  }

  /** It may write WAL and never a backup, and it may not delete. */
  private makeRole({ system, database, settings }: WalReceiverProps) {
    const { name, lineage } = database;
    const { region, urlSuffix } = Stack.of(this);
    const of = { system, database: name, lineage };
    const tasks = new ServicePrincipal('ecs-tasks.amazonaws.com');
    const roleName = taskRoleName(system, name, 'receive', region);
    const role = makeRole(this, 'Role', tasks, `Receives the WAL of ${name}`, roleName);
    const tableKey = keyByAlias(this, keyAlias(system));
    allow(
      role,
      { actions: ['secretsmanager:GetSecretValue'], resources: [secretArn(this, settings.secret)] },
      {
        // Reading is for going on from what is stored, and for making segments whole.
        actions: ['s3:PutObject', 's3:PutObjectRetention', 's3:GetObject', 's3:AbortMultipartUpload'],
        resources: [bucketArn(this, system, `${walPrefix(of)}*`)],
        wildcard: 'Objects of WAL are named by their place in it.',
      },
      {
        // Base backups by name, to see whether one was taken after a gap.
        actions: ['s3:ListBucket'],
        resources: [bucketArn(this, system)],
        conditions: { StringLike: { 's3:prefix': `${lineagePrefix(of)}*` } },
      },
      { actions: ['kms:GenerateDataKey', 'kms:Decrypt'], ...bucketKey(this, system) },
      {
        actions: ['dynamodb:GetItem', 'dynamodb:UpdateItem'],
        resources: [tableArn(this, stateTableName(system))],
        conditions: { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': [stateItemId(name, 'wal-receiver')] } },
      },
      {
        ...tableKey,
        actions: ['kms:Decrypt'],
        conditions: { ...tableKey.conditions, StringEquals: { 'kms:ViaService': `dynamodb.${region}.${urlSuffix}` } },
      },
      { actions: ['states:StartExecution'], resources: [stateMachineArn(this, system, 'backup-physical')] },
    );
    return role;
  }
}
