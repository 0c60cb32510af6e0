import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { clusterName, executionRoleName, type TaskPurpose, taskFamily } from '../config/names.ts';
import { clusterArn, roleArn, taskArn, taskDefinitionArn, taskRoleArn } from './arns.ts';
import type { Grant } from './permissions.ts';

/** What a state machine that runs tasks may do: start those of its kind in the cluster, find and stop them. */
export function runTasks(scope: Construct, system: string, ...jobs: TaskPurpose[]): Grant[] {
  const cluster = clusterName(system);
  const inCluster = { ArnEquals: { 'ecs:cluster': clusterArn(scope, cluster) } };
  const { region } = Stack.of(scope);
  return [
    {
      actions: ['ecs:RunTask'],
      resources: [taskDefinitionArn(scope, `${taskFamily(system, '*')}:*`)],
      conditions: inCluster,
      wildcard: 'Majors of PostgreSQL come and go with databases; a deployment makes a new revision.',
    },
    {
      actions: ['ecs:TagResource'],
      resources: [taskArn(scope, cluster)],
      conditions: { StringEquals: { 'ecs:CreateAction': 'RunTask' } },
      wildcard: 'A task has no name before it runs; the condition allows tags at its start alone.',
    },
    {
      actions: ['ecs:StopTask'],
      resources: [taskArn(scope, cluster)],
      conditions: inCluster,
      wildcard: 'A task has no name before it runs.',
    },
    {
      actions: ['ecs:ListTasks'],
      resources: ['*'],
      conditions: inCluster,
      wildcard: 'The API has no resource but container instances; the condition names the cluster.',
    },
    {
      actions: ['iam:PassRole'],
      resources: [
        ...jobs.map((job) => taskRoleArn(scope, system, '*', job)),
        roleArn(scope, executionRoleName(system, region)),
      ],
      conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
      wildcard: `The ${jobs.join(' and ')} role of every database of the system, to tasks alone.`,
    },
  ];
}
