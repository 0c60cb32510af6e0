import { Stack } from 'aws-cdk-lib';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import { scheduleDeadLetterQueueName, scheduleGroupName, scheduleName, scheduleRoleName } from '../config/names.ts';
import { functionArn, queueArn, roleArn, stateMachineArn } from './arns.ts';
import { scheduledRun } from './scheduled-run.ts';

export interface DatabaseScheduleProps {
  readonly system: string;
  readonly database: string;
  /** The state machine or function that it starts, by its file. */
  readonly starts: string;
  readonly kind: 'workflow' | 'function';
  /** Where two schedules start the same. @default starts */
  readonly name?: string;
  /** What it is told beside the database. */
  readonly input?: Readonly<Record<string, string>>;
  /** Whether it asks first where the writer is, and starts nothing unless that is here. @default false */
  readonly followsWriter?: boolean;
  /** An expression of EventBridge Scheduler, in UTC. */
  readonly expression: string;
  readonly enabled: boolean;
  /** Minutes within which it starts, so that a fleet does not start at once. @default 0, at the very minute */
  readonly windowMinutes?: number;
  /** After so many seconds a start that failed is given up. @default six hours */
  readonly maximumAgeSeconds?: number;
}

/** Starts one workflow or function for one database. */
export class DatabaseSchedule extends Construct {
  constructor(scope: Construct, id: string, props: DatabaseScheduleProps) {
    super(scope, id);
    const { system, database, kind } = props;
    const asked = { database, ...props.input };
    const starts = props.followsWriter ? scheduledRun : props.starts;
    const input = props.followsWriter ? { database, starts: props.starts, input: asked } : asked;
    new CfnSchedule(this, 'Schedule', {
      name: scheduleName(system, database, props.name ?? props.starts),
      groupName: scheduleGroupName(system),
      description: `Starts ${props.starts} of ${database}${props.followsWriter ? ' where its writer is' : ''}`,
      scheduleExpression: props.expression,
      scheduleExpressionTimezone: 'UTC',
      flexibleTimeWindow: props.windowMinutes
        ? { mode: 'FLEXIBLE', maximumWindowInMinutes: props.windowMinutes }
        : { mode: 'OFF' },
      state: props.enabled ? 'ENABLED' : 'DISABLED',
      target: {
        arn: kind === 'workflow' ? stateMachineArn(this, system, starts) : functionArn(this, system, starts),
        roleArn: roleArn(this, scheduleRoleName(system, Stack.of(this).region)),
        input: JSON.stringify(input),
        ...(kind === 'workflow'
          ? {
              // Six hours late is better than not at all; after that the next run is nearer than the missed one.
              retryPolicy: { maximumEventAgeInSeconds: props.maximumAgeSeconds ?? 6 * 3600, maximumRetryAttempts: 30 },
              deadLetterConfig: { arn: queueArn(this, scheduleDeadLetterQueueName(system)) },
            }
          : // What is measured every few minutes is not worth keeping when it is late.
            { retryPolicy: { maximumEventAgeInSeconds: 120, maximumRetryAttempts: 3 } }),
      },
    });
  }
}
