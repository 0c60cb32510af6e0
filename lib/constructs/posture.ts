import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { settingsParameterName } from '../config/names.ts';
import { metricNamespace } from '../core/metrics.ts';
import { parameterArn } from './arns.ts';
import type { BackupVault } from './backup-vault.ts';
import { WorkerFunction } from './worker-function.ts';

export const postureFunction = 'publish-posture';
/** Alarms look at the posture every five minutes. */
export const postureSchedule = 'rate(5 minutes)';

export interface PostureProps {
  readonly system: string;
  readonly vault: BackupVault;
  /** The other region, which is told that this one lives. */
  readonly peerRegion: string;
}

/** The function that says, every few minutes and for each database, how well it is covered. */
export class Posture extends Construct {
  constructor(scope: Construct, id: string, { system, vault, peerRegion }: PostureProps) {
    super(scope, id);
    const everyDatabase = 'Looks at the backups of every database of the system.';
    const { bucket, key } = vault;
    new WorkerFunction(this, 'Publish', {
      system,
      name: postureFunction,
      description: 'Publishes how old, how large and how well proven the backups of a database are',
      timeout: Duration.minutes(2),
      memorySize: 512,
      environment: { SYSTEM: system, PEER_REGION: peerRegion },
      grants: [
        {
          actions: ['ssm:GetParameter'],
          resources: [parameterArn(this, settingsParameterName(system, '*'))],
          wildcard: everyDatabase,
        },
        {
          actions: ['s3:GetObject'],
          // A HEAD of the manifest says how far its copy to the other region is.
          resources: [bucket.arnForObjects('*/manifest.json'), bucket.arnForObjects('*/verification.json')],
          wildcard: everyDatabase,
        },
        { actions: ['s3:GetObject'], resources: [bucket.arnForObjects('*/proofs/*')], wildcard: everyDatabase },
        { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
        { actions: ['kms:Decrypt'], resources: [key.keyArn] },
        {
          actions: ['ecs:DescribeTaskDefinition'],
          resources: ['*'],
          wildcard: 'The API has no resources.',
        },
        {
          actions: ['cloudwatch:PutMetricData'],
          resources: ['*'],
          conditions: { StringEquals: { 'cloudwatch:namespace': metricNamespace } },
          wildcard: 'The API has no resources; the condition names the namespace.',
        },
      ],
    });
  }
}
