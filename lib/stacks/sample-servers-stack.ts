import { type App, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { DockerImageAsset } from 'aws-cdk-lib/aws-ecr-assets';
import { CfnCluster, CfnService, CfnTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { failoverParameterName, keyAlias, stateTableName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { keyByAlias, parameterArn, secretArn, tableArn } from '../constructs/arns.ts';
import { acknowledge, allow, makeRole } from '../constructs/permissions.ts';
import { imageAsset } from '../constructs/worker-cluster.ts';

/**
 * A sample of what the owner of a database deploys beside pgdr, and what rehearsals protect: a PostgreSQL server as an
 * ECS service of one task, in which the lease agent runs it on a data directory that outlives the task.
 */
export class SampleServersStack extends Stack {
  constructor(app: App, { config, server }: { config: Config; server: 'primary' | 'standby' }) {
    const region = server === 'primary' ? config.regions.primary : config.regions.recovery;
    super(app, `servers-${server}`, { env: { region } });
    const system = config.name;
    const database = config.databases[0] as Config['databases'][number];
    const settings = failoverParameterName(system, database.name);
    const name = server === 'primary' ? 'orders-1' : 'orders-2';
    const cluster = new CfnCluster(this, 'Cluster', {
      clusterName: 'databases',
      clusterSettings: [{ name: 'containerInsights', value: 'enabled' }],
    });
    const logs = new LogGroup(this, 'Logs', { logGroupName: '/databases', removalPolicy: RemovalPolicy.DESTROY });
    const tasks = new ServicePrincipal('ecs-tasks.amazonaws.com');
    const execution = makeRole(this, 'Execution', tasks, 'ECS itself');
    allow(
      execution,
      { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logs.logGroupArn] },
      {
        actions: ['ssm:GetParameters', 'ssm:GetParameter'],
        resources: [parameterArn(this, `/servers/${server}/*`), parameterArn(this, settings)],
        wildcard: 'Its own.',
      },
      { actions: ['ecr:GetAuthorizationToken'], resources: ['*'], wildcard: 'The API has no resource.' },
    );
    const role = makeRole(this, 'Role', tasks, 'The lease agent');
    const { resources: keys, ...withAlias } = keyByAlias(this, keyAlias(system), config.regions.recovery);
    allow(
      role,
      {
        actions: ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:ConditionCheckItem'],
        resources: [tableArn(this, stateTableName(system), config.regions.recovery)],
      },
      { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: keys, ...withAlias },
      {
        actions: ['secretsmanager:GetSecretValue'],
        resources: ['orders/control', 'orders/standby'].map((secret) => secretArn(this, secret)),
      },
    );
    const image = new DockerImageAsset(this, 'Image', imageAsset(database.version));
    allow(execution, {
      actions: ['ecr:BatchCheckLayerAvailability', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchGetImage'],
      resources: [image.repository.repositoryArn],
    });
    const definition = new CfnTaskDefinition(this, 'Task', {
      family: name,
      requiresCompatibilities: ['FARGATE'],
      networkMode: 'awsvpc',
      cpu: '1024',
      memory: '2048',
      executionRoleArn: execution.roleArn,
      taskRoleArn: role.roleArn,
      containerDefinitions: [
        {
          name: 'postgres',
          image: image.imageUri,
          essential: true,
          entryPoint: ['node', 'tasks/lease-agent.ts'],
          stopTimeout: 3,
          environment: [
            { name: 'PGDR_STATE_TABLE', value: stateTableName(system) },
            { name: 'PGDR_SERVER', value: server },
          ],
          secrets: [
            { name: 'PGDR_FAILOVER_SETTINGS', valueFrom: parameterArn(this, settings) },
            ...['PGDATA', 'PGHOST', 'PGPORT', 'PGDR_POSTGRES_OPTIONS'].map((variable) => ({
              name: variable,
              valueFrom: parameterArn(this, `/servers/${server}/${variable}`),
            })),
          ],
          logConfiguration: {
            logDriver: 'awslogs',
            options: {
              'awslogs-group': logs.logGroupName,
              'awslogs-region': region,
              'awslogs-stream-prefix': name,
            },
          },
        },
      ],
    });
    acknowledge(definition, 'AwsSolutions-ECS2', 'Names and addresses, no secrets.');
    const service = new CfnService(this, 'Service', {
      cluster: cluster.ref,
      serviceName: name,
      taskDefinition: definition.ref,
      // Started once its data directory is there.
      desiredCount: 0,
      launchType: 'FARGATE',
      deploymentConfiguration: { maximumPercent: 100, minimumHealthyPercent: 0 },
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-0123456789abcdef0'] } },
    });
    service.addResourceDependency(definition);
  }
}
