import { Stack } from 'aws-cdk-lib';
import { type Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import type { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { replicationRoleName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { bucketArn } from './arns.ts';
import { allow, makeRole } from './permissions.ts';
import { type CopyTarget, copyTargets, replicationConfiguration } from './replication-rules.ts';

export interface BucketReplicationProps {
  readonly config: Config;
  readonly bucket: Bucket;
  readonly key: Key;
  /** Takes the other buckets to exist; without it there is the role alone. */
  readonly enabled: boolean;
}

/**
 * Copies every version of the backup bucket to the bucket of the other region, and to the vault if there is one,
 * within minutes, under the key there and with its lock.
 */
export class BucketReplication extends Construct {
  constructor(scope: Construct, id: string, { config, bucket, key, enabled }: BucketReplicationProps) {
    super(scope, id);
    const { name: system } = config;
    const { region, urlSuffix } = Stack.of(this);
    const targets = copyTargets(this, config, region);
    const role = makeRole(
      this,
      'Role',
      new ServicePrincipal('s3.amazonaws.com'),
      `S3 itself: copies backups ${targets.map((target) => target.id).join(' and ')}`,
      replicationRoleName(system, region),
    );
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
      {
        actions: ['kms:Decrypt'],
        resources: [key.keyArn],
        conditions: { StringEquals: { 'kms:ViaService': `s3.${region}.${urlSuffix}` } },
      },
    );
    for (const target of targets) this.allowCopies(role, target);
    if (!enabled) return;
    const { Role, Rules } = replicationConfiguration(this, system, region, targets);
    (bucket.node.defaultChild as CfnBucket).addPropertyOverride('ReplicationConfiguration', {
      Role,
      Rules: Rules.map(({ ID: Id, ...rule }) => ({ Id, ...rule })),
    });
    // From the first object on S3 may do what it is to do. (The policy names the bucket as a literal for that.)
    bucket.node.defaultChild?.node.addDependency(role);
  }

  private allowCopies(role: Role, { region, bucketArn: arn, keyAlias, account, foreign }: CopyTarget): void {
    const { partition, urlSuffix } = Stack.of(this);
    const ownership = foreign ? ['s3:ObjectOwnerOverrideToBucketOwner'] : [];
    allow(
      role,
      {
        actions: ['s3:ReplicateObject', 's3:ReplicateTags', ...ownership],
        resources: [`${arn}/*`],
        wildcard: everything,
      },
      {
        actions: ['kms:Encrypt'],
        resources: [`arn:${partition}:kms:${region}:${account}:key/*`],
        conditions: {
          'ForAnyValue:StringEquals': { 'kms:ResourceAliases': keyAlias },
          StringEquals: { 'kms:ViaService': `s3.${region}.${urlSuffix}` },
        },
        wildcard: 'The key of the copies is known by its alias, which the condition demands.',
      },
    );
  }
}

const everything = 'Copies every object of the bucket.';
