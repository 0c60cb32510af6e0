import { Aws, Duration, Stack } from 'aws-cdk-lib';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { CfnScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { scheduleDeadLetterQueueName, scheduleGroupName, scheduleRoleName } from '../config/names.ts';
import { functionArn, scheduleGroupArn, stateMachineArn } from './arns.ts';
import { acknowledge, allow, makeRole } from './permissions.ts';

export interface ScheduleGroupProps {
  readonly system: string;
  readonly key: IKey;
  /** What schedules may start. */
  readonly workflows: readonly string[];
  readonly functions: readonly string[];
}

/** What the schedules of all databases share: a group, the role that starts executions, a queue for lost starts. */
export class ScheduleGroup extends Construct {
  constructor(scope: Construct, id: string, { system, key, workflows, functions }: ScheduleGroupProps) {
    super(scope, id);
    const group = scheduleGroupName(system);
    new CfnScheduleGroup(this, 'Group', { name: group });
    const deadLetters = new Queue(this, 'DeadLetters', {
      queueName: scheduleDeadLetterQueueName(system),
      encryption: QueueEncryption.KMS,
      encryptionMasterKey: key,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    acknowledge(deadLetters, 'AwsSolutions-SQS3', 'This is the dead-letter queue.');
    const role = makeRole(
      this,
      'Role',
      new ServicePrincipal('scheduler.amazonaws.com', {
        // Only schedules of this account's group may wear the role.
        conditions: {
          StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID },
          ArnEquals: { 'aws:SourceArn': scheduleGroupArn(this, group) },
        },
      }),
      'Schedules: start executions, and keep what could not be started',
      scheduleRoleName(system, Stack.of(this).region),
    );
    allow(
      role,
      {
        actions: ['states:StartExecution'],
        resources: workflows.map((workflow) => stateMachineArn(this, system, workflow)),
      },
      { actions: ['lambda:InvokeFunction'], resources: functions.map((name) => functionArn(this, system, name)) },
      { actions: ['sqs:SendMessage'], resources: [deadLetters.queueArn] },
      { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [key.keyArn] },
    );
  }
}
