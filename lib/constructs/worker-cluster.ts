import { IgnoreMode, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { DockerImageAsset, type DockerImageAssetProps, Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { CfnCluster, CfnTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { type Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { clusterName, executionRoleName, taskFamily, taskLogGroup } from '../config/names.ts';
import { allow, makeRole } from './permissions.ts';
import { projectRoot } from './project.ts';

export interface WorkerClusterProps {
  readonly system: string;
  /** Majors of PostgreSQL in use: one image and one task definition for each. */
  readonly majors: readonly number[];
}

/** What the image is built from; everything else stays out, so that an edit elsewhere does not make a new image. */
const imageFiles = ['tasks', 'lib/core', 'lib/aws', 'lib/postgres', 'package.json', 'package-lock.json', '.npmrc'];

/** The image of the tasks with the tools and the server of one major. */
export const imageAsset = (major: number): DockerImageAssetProps => ({
  directory: projectRoot,
  file: 'tasks/Dockerfile',
  buildArgs: { PG_MAJOR: String(major) },
  platform: Platform.LINUX_ARM64,
  ignoreMode: IgnoreMode.DOCKER,
  exclude: ['*', ...imageFiles.map((path) => `!${path}`)],
});

/** Where tasks run, and what they run: a task definition holds no role, the state machine lends one for each run. */
export class WorkerCluster extends Construct {
  constructor(scope: Construct, id: string, { system, majors }: WorkerClusterProps) {
    super(scope, id);
    new CfnCluster(this, 'Cluster', {
      clusterName: clusterName(system),
      clusterSettings: [{ name: 'containerInsights', value: 'enabled' }],
    });
    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: taskLogGroup(system),
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const execution = makeRole(
      this,
      'ExecutionRole',
      new ServicePrincipal('ecs-tasks.amazonaws.com'),
      'ECS itself: pulls the image of a task and opens its log',
      executionRoleName(system, Stack.of(this).region),
    );
    allow(
      execution,
      { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] },
      {
        actions: ['ecr:GetAuthorizationToken'],
        resources: ['*'],
        wildcard: 'The API has no resource: the token is for the whole registry.',
      },
    );
    for (const major of majors) this.addTaskDefinition(system, major, execution, logGroup);
  }

  private addTaskDefinition(system: string, major: number, execution: Role, logGroup: LogGroup): void {
    const image = new DockerImageAsset(this, `Image${major}`, imageAsset(major));
    allow(execution, {
      actions: ['ecr:BatchCheckLayerAvailability', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchGetImage'],
      resources: [image.repository.repositoryArn],
    });
    new CfnTaskDefinition(this, `Task${major}`, {
      family: taskFamily(system, major),
      requiresCompatibilities: ['FARGATE'],
      networkMode: 'awsvpc',
      runtimePlatform: { cpuArchitecture: 'ARM64', operatingSystemFamily: 'LINUX' },
      // Each run overrides these by the settings of its database.
      cpu: '1024',
      memory: '2048',
      executionRoleArn: execution.roleArn,
      // The task's own disk, gone with it. The image gives it its owner and its place in TMPDIR.
      volumes: [{ name: 'work' }],
      containerDefinitions: [
        {
          name: 'task',
          image: image.imageUri,
          essential: true,
          readonlyRootFilesystem: true,
          linuxParameters: { initProcessEnabled: true, capabilities: { drop: ['ALL'] } },
          mountPoints: [{ sourceVolume: 'work', containerPath: '/work', readOnly: false }],
          entryPoint: ['node', 'tasks/main.ts'],
          // Fargate's most: time to abort uploads and to say why.
          stopTimeout: 120,
          logConfiguration: {
            logDriver: 'awslogs',
            options: {
              'awslogs-group': logGroup.logGroupName,
              'awslogs-region': Stack.of(this).region,
              'awslogs-stream-prefix': `pg${major}`,
            },
          },
        },
      ],
    });
  }
}
