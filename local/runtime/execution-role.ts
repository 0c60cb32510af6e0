import type { Permission, World } from '../facade.ts';
import { assumedRoleArn } from '../identity.ts';
import { parseArn } from './api.ts';
import type { ContainerDefinition } from './task-definition.ts';

/**
 * What ECS's agent does as the execution role before a container runs: it pulls the image from ECR and opens the log
 * stream. Nothing is pulled here and lines need no API call, but without the permissions neither would happen in AWS.
 *
 * @param stream the log stream of the container
 * @throws Error with ECS's texts
 */
export function checkExecutionRole(
  world: World,
  region: string,
  definition: ContainerDefinition,
  executionRoleArn: string | undefined,
  taskId: string,
  stream: string,
): void {
  const refusal = (permission: Permission): Error | undefined => {
    if (executionRoleArn === undefined) return new Error('the task definition has no execution role');
    const principal = { arn: assumedRoleArn(executionRoleArn, taskId), roleArn: executionRoleArn };
    return world.refusal({ service: 'ecs', region, principal }, permission);
  };
  const refused = (permissions: readonly Permission[]): Error | undefined => {
    for (const permission of permissions) {
      const error = refusal(permission);
      if (error) return error;
    }
    return undefined;
  };

  const repository = repositoryArn(definition.image);
  if (repository !== undefined) {
    const login = refused([{ action: 'ecr:GetAuthorizationToken', resource: '*' }]);
    if (login)
      throw new Error(
        'ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ' +
          `unable to retrieve ecr registry auth: AccessDeniedException: ${login.message}`,
      );
    const actions = ['BatchCheckLayerAvailability', 'BatchGetImage', 'GetDownloadUrlForLayer'];
    const pull = refused(actions.map((action) => ({ action: `ecr:${action}`, resource: repository })));
    if (pull) throw new Error(`CannotPullContainerError: AccessDeniedException: ${pull.message}`);
  }

  const { logDriver, options } = definition.logConfiguration ?? {};
  if (logDriver !== 'awslogs' || options === undefined) return;
  const group = `arn:aws:logs:${options['awslogs-region'] ?? region}:${world.account}:log-group:${options['awslogs-group']}`;
  const log = refused(
    ['CreateLogStream', 'PutLogEvents'].map((action) => ({
      action: `logs:${action}`,
      resource: `${group}:log-stream:${stream}`,
    })),
  );
  if (log)
    throw new Error(
      'ResourceInitializationError: failed to validate logger args: failed to create Cloudwatch log stream: ' +
        `AccessDeniedException: ${log.message}`,
    );
}

/** The ECR repository of an image; undefined for an image from elsewhere, which is pulled without an AWS login. */
function repositoryArn(image: string): string | undefined {
  const [, account, region, name] = /^(\d{12})\.dkr\.ecr\.([\w-]+)\.amazonaws\.com\/([^:@]+)/.exec(image) ?? [];
  return name && `arn:aws:ecr:${region}:${account}:repository/${name}`;
}

/** Roles that RunTask hands to ECS: its caller must be allowed to, and they must trust ECS. */
export function passedRoles(roleArns: readonly (string | undefined)[]): Permission[] {
  const distinct = [...new Set(roleArns.filter((arn) => arn !== undefined))];
  return distinct.map((resource) => ({
    action: 'iam:PassRole',
    resource,
    conditions: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
  }));
}

/** The error of RunTask for a role that ECS may not take on. @throws Error */
export function checkTrust(world: World, taskArn: string, roleArn: string): void {
  try {
    const { region } = parseArn(taskArn);
    world.assertTrusted(roleArn, { service: 'ecs-tasks.amazonaws.com', region, sourceArn: taskArn });
  } catch (error) {
    throw new Error(
      `ECS was unable to assume the role '${roleArn}' that was provided for this task. Please verify that the role ` +
        `being passed has the proper trust relationship and permissions. ${(error as Error).message}`,
    );
  }
}
