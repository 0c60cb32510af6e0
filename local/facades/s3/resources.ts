import type { MadeResource, ResourceContext } from '../../facade.ts';
import { readPolicy } from '../../iam/policy.ts';
import { keyArnOf } from './description.ts';
import { only } from './filters.ts';
import { lifecycleOf } from './lifecycle-rules.ts';
import type { Bucket, BucketConfiguration, Encryption } from './model.ts';
import { replicationOf } from './replication-rules.ts';

/** AWS::S3::Bucket and AWS::S3::BucketPolicy as templates write them. */

const knownProperties = [
  'AccessControl',
  'BucketName',
  'BucketEncryption',
  'LifecycleConfiguration',
  'LoggingConfiguration',
  'ObjectLockConfiguration',
  'ObjectLockEnabled',
  'OwnershipControls',
  'PublicAccessBlockConfiguration',
  'ReplicationConfiguration',
  'Tags',
  'VersioningConfiguration',
];

/** Canned lists that grant nobody anything who could call here. */
const harmlessAccessControls = ['Private', 'BucketOwnerFullControl', 'LogDeliveryWrite'];

const place = (type: string, context: ResourceContext) => `${type} ${context.logicalId} of stack ${context.stack}`;

export function bucketNameOf(properties: Record<string, any>, context: ResourceContext): string {
  const name: string = properties.BucketName ?? generatedBucketName(context.generatedName);
  assertBucketName(name, place('AWS::S3::Bucket', context));
  return name;
}

export function assertBucketName(name: string, where = 'S3'): void {
  if (/^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) return;
  throw new Error(`${where}: ${JSON.stringify(name)} is no bucket name. Try 3 to 63 of a-z, 0-9, - and dots.`);
}

/** Bucket names are lower case; where the made-up name is too long its end, which is the unique part, is kept. */
function generatedBucketName(generated: string): string {
  const name = generated.toLowerCase().replace(/[^a-z0-9-]/g, '-');
  return name.length <= 63 ? name : name.slice(-63).replace(/^-+/, '');
}

export function configurationOf(
  properties: Record<string, any>,
  context: ResourceContext,
  account: string,
): BucketConfiguration {
  const where = place('AWS::S3::Bucket', context);
  only(properties, knownProperties, where);
  if (!harmlessAccessControls.includes(properties.AccessControl ?? 'Private')) {
    throw new Error(
      `${where}: AccessControl ${properties.AccessControl} is not carried out here. Try a bucket policy.`,
    );
  }
  const objectLock = objectLockOf(properties, where);
  const versioning = properties.VersioningConfiguration?.Status ?? (objectLock ? 'Enabled' : undefined);
  if (versioning !== undefined && versioning !== 'Enabled' && versioning !== 'Suspended') {
    throw new Error(`${where}: VersioningConfiguration.Status ${versioning} is neither Enabled nor Suspended`);
  }
  if (objectLock && versioning !== 'Enabled') throw new Error(`${where}: Object Lock needs versioning Enabled`);
  if (properties.ReplicationConfiguration && versioning !== 'Enabled') {
    throw new Error(`${where}: ReplicationConfiguration needs versioning Enabled`);
  }
  return {
    versioning,
    objectLock,
    encryption: encryptionOf(properties.BucketEncryption, context.region, account, where),
    publicAccessBlock: publicAccessBlockOf(properties.PublicAccessBlockConfiguration, where),
    objectOwnership: objectOwnershipOf(properties.OwnershipControls, where),
    lifecycle: lifecycleOf(properties.LifecycleConfiguration, where),
    replication: replicationOf(properties.ReplicationConfiguration, where),
    logging: properties.LoggingConfiguration,
    tags: properties.Tags,
  };
}

