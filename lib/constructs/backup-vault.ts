import { Aws, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
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
import { accessLogBucketName, keyAlias } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { bucketName } from './arns.ts';
import { acknowledge } from './permissions.ts';

export interface BackupVaultProps {
  readonly system: string;
  readonly lock: Config['retention']['lock'];
  /** Seconds: the longest `daily` of any database. What is older and still there is a monthly archive. */
  readonly longestDaily: number;
}

/** The bucket that backups are written to once, its key, and the log of who touched it. All outlive their stack. */
export class BackupVault extends Construct {
  readonly key: Key;
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string, { system, lock, longestDaily }: BackupVaultProps) {
    super(scope, id);
    this.key = new Key(this, 'Key', {
      description: `Backups and messages of ${system}`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    // Policies of the other region know the key by it.
    this.key.addAlias(keyAlias(system)).applyRemovalPolicy(RemovalPolicy.RETAIN);
    const common = {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      removalPolicy: RemovalPolicy.RETAIN,
    };
    const accessLogs = new Bucket(this, 'AccessLogs', {
      ...common,
      bucketName: accessLogBucketName(system, Aws.ACCOUNT_ID, Stack.of(this).region),
      // The S3 logging service writes with S3's own encryption only.
      encryption: BucketEncryption.S3_MANAGED,
      lifecycleRules: [{ id: 'expire', expiration: Duration.days(365) }],
    });
    acknowledge(accessLogs, 'AwsSolutions-S1', 'This is the bucket of access logs; logging itself would never end.');
    const retention = Duration.seconds(lock.duration);
    this.bucket = new Bucket(this, 'Bucket', {
      ...common,
      bucketName: bucketName(this, system),
      versioned: true,
      objectLockEnabled: true,
      objectLockDefaultRetention:
        lock.mode === 'COMPLIANCE'
          ? ObjectLockRetention.compliance(retention)
          : ObjectLockRetention.governance(retention),
      encryption: BucketEncryption.KMS,
      encryptionKey: this.key,
      // One data key serves many objects: fewer calls to KMS, whose rate would limit large restores.
      bucketKeyEnabled: true,
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: 'backups/',
      // A task that died could not abort its uploads; nothing runs for longer than a day.
      lifecycleRules: [
        { id: 'abort-incomplete-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
        // Nothing is overwritten, so only what somebody deleted becomes noncurrent. It can be had back for as long as
        // locks last, and is not paid for beyond that; what is locked for longer stays until its lock is over.
        { id: 'expire-deleted-versions', noncurrentVersionExpiration: retention, expiredObjectDeleteMarker: true },
        // A class that is read at once and without a request to thaw: an archive restores as fast as a daily backup.
        // Tables that a young backup refers to may be among what is moved; they read the same.
        {
          id: 'archive-what-outlives-the-dailies',
          transitions: [
            {
              storageClass: StorageClass.GLACIER_INSTANT_RETRIEVAL,
              transitionAfter: Duration.days(longestDaily / 86_400 + 1),
            },
          ],
        },
      ],
    });
  }
}
