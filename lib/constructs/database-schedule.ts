import { Stack } from 'aws-cdk-lib';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import { scheduleDeadLetterQueueName, scheduleGroupName, scheduleName, scheduleRoleName } from '../config/names.ts';
import { queueArn, roleArn, stateMachineArn } from './arns.ts';

export interface DatabaseScheduleProps {
  readonly system: string;
  readonly database: string;
  readonly workflow: string;
  /** An expression of EventBridge Scheduler, in UTC. */
  readonly expression: string;
  readonly enabled: boolean;
}

/** Starts one workflow for one database. */
export class DatabaseSchedule extends Construct {
  constructor(scope: Construct, id: string, props: DatabaseScheduleProps) {
    super(scope, id);
    const { system, database, workflow } = props;
    new CfnSchedule(this, 'Schedule', {
      name: scheduleName(system, database, workflow),
      groupName: scheduleGroupName(system),
      description: `Starts ${workflow} of ${database}`,
      scheduleExpression: props.expression,
      scheduleExpressionTimezone: 'UTC',
      flexibleTimeWindow: { mode: 'OFF' },
      state: props.enabled ? 'ENABLED' : 'DISABLED',
      target: {
        arn: stateMachineArn(this, system, workflow),
        roleArn: roleArn(this, scheduleRoleName(system, Stack.of(this).region)),
        input: JSON.stringify({ database }),
        // Six hours late is better than not at all; after that the next run is nearer than the missed one.
        retryPolicy: { maximumEventAgeInSeconds: 6 * 3600, maximumRetryAttempts: 30 },
        deadLetterConfig: { arn: queueArn(this, scheduleDeadLetterQueueName(system)) },
      },
    });
  }
}