function objectLockOf(properties: Record<string, any>, where: string): BucketConfiguration['objectLock'] {
  const configuration = properties.ObjectLockConfiguration;
  const enabled = String(properties.ObjectLockEnabled) === 'true';
  if (!configuration) return enabled ? {} : undefined;
  only(configuration, ['ObjectLockEnabled', 'Rule'], `${where}, ObjectLockConfiguration`);
  if (!enabled) throw new Error(`${where}: ObjectLockConfiguration needs ObjectLockEnabled: true`);
  const retention = configuration.Rule?.DefaultRetention;
  if (!retention) return {};
  only(retention, ['Mode', 'Days', 'Years'], `${where}, DefaultRetention`);
  const { Mode: mode } = retention;
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') {
    throw new Error(`${where}: DefaultRetention.Mode ${mode} is neither GOVERNANCE nor COMPLIANCE`);
  }
  const days = retention.Days === undefined ? undefined : Number(retention.Days);
  const years = retention.Years === undefined ? undefined : Number(retention.Years);
  if ((days === undefined) === (years === undefined) || !((days ?? years ?? 0) > 0)) {
    throw new Error(`${where}: DefaultRetention needs either Days or Years, above 0`);
  }
  return { mode, days, years };
}

function encryptionOf(property: any, region: string, account: string, where: string): Encryption {
  const rules = property?.ServerSideEncryptionConfiguration ?? [];
  if (rules.length === 0) return { algorithm: 'AES256' };
  only(rules[0], ['ServerSideEncryptionByDefault', 'BucketKeyEnabled'], `${where}, BucketEncryption`);
  const usual = rules[0].ServerSideEncryptionByDefault ?? {};
  const algorithm: string = usual.SSEAlgorithm ?? 'AES256';
  if (!['AES256', 'aws:kms', 'aws:kms:dsse'].includes(algorithm)) {
    throw new Error(`${where}: SSEAlgorithm ${algorithm} is unknown. Try AES256 or aws:kms.`);
  }
  if (algorithm === 'AES256') return { algorithm };
  return {
    algorithm,
    keyArn: keyArnOf(usual.KMSMasterKeyID ?? 'alias/aws/s3', region, account),
    bucketKey: String(rules[0].BucketKeyEnabled) === 'true',
  };
}

function publicAccessBlockOf(property: any, where: string): Record<string, boolean> | undefined {
  if (!property) return undefined;
  const names = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'];
  only(property, names, `${where}, PublicAccessBlockConfiguration`);
  return Object.fromEntries(names.map((name) => [name, String(property[name]) === 'true']));
}

/** Kept to be told; access control lists are refused when a request brings one. */
function objectOwnershipOf(property: any, where: string): string {
  const ownership: string = property?.Rules?.[0]?.ObjectOwnership ?? 'BucketOwnerEnforced';
  if (!['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'].includes(ownership)) {
    throw new Error(`${where}: ObjectOwnership ${ownership} is unknown`);
  }
  return ownership;
}

export function madeBucket(bucket: Bucket): MadeResource {
  const { name, region } = bucket;
  return {
    ref: name,
    attributes: {
      Arn: `arn:aws:s3:::${name}`,
      DomainName: `${name}.s3.amazonaws.com`,
      DualStackDomainName: `${name}.s3.dualstack.${region}.amazonaws.com`,
      RegionalDomainName: `${name}.s3.${region}.amazonaws.com`,
    },
  };
}

export function makeBucketPolicy(
  properties: Record<string, any>,
  context: ResourceContext,
  buckets: ReadonlyMap<string, Bucket>,
): MadeResource {
  const where = place('AWS::S3::BucketPolicy', context);
  only(properties, ['Bucket', 'PolicyDocument'], where);
  const bucket = buckets.get(properties.Bucket);
  if (!bucket) throw new Error(`${where}: there is no bucket ${properties.Bucket}`);
  if (bucket.policy !== undefined) throw new Error(`${where}: bucket ${bucket.name} has a policy already`);
  if (!Array.isArray(properties.PolicyDocument?.Statement))
    throw new Error(`${where}: PolicyDocument has no Statement`);
  readPolicy(context.logicalId, properties.PolicyDocument, 'resource');
  bucket.policy = properties.PolicyDocument;
  return { ref: bucket.name };
}
