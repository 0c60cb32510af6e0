import { Construct } from 'constructs';
import { failoverParameterName } from '../config/names.ts';
import { parameterArn, stateMachineArn } from './arns.ts';
import { Workflow } from './workflow.ts';

/** Starts what a schedule asks for, where the writer is. */
export const scheduledRun = 'scheduled-run';

export interface ScheduledRunProps {
  readonly system: string;
  /** The function that finds the writer. */
  readonly follow: string;
}

/** What the schedules of a database that fails over start, in both regions; the run itself is started in one of them. */
export class ScheduledRun extends Construct {
  constructor(scope: Construct, id: string, { system, follow }: ScheduledRunProps) {
    super(scope, id);
    const machine = (name: string) => stateMachineArn(this, system, name);
    const machines = {
      BackupLogical: machine('backup-logical'),
      BackupPhysical: machine('backup-physical'),
      RestoreTest: machine('restore-test'),
    };
    new Workflow(this, 'Workflow', {
      system,
      name: scheduledRun,
      substitutions: { System: system, FailoverFollow: follow, ...machines },
      grants: [
        {
          actions: ['ssm:GetParameter'],
          resources: [parameterArn(this, failoverParameterName(system, '*'))],
          wildcard: 'Serves every database of the system; a database is added without touching the platform.',
        },
        { actions: ['lambda:InvokeFunction'], resources: [follow] },
        { actions: ['states:StartExecution'], resources: Object.values(machines) },
      ],
    });
  }
}
