import { Aws, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { keyAlias, replicationRoleName, vaultBucketName, vaultKeyAlias } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { bucketArnIn, roleArn } from './arns.ts';

/** A bucket that every version is copied to. */
export interface CopyTarget {
  readonly id: string;
  readonly region: string;
  readonly bucketArn: string;
  readonly keyAlias: string;
  /** The account of bucket and key. */
  readonly account: string;
  /** Whether it is another account, to which the copies are to belong. */
  readonly foreign: boolean;
}

/** Where the bucket of a region is copied to: the other region, and the vault if there is one. */
export function copyTargets(scope: Construct, { name: system, regions, vault }: Config, from: string): CopyTarget[] {
  const { partition } = Stack.of(scope);
  const to = from === regions.primary ? regions.recovery : regions.primary;
  const account = Aws.ACCOUNT_ID;
  const other: CopyTarget = {
    id: `to-${to}`,
    region: to,
    bucketArn: bucketArnIn(scope, system, to),
    keyAlias: keyAlias(system),
    account,
    foreign: false,
  };
  if (!vault) return [other];
  const bucket = vaultBucketName(system, vault.account, vault.region);
  return [
    other,
    {
      id: 'to-vault',
      region: vault.region,
      bucketArn: `arn:${partition}:s3:::${bucket}`,
      keyAlias: vaultKeyAlias(system),
      account: vault.account,
      foreign: true,
    },
  ];
}

/** S3 promises this time for 99.9 % of the objects, and measures it. */
const minutes = 15;

/**
 * The configuration in the words of S3's API, which CloudFormation shares but for the name of a rule's id. Deletions
 * are not copied: whoever deletes here has deleted nothing there.
 */
export function replicationConfiguration(scope: Construct, system: string, from: string, targets: CopyTarget[]) {
  const { partition } = Stack.of(scope);
  return {
    Role: roleArn(scope, replicationRoleName(system, from)),
    Rules: targets.map(({ id, region, bucketArn, keyAlias: alias, account, foreign }, index) => ({
      ID: id,
      Status: 'Enabled',
      Priority: index + 1,
      Filter: { Prefix: '' },
      DeleteMarkerReplication: { Status: 'Disabled' },
      SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
      Destination: {
        Bucket: bucketArn,
        ...(foreign && { Account: account, AccessControlTranslation: { Owner: 'Destination' } }),
        EncryptionConfiguration: { ReplicaKmsKeyID: `arn:${partition}:kms:${region}:${account}:${alias}` },
        ReplicationTime: { Status: 'Enabled', Time: { Minutes: minutes } },
        Metrics: { Status: 'Enabled', EventThreshold: { Minutes: minutes } },
      },
    })),
  };
}
