import { restoreHeader } from './archive.ts';
import { headerOf } from './checksums.ts';
import { lockFor, lockHeaders } from './lock.ts';
import {
  accessDenied,
  type Bucket,
  type Call,
  type Description,
  type Encryption,
  s3Error,
  type Version,
} from './model.ts';
import { tagsFrom } from './tags.ts';

/** Headers between a request, a stored object and its answers. */

const keptHeaders = ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires'];

const storageClasses = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
];

/** Headers that would change what is done, and that are not carried out here. */
const refusedHeaders =
  /^x-amz-(server-side-encryption-customer-|copy-source-server-side-encryption-customer-|grant-|website-redirect-location|write-offset-bytes|server-side-encryption-context|mfa$|if-match-|object-if-)/;

export function refuseUnsupportedHeaders(call: Call): void {
  for (const name of Object.keys(call.request.headers)) {
    if (refusedHeaders.test(name)) {
      throw s3Error(
        'NotImplemented',
        `A header you provided implies functionality that is not implemented: ${name}`,
        501,
      );
    }
  }
  const acl = call.header('x-amz-acl');
  if (acl && acl !== 'bucket-owner-full-control' && acl !== 'private') {
    throw s3Error('AccessControlListNotSupported', 'The bucket does not allow ACLs');
  }
  const owner = call.header('x-amz-expected-bucket-owner');
  if (owner && owner !== call.world.account) throw accessDenied();
}

export function descriptionFrom(call: Call, bucket: Bucket): Description {
  return {
    headers: headersFrom(call),
    storageClass: storageClassFrom(call),
    encryption: encryptionFrom(call, bucket),
    lock: lockFor(call, bucket),
    tags: tagsFrom(call.header('x-amz-tagging')),
  };
}

export function headersFrom(call: Call): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': call.header('content-type') ?? 'binary/octet-stream',
  };
  for (const name of keptHeaders) {
    const value = call.header(name);
    // aws-chunked is the encoding of the transfer, not of the object.
    const kept = name === 'content-encoding' ? value?.replace(/\s*aws-chunked\s*,?\s*/i, '') : value;
    if (kept) headers[name] = kept;
  }
  let metadata = 0;
  for (const name of Object.keys(call.request.headers)) {
    if (!name.startsWith('x-amz-meta-')) continue;
    headers[name] = call.header(name) as string;
    metadata += name.length - 'x-amz-meta-'.length + (headers[name] as string).length;
  }
  if (metadata > 2048) {
    throw s3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size', 400, {
      Size: String(metadata),
      MaxSizeAllowed: '2048',
    });
  }
  return headers;
}

function storageClassFrom(call: Call): string {
  const storageClass = call.header('x-amz-storage-class') ?? 'STANDARD';
  if (!storageClasses.includes(storageClass)) {
    throw s3Error('InvalidStorageClass', 'The storage class you specified is not valid');
  }
  return storageClass;
}

function encryptionFrom(call: Call, bucket: Bucket): Encryption {
  const algorithm = call.header('x-amz-server-side-encryption');
  const key = call.header('x-amz-server-side-encryption-aws-kms-key-id');
  const bucketKey = call.header('x-amz-server-side-encryption-bucket-key-enabled');
  const usual = bucket.configuration.encryption;
  if (algorithm === undefined) {
    if (key) {
      throw s3Error(
        'InvalidArgument',
        'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
      );
    }
    return usual;
  }
  if (algorithm === 'AES256') return { algorithm };
  if (algorithm !== 'aws:kms' && algorithm !== 'aws:kms:dsse') {
    throw s3Error('InvalidEncryptionAlgorithmError', 'The encryption request that you specified is not valid.');
  }
  const keyArn = key ? keyArnOf(key, bucket.region, call.world.account) : usual.keyArn;
  return {
    algorithm,
    keyArn: keyArn ?? keyArnOf('alias/aws/s3', bucket.region, call.world.account),
    bucketKey: bucketKey === undefined ? usual.bucketKey : bucketKey.toLowerCase() === 'true',
  };
}

export function keyArnOf(key: string, region: string, account: string): string {
  if (key.startsWith('arn:')) return key;
  return `arn:aws:kms:${region}:${account}:${key.startsWith('alias/') ? key : `key/${key}`}`;
}

export function encryptionHeaders({ algorithm, keyArn, bucketKey }: Encryption): Record<string, string> {
  return {
    'x-amz-server-side-encryption': algorithm,
    ...(keyArn && { 'x-amz-server-side-encryption-aws-kms-key-id': keyArn }),
    ...(bucketKey && { 'x-amz-server-side-encryption-bucket-key-enabled': 'true' }),
  };
}

export function checksumHeaders(version: Pick<Version, 'checksum'>): Record<string, string> {
  const { checksum } = version;
  if (!checksum) return {};
  return { [headerOf(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** The version id is shown wherever the bucket has, or has had, versioning. */
export const versionIdHeader = (bucket: Bucket, versionId: string | undefined): Record<string, string> =>
  bucket.configuration.versioning && versionId !== undefined ? { 'x-amz-version-id': versionId } : {};

/** What GET and HEAD tell of an object beside its length. */
export function objectHeaders(bucket: Bucket, version: Version, now: number): Record<string, string> {
  const tags = Object.keys(version.tags ?? {}).length;
  return {
    ...version.headers,
    etag: `"${version.etag}"`,
    'last-modified': new Date(version.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
    ...(version.storageClass !== 'STANDARD' && { 'x-amz-storage-class': version.storageClass }),
    ...encryptionHeaders(version.encryption),
    ...lockHeaders(version.lock),
    ...restoreHeader(version, now),
    ...(version.replication && { 'x-amz-replication-status': version.replication }),
    ...(tags > 0 && { 'x-amz-tagging-count': String(tags) }),
    ...versionIdHeader(bucket, version.versionId),
  };
}
