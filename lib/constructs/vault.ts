import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import {
  AccountPrincipal,
  AccountRootPrincipal,
  AnyPrincipal,
  Effect,
  PolicyDocument,
  PolicyStatement,
} from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  ObjectLockRetention,
  ObjectOwnership,
  StorageClass,
} from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import {
  replicationRoleName,
  vaultAccessLogBucketName,
  vaultBucketName,
  vaultKeyAlias,
  vaultReaderRoleName,
} from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import type { VaultConfig } from '../config/vault-schema.ts';
import { acknowledge, allow, makeRole } from './permissions.ts';

export interface VaultProps {
  readonly config: Config;
  readonly vault: VaultConfig;
}

/** What copies into the vault: S3 as the replication roles of the source account, and nothing else from outside. */
const copying = ['s3:ReplicateObject', 's3:ReplicateTags', 's3:ObjectOwnerOverrideToBucketOwner'];

/** S3 asks whether a destination keeps versions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-walkthrough-2.html */
const looking = ['s3:GetBucketVersioning'];

/**
 * What nobody may do here, of whatever account. What expires goes by the lifecycle, which no policy speaks of. The
 * vault's own people may prolong a lock and put a legal hold on what they still need.
 */
const never = ['s3:BypassGovernanceRetention', 's3:DeleteObject', 's3:DeleteObjectVersion'];

/** What would undo the rest: left to CloudFormation, which takes this stack and its own role. */
const rules = [
  's3:DeleteBucket',
  's3:DeleteBucketPolicy',
  's3:PutBucketObjectLockConfiguration',
  's3:PutBucketOwnershipControls',
  's3:PutBucketPolicy',
  's3:PutBucketVersioning',
  's3:PutEncryptionConfiguration',
  's3:PutLifecycleConfiguration',
  's3:PutReplicationConfiguration',
];
const keyRules = ['kms:DisableKey', 'kms:PutKeyPolicy', 'kms:ScheduleKeyDeletion'];

/**
 * The bucket of another account that every version is copied to, and its key. The source account may write copies and
 * nothing more: it can neither read, change nor delete them, whatever its administrator does.
 */
export class Vault extends Construct {
  constructor(scope: Construct, id: string, { config, vault }: VaultProps) {
    super(scope, id);
    const { name: system, retention } = config;
    const { account, region, partition } = Stack.of(this);
    const outside = { StringNotEquals: { 'aws:PrincipalAccount': account } };
    const deployer = `arn:${partition}:iam::${account}:role/cdk-*-cfn-exec-role-${account}-${region}`;
    const butForDeployments = { ArnNotLike: { 'aws:PrincipalArn': deployer } };
    // Named by a condition, since a policy cannot name a role that does not exist yet.
    const copiers = {
      ArnEquals: {
        'aws:PrincipalArn': [config.regions.primary, config.regions.recovery].map(
          (from) => `arn:${partition}:iam::${vault.sourceAccount}:role/${replicationRoleName(system, from)}`,
        ),
      },
    };
    const source = new AccountPrincipal(vault.sourceAccount);

    const key = new Key(this, 'Key', {
      description: `The vault of ${system}: copies of its backups`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
      policy: new PolicyDocument({
        statements: [
          new PolicyStatement({ principals: [new AccountRootPrincipal()], actions: ['kms:*'], resources: ['*'] }),
          new PolicyStatement({
            sid: 'CopiesAreSealed',
            principals: [source],
            actions: ['kms:Encrypt'],
            resources: ['*'],
            conditions: copiers,
          }),
          new PolicyStatement({
            sid: 'NobodyTakesTheKeyAway',
            effect: Effect.DENY,
            principals: [new AnyPrincipal()],
            actions: keyRules,
            resources: ['*'],
            conditions: butForDeployments,
          }),
        ],
      }),
    });
    // The source account knows the key by it.
    key.addAlias(vaultKeyAlias(system)).applyRemovalPolicy(RemovalPolicy.RETAIN);

    const common = {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      removalPolicy: RemovalPolicy.RETAIN,
    };
    const accessLogs = new Bucket(this, 'AccessLogs', {
      ...common,
      bucketName: vaultAccessLogBucketName(system, account, region),
      encryption: BucketEncryption.S3_MANAGED,
      lifecycleRules: [{ id: 'expire', expiration: Duration.days(365) }],
    });
    acknowledge(accessLogs, 'AwsSolutions-S1', 'This is the bucket of access logs; logging itself would never end.');
    const lock = Duration.seconds(retention.lock.duration);
    const bucket = new Bucket(this, 'Bucket', {
      ...common,
      bucketName: vaultBucketName(system, account, region),
      versioned: true,
      objectLockEnabled: true,
      // Of what comes without a lock. A copy has that of its original.
      objectLockDefaultRetention:
        retention.lock.mode === 'COMPLIANCE'
          ? ObjectLockRetention.compliance(lock)
          : ObjectLockRetention.governance(lock),
      encryption: BucketEncryption.KMS,
      encryptionKey: key,
      bucketKeyEnabled: true,
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: 'vault/',
      lifecycleRules: [
        { id: 'abort-incomplete-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
        {
          id: 'expire',
          expiration: Duration.seconds(vault.keep),
          noncurrentVersionExpiration: Duration.days(1),
          // Read at once, and cheaper to keep; it is paid for 90 days at the least.
          ...(vault.keep >= 120 * 86_400 && {
            transitions: [{ storageClass: StorageClass.GLACIER_INSTANT_RETRIEVAL, transitionAfter: Duration.days(30) }],
          }),
        },
      ],
    });
    const { bucketArn } = bucket;
    const everything = [bucketArn, bucket.arnForObjects('*')];
    bucket.addToResourcePolicy(
      new PolicyStatement({
        sid: 'CopiesComeIn',
        principals: [source],
        actions: copying,
        resources: [bucket.arnForObjects('*')],
        conditions: copiers,
      }),
    );
    bucket.addToResourcePolicy(
      new PolicyStatement({
        sid: 'WhoCopiesMayLook',
        principals: [source],
        actions: looking,
        resources: [bucketArn],
        conditions: copiers,
      }),
    );
    const refuse = (sid: string, statement: { actions: string[] } | { notActions: string[] }, conditions = {}) =>
      bucket.addToResourcePolicy(
        new PolicyStatement({
          sid,
          effect: Effect.DENY,
          principals: [new AnyPrincipal()],
          resources: everything,
          conditions,
          ...statement,
        }),
      );
    refuse('NothingElseFromOutside', { notActions: [...copying, ...looking] }, outside);
    refuse('NobodyDeletes', { actions: never });
    refuse('NobodyChangesTheRules', { actions: rules }, butForDeployments);

    const reader = makeRole(
      this,
      'Reader',
      new AccountRootPrincipal(),
      `Reads the vault of ${system} and restores from it`,
      vaultReaderRoleName(system, region),
    );
    allow(
      reader,
      { actions: ['s3:ListBucket', 's3:ListBucketVersions'], resources: [bucketArn] },
      {
        actions: ['s3:GetObject', 's3:GetObjectVersion'],
        resources: [bucket.arnForObjects('*')],
        wildcard: 'Reads whichever backup is to be restored.',
      },
      { actions: ['kms:Decrypt'], resources: [key.keyArn] },
    );
  }
}
