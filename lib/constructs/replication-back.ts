import { Aws, CustomResource, Duration, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { backupBucketName, replicationRoleName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { bucketArnIn, roleArn } from './arns.ts';
import type { BackupVault } from './backup-vault.ts';
import { copyTargets, replicationConfiguration } from './replication-rules.ts';
import { WorkerFunction } from './worker-function.ts';

export const replicationBackFunction = 'replicate-back';

export interface ReplicationBackProps {
  readonly config: Config;
  readonly vault: BackupVault;
}

/**
 * The rules of the recovery region's bucket, which copy back what is backed up there after a failover. S3 refuses a
 * rule for a bucket that is not there, and of two buckets that copy to one another CloudFormation has to make one
 * first: that one gets its rules from the stack of the other, by a function that runs when they change.
 */
export class ReplicationBack extends Construct {
  constructor(scope: Construct, id: string, { config, vault }: ReplicationBackProps) {
    super(scope, id);
    const { name: system, regions } = config;
    const from = regions.recovery;
    const source = bucketArnIn(this, system, from);
    const worker = new WorkerFunction(this, 'Worker', {
      system,
      name: replicationBackFunction,
      description: `Writes the replication rules of the bucket in ${from}; called by CloudFormation alone`,
      timeout: Duration.minutes(2),
      memorySize: 256,
      grants: [
        { actions: ['s3:PutReplicationConfiguration'], resources: [source] },
        {
          actions: ['iam:PassRole'],
          resources: [roleArn(this, replicationRoleName(system, from))],
          conditions: { StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } },
        },
      ],
    });
    const rules = new CustomResource(this, 'Rules', {
      resourceType: 'Custom::BucketReplication',
      serviceToken: worker.function.functionArn,
      serviceTimeout: Duration.minutes(5),
      properties: {
        Region: from,
        Bucket: backupBucketName(system, Aws.ACCOUNT_ID, from),
        // As text: CloudFormation would make strings of the numbers in it.
        Configuration: Stack.of(this).toJsonString(
          replicationConfiguration(this, system, from, copyTargets(this, config, from)),
        ),
      },
    });
    // The bucket that is copied to, and the right to say so.
    rules.node.addDependency(vault.bucket, worker.role);
  }
}
