import { Aws, Stack } from 'aws-cdk-lib';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import type { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { backupBucketName, keyAlias, replicationRoleName } from '../config/names.ts';
import { bucketArn } from './arns.ts';
import { allow, makeRole } from './permissions.ts';

export interface BucketReplicationProps {
  readonly system: string;
  readonly bucket: Bucket;
  readonly key: Key;
  /** The region with the other bucket. */
  readonly toRegion: string;
  /** Takes that bucket to exist; without it there is the role alone. */
  readonly enabled: boolean;
}

/**
 * Copies every version of the backup bucket to the bucket of the other region, within minutes, under that region's own
 * key and with its lock. Deletions are not copied: whoever deletes here has deleted nothing there.
 */
export class BucketReplication extends Construct {
  constructor(scope: Construct, id: string, { system, bucket, key, toRegion, enabled }: BucketReplicationProps) {
    super(scope, id);
    const { partition, urlSuffix, region } = Stack.of(this);
    const copies = `arn:${partition}:s3:::${backupBucketName(system, Aws.ACCOUNT_ID, toRegion)}`;
    const keysThere = `arn:${partition}:kms:${toRegion}:${Aws.ACCOUNT_ID}:key/*`;
    const role = makeRole(
      this,
      'Role',
      new ServicePrincipal('s3.amazonaws.com'),
      `S3 itself: copies backups to ${toRegion}`,
      replicationRoleName(system, region),
    );
    const everything = 'Copies every object of the bucket.';
    allow(
      role,
      { actions: ['s3:GetReplicationConfiguration', 's3:ListBucket'], resources: [bucketArn(this, system)] },
      {
        actions: [
          's3:GetObjectVersionForReplication',
          's3:GetObjectVersionAcl',
          's3:GetObjectVersionTagging',
          // A copy has the lock of its original; AWS demands both of a bucket with Object Lock.
          's3:GetObjectRetention',
          's3:GetObjectLegalHold',
        ],
        resources: [bucketArn(this, system, '*')],
        wildcard: everything,
      },
      { actions: ['s3:ReplicateObject', 's3:ReplicateTags'], resources: [`${copies}/*`], wildcard: everything },
      {
        actions: ['kms:Decrypt'],
        resources: [key.keyArn],
        conditions: { StringEquals: { 'kms:ViaService': `s3.${region}.${urlSuffix}` } },
      },
      {
        actions: ['kms:Encrypt'],
        resources: [keysThere],
        conditions: {
          'ForAnyValue:StringEquals': { 'kms:ResourceAliases': keyAlias(system) },
          StringEquals: { 'kms:ViaService': `s3.${toRegion}.${urlSuffix}` },
        },
        wildcard: 'The key of the other region is known by its alias, which the condition demands.',
      },
    );
    if (!enabled) return;
    const minutes = 15;
    (bucket.node.defaultChild as CfnBucket).replicationConfiguration = {
      role: role.roleArn,
      rules: [
        {
          id: `to-${toRegion}`,
          status: 'Enabled',
          priority: 1,
          filter: { prefix: '' },
          deleteMarkerReplication: { status: 'Disabled' },
          sourceSelectionCriteria: { sseKmsEncryptedObjects: { status: 'Enabled' } },
          destination: {
            bucket: copies,
            encryptionConfiguration: {
              replicaKmsKeyId: `arn:${partition}:kms:${toRegion}:${Aws.ACCOUNT_ID}:${keyAlias(system)}`,
            },
            // S3 promises this time for 99.9 % of the objects, and measures it.
            replicationTime: { status: 'Enabled', time: { minutes } },
            metrics: { status: 'Enabled', eventThreshold: { minutes } },
          },
        },
      ],
    };
    // From the first object on S3 may do what it is to do. (The policy names the bucket as a literal for that.)
    bucket.node.defaultChild?.node.addDependency(role);
  }
}
