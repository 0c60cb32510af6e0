import { lifecycleXml } from './lifecycle-rules.ts';
import { type Bucket, type Call, s3Error } from './model.ts';
import { replicationXml } from './replication-rules.ts';
import { answerXml, isoSeconds, toXml } from './xml.ts';

/** What a bucket tells of itself. */

function headBucket(call: Call): void {
  const bucket = call.bucket();
  call.response.writeHead(200, {
    'x-amz-bucket-region': bucket.region,
    'x-amz-access-point-alias': 'false',
    'content-length': 0,
  });
  call.response.end();
}

export function listBuckets(call: Call, buckets: Iterable<Bucket>): void {
  const prefix = call.query.get('prefix') ?? '';
  const region = call.query.get('bucket-region');
  const shown = [...buckets]
    .filter((bucket) => bucket.name.startsWith(prefix) && (region === null || bucket.region === region))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  answerXml(call.response, 'ListAllMyBucketsResult', {
    Owner: { ID: call.world.account },
    Buckets: {
      Bucket: shown.map((bucket) => ({
        Name: bucket.name,
        CreationDate: isoSeconds(bucket.created),
        BucketRegion: bucket.region,
      })),
    },
  });
}

/** Answered from every region; us-east-1 is the empty location. */
function getBucketLocation(call: Call): void {
  const { region } = call.anyBucket(call.bucketName);
  const body = toXml('LocationConstraint', region === 'us-east-1' ? undefined : region);
  call.response.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) });
  call.response.end(body);
}

function getBucketVersioning(call: Call): void {
  answerXml(call.response, 'VersioningConfiguration', { Status: call.bucket().configuration.versioning });
}

function getBucketEncryption(call: Call): void {
  const { algorithm, keyArn, bucketKey } = call.bucket().configuration.encryption;
  answerXml(call.response, 'ServerSideEncryptionConfiguration', {
    Rule: {
      ApplyServerSideEncryptionByDefault: { SSEAlgorithm: algorithm, KMSMasterKeyID: keyArn },
      BucketKeyEnabled: bucketKey ?? false,
    },
  });
}

function getPublicAccessBlock(call: Call): void {
  const block = call.bucket().configuration.publicAccessBlock;
  if (!block) {
    throw s3Error('NoSuchPublicAccessBlockConfiguration', 'The public access block configuration was not found', 404);
  }
  answerXml(call.response, 'PublicAccessBlockConfiguration', { ...block });
}

function getBucketOwnershipControls(call: Call): void {
  answerXml(call.response, 'OwnershipControls', {
    Rule: { ObjectOwnership: call.bucket().configuration.objectOwnership },
  });
}

function getBucketPolicy(call: Call): void {
  const { policy } = call.bucket();
  if (policy === undefined) throw s3Error('NoSuchBucketPolicy', 'The bucket policy does not exist', 404);
  const body = JSON.stringify(policy);
  call.response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  call.response.end(body);
}

function getBucketLifecycleConfiguration(call: Call): void {
  const { lifecycle } = call.bucket().configuration;
  if (lifecycle.length === 0) {
    throw s3Error('NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist', 404);
  }
  answerXml(call.response, 'LifecycleConfiguration', { Rule: lifecycle.map(lifecycleXml) });
}

function getBucketReplication(call: Call): void {
  const { replication } = call.bucket().configuration;
  if (!replication) {
    throw s3Error('ReplicationConfigurationNotFoundError', 'The replication configuration was not found', 404);
  }
  answerXml(call.response, 'ReplicationConfiguration', replicationXml(replication));
}

export const operations: Readonly<Record<string, (call: Call) => void>> = {
  HeadBucket: headBucket,
  GetBucketLocation: getBucketLocation,
  GetBucketVersioning: getBucketVersioning,
  GetBucketEncryption: getBucketEncryption,
  GetPublicAccessBlock: getPublicAccessBlock,
  GetBucketOwnershipControls: getBucketOwnershipControls,
  GetBucketPolicy: getBucketPolicy,
  GetBucketLifecycleConfiguration: getBucketLifecycleConfiguration,
  GetBucketReplication: getBucketReplication,
};
