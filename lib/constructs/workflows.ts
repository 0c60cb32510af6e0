import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { clusterName, settingsParameterName } from '../config/names.ts';
import { parameterArn } from './arns.ts';
import type { BackupVault } from './backup-vault.ts';
import type { Network } from './network.ts';
import type { OutcomeTopic } from './outcome-topic.ts';
import type { Grant } from './permissions.ts';
import { runTasks } from './run-tasks.ts';
import { WorkerFunction } from './worker-function.ts';
import { Workflow } from './workflow.ts';

/** Those that schedules start; a restore is for people to start. */
export const scheduledWorkflows = ['backup-logical', 'backup-physical', 'restore-test'] as const;

export interface WorkflowsProps {
  readonly system: string;
  readonly vault: BackupVault;
  readonly network: Network;
  readonly outcomes: OutcomeTopic;
}

/** The state machines that all databases share, and the functions that they call. */
export class Workflows extends Construct {
  /** The function that words how an execution ended. */
  readonly recordOutcomeArn: string;

  constructor(scope: Construct, id: string, { system, vault, network, outcomes }: WorkflowsProps) {
    super(scope, id);
    const functions = this.makeFunctions(system, vault);
    const arnOf = (name: keyof typeof functions) => functions[name].function.functionArn;
    this.recordOutcomeArn = arnOf('recordOutcome');
    const substitutions = {
      System: system,
      Cluster: clusterName(system),
      SubnetIds: network.subnetIds.join(','),
      SecurityGroup: network.securityGroupId,
      AssignPublicIp: network.assignPublicIp ? 'ENABLED' : 'DISABLED',
      Topic: outcomes.topic.topicArn,
      RecordOutcome: arnOf('recordOutcome'),
    };
    const invoke = (...names: (keyof typeof functions)[]): Grant => ({
      actions: ['lambda:InvokeFunction'],
      resources: names.map(arnOf),
    });
    for (const [id, name] of [
      ['BackupLogical', 'backup-logical'],
      ['BackupPhysical', 'backup-physical'],
    ] as const) {
      new Workflow(this, id, {
        system,
        name,
        substitutions: {
          ...substitutions,
          PlanVerification: arnOf('planVerification'),
          VerifyObjects: arnOf('verifyObjects'),
          ConfirmVerification: arnOf('confirmVerification'),
        },
        grants: [
          ...this.readSettings(system),
          ...runTasks(this, system, 'backup'),
          invoke('planVerification', 'verifyObjects', 'confirmVerification', 'recordOutcome'),
          ...outcomes.publish,
        ],
      });
    }
    new Workflow(this, 'Verify', {
      system,
      name: 'verify',
      substitutions: {
        System: system,
        Topic: outcomes.topic.topicArn,
        RecordOutcome: arnOf('recordOutcome'),
        PlanVerification: arnOf('planVerification'),
        VerifyObjects: arnOf('verifyObjects'),
        ConfirmVerification: arnOf('confirmVerification'),
      },
      grants: [
        ...this.readSettings(system),
        invoke('planVerification', 'verifyObjects', 'confirmVerification', 'recordOutcome'),
        ...outcomes.publish,
      ],
    });
    new Workflow(this, 'RestoreTest', {
      system,
      name: 'restore-test',
      substitutions,
      grants: [
        ...this.readSettings(system),
        ...runTasks(this, system, 'restore'),
        invoke('recordOutcome'),
        ...outcomes.publish,
      ],
    });
    new Workflow(this, 'Restore', {
      system,
      name: 'restore',
      substitutions,
      grants: [
        ...this.readSettings(system),
        ...runTasks(this, system, 'recover', 'restore'),
        invoke('recordOutcome'),
        ...outcomes.publish,
      ],
    });
  }

  private makeFunctions(system: string, { bucket, key }: BackupVault) {
    const everyBackup = 'Verifies the backups of every database of the system.';
    const read = (...actions: string[]): Grant[] => [
      { actions, resources: [bucket.arnForObjects('*')], wildcard: everyBackup },
      // Without it S3 answers 403 for an object that is missing, and a deletion would pass for a permission problem.
      { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
    ];
    const decrypt: Grant = { actions: ['kms:Decrypt'], resources: [key.keyArn] };
    return {
      planVerification: new WorkerFunction(this, 'PlanVerification', {
        system,
        name: 'plan-verification',
        description: 'Cuts the objects of a backup into batches to verify',
        timeout: Duration.minutes(2),
        memorySize: 512,
        grants: [...read('s3:GetObject'), decrypt],
      }),
      verifyObjects: new WorkerFunction(this, 'VerifyObjects', {
        system,
        name: 'verify-objects',
        description: 'Reads stored objects again and compares their hashes',
        timeout: Duration.minutes(15),
        memorySize: 1769,
        // The manifest as it is, objects by the version that it names.
        grants: [...read('s3:GetObject', 's3:GetObjectVersion'), decrypt],
      }),
      confirmVerification: new WorkerFunction(this, 'ConfirmVerification', {
        system,
        name: 'confirm-verification',
        description: 'Writes down that a backup is verified',
        timeout: Duration.minutes(2),
        memorySize: 512,
        grants: [
          ...read('s3:GetObject'),
          {
            actions: ['s3:PutObject'],
            resources: [bucket.arnForObjects('*/verification.json')],
            wildcard: everyBackup,
          },
          { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [key.keyArn] },
        ],
      }),
      recordOutcome: new WorkerFunction(this, 'RecordOutcome', {
        system,
        name: 'record-outcome',
        description: 'Publishes the metrics of an execution and words its outcome',
        timeout: Duration.minutes(1),
        memorySize: 256,
        grants: [],
      }),
    };
  }

  private readSettings(system: string): Grant[] {
    return [
      {
        actions: ['ssm:GetParameter'],
        resources: [parameterArn(this, settingsParameterName(system, '*'))],
        wildcard: 'Serves every database of the system; a database is added without touching the platform.',
      },
    ];
  }
}
