import type { AwsError, ConditionValues, Permission } from '../../facade.ts';
import { keyUse } from '../../runtime/key-use.ts';
import { bypassesGovernance } from './lock.ts';
import type { Bucket, Call, Encryption } from './model.ts';
import { current, findVersion } from './versions.ts';
import { copySource } from './write.ts';

/** What IAM is asked before an operation on S3: its own action, and whatever it does besides. */

const objectArn = (bucket: string, key: string): string => `arn:aws:s3:::${bucket}/${key}`;

export function permissionsOf(call: Call, operation: string, own: Permission): Permission[] {
  const needs: Permission[] = [{ ...own, conditions: conditionsOf(call) }];
  const { header } = call;
  const also = (action: string) => needs.push({ action: `s3:${action}`, resource: own.resource });
  const bucket = call.buckets.get(call.bucketName);
  const versionId = call.query.get('versionId') ?? undefined;

  if (bypassesGovernance(call)) also('BypassGovernanceRetention');
  if (operation === 'GetObjectAttributes') also(versionId === undefined ? 'GetObject' : 'GetObjectVersion');
  if (begins.has(operation)) {
    if (header('x-amz-object-lock-mode') !== undefined) also('PutObjectRetention');
    if (header('x-amz-object-lock-legal-hold') !== undefined) also('PutObjectLegalHold');
    if (header('x-amz-tagging') !== undefined) also('PutObjectTagging');
    if (bucket) needs.push(...useOf(call, bucket, call.key, encryptionAsked(call, bucket), 'GenerateDataKey'));
  }
  if (copies.has(operation)) needs.push(...readingSource(call));
  if (bucket && readsContent(call, operation)) {
    const version = versionId === undefined ? current(bucket, call.key) : findVersion(bucket, call.key, versionId);
    needs.push(...useOf(call, bucket, call.key, version?.encryption, 'Decrypt'));
  }
  if (bucket && goesOn.has(operation)) {
    // Parts are sealed with the upload's data key, which S3 has to open again with every one of them.
    const upload = bucket.uploads.get(call.query.get('uploadId') ?? '');
    needs.push(...useOf(call, bucket, call.key, upload?.encryption, 'Decrypt'));
  }
  return needs;
}

const begins = new Set(['PutObject', 'CopyObject', 'CreateMultipartUpload']);
const goesOn = new Set(['UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload']);
const copies = new Set(['CopyObject', 'UploadPartCopy']);
const reads = new Set(['GetObject', 'HeadObject', 'GetObjectAttributes']);

/** HeadObject tells of headers, which are not encrypted, and of the checksum only when it is asked to. */
const readsContent = (call: Call, operation: string): boolean =>
  reads.has(operation) &&
  (operation !== 'HeadObject' || call.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED');

/** What one key of DeleteObjects takes. */
export function deletionPermissions(call: Call, key: string, versionId: string | undefined): Permission[] {
  const resource = objectArn(call.bucketName, key);
  const action = versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion';
  const deletion: Permission = { action, resource, conditions: present({ 's3:VersionId': versionId }) };
  return bypassesGovernance(call) ? [deletion, { action: 's3:BypassGovernanceRetention', resource }] : [deletion];
}

/** @throws AwsError AccessDenied */
export function assertAllowed(call: Call, permissions: readonly Permission[]): void {
  const { region, principal } = call.context;
  for (const permission of permissions) {
    const refused = call.world.refusal({ service: 's3', region, principal }, permission);
    if (refused) throw refused;
  }
}

/**
 * That an object does not exist is only told to who may list the bucket; anybody else is refused. The request has no
 * prefix, so that a right to list some prefix is none to be told.
 */
export function hideAbsence(call: Call, operation: string, error: AwsError): AwsError {
  const absent = error.code === 'NoSuchKey' || error.code === 'NoSuchVersion';
  if (!absent || !(reads.has(operation) || copies.has(operation))) return error;
  const { region, principal } = call.context;
  const name = copies.has(operation) ? copySource(call).bucket : call.bucketName;
  const permission = { action: 's3:ListBucket', resource: `arn:aws:s3:::${name}` };
  return call.world.refusal({ service: 's3', region, principal }, permission) ?? error;
}

const lockHeaders = {
  'x-amz-object-lock-mode': 's3:GetObjectRetention',
  'x-amz-object-lock-retain-until-date': 's3:GetObjectRetention',
  'x-amz-object-lock-legal-hold': 's3:GetObjectLegalHold',
};

/** A reader is told of an object's lock only if he might ask for it by name. */
export function hideLocks(call: Call, headers: Record<string, string | number>): void {
  const { region, principal } = call.context;
  const resource = objectArn(call.bucketName, call.key);
  for (const [name, action] of Object.entries(lockHeaders)) {
    if (name in headers && call.world.refusal({ service: 's3', region, principal }, { action, resource }))
      delete headers[name];
  }
}

function conditionsOf({ query, header }: Call): ConditionValues {
  return present({
    's3:prefix': query.get('prefix'),
    's3:delimiter': query.get('delimiter'),
    's3:max-keys': query.get('max-keys'),
    's3:VersionId': query.get('versionId'),
    's3:object-lock-mode': header('x-amz-object-lock-mode'),
    's3:object-lock-retain-until-date': header('x-amz-object-lock-retain-until-date'),
    's3:object-lock-legal-hold': header('x-amz-object-lock-legal-hold'),
    's3:x-amz-server-side-encryption': header('x-amz-server-side-encryption'),
    's3:x-amz-server-side-encryption-aws-kms-key-id': header('x-amz-server-side-encryption-aws-kms-key-id'),
    's3:x-amz-storage-class': header('x-amz-storage-class'),
  });
}

const present = (values: Readonly<Record<string, string | null | undefined>>): ConditionValues =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null)) as Record<
    string,
    string
  >;

function readingSource(call: Call): Permission[] {
  const { bucket: name, key, versionId } = copySource(call);
  const from = call.buckets.get(name);
  const version = from && (versionId === undefined ? current(from, key) : findVersion(from, key, versionId));
  const action = versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
  return [
    { action, resource: objectArn(name, key), conditions: present({ 's3:VersionId': versionId }) },
    ...(from ? useOf(call, from, key, version?.encryption, 'Decrypt') : []),
  ];
}

function encryptionAsked({ header }: Call, { configuration }: Bucket): Encryption {
  const usual = configuration.encryption;
  const algorithm = header('x-amz-server-side-encryption') ?? usual.algorithm;
  const keyArn = header('x-amz-server-side-encryption-aws-kms-key-id') ?? usual.keyArn;
  return { algorithm, keyArn, bucketKey: usual.bucketKey };
}

/** S3 uses the key of the bucket's region in the caller's name. */
function useOf(
  call: Call,
  bucket: Bucket,
  key: string,
  encryption: Encryption | undefined,
  operation: string,
): Permission[] {
  if (!encryption?.algorithm.startsWith('aws:kms')) return [];
  const { keyArn = 'alias/aws/s3', bucketKey } = encryption;
  const arn = bucketKey ? `arn:aws:s3:::${bucket.name}` : objectArn(bucket.name, key);
  const use = { service: 's3', region: bucket.region, key: keyArn, encryptionContext: { 'aws:s3:arn': arn } };
  return keyUse(call.world, use, operation);
}
