import type { IncomingMessage } from 'node:http';
import { s3Error } from './model.ts';

/** Where a request points. */
export interface Target {
  /** Empty for the service itself (ListBuckets). */
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
}

/** Path style (`/bucket/key`), or virtual-host style where the host has a bucket before a name that is this cloud's. */
export function targetOf(request: IncomingMessage): Target {
  const [rawPath = '/', ...rest] = (request.url ?? '/').split('?');
  const host = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  const virtual = /^(.+)\.(127\.0\.0\.1|localhost|s3[.-][a-z0-9.-]*amazonaws\.com)$/.exec(host)?.[1];
  const path = rawPath.slice(1);
  const slash = path.indexOf('/');
  const [bucket, key] =
    virtual !== undefined ? [virtual, path] : slash < 0 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)];
  const target = { bucket: decode(bucket), key: decode(key), query: new URLSearchParams(rest.join('?')) };
  if (Buffer.byteLength(target.key) > 1024) {
    throw s3Error('KeyTooLongError', 'Your key is too long', 400, { MaxSizeAllowed: '1024' });
  }
  return target;
}

/** By hand and not by URL, which would resolve `..` and `//`: both are plain characters of a key. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw s3Error('InvalidURI', "Couldn't parse the specified URI.");
  }
}

export interface Route {
  readonly operation: string;
  readonly method: string;
  readonly level: 'service' | 'bucket' | 'object';
  /** The IAM action, and the one that holds when a version is named. */
  readonly action: string;
  readonly versionAction?: string;
  /** Query parameters that choose this operation among those of the same method. */
  readonly chosenBy?: readonly string[];
  /** Query parameters that it understands besides. */
  readonly parameters?: readonly string[];
  /** A header without which this is another operation. */
  readonly header?: string;
}

const version = ['versionId'];
const listing = ['prefix', 'delimiter', 'encoding-type'];
const overrides = [
  'content-type',
  'content-language',
  'expires',
  'cache-control',
  'content-disposition',
  'content-encoding',
];
const reading = [...version, 'partNumber', ...overrides.map((name) => `response-${name}`)];

const get = (operation: string, chosenBy: string, action: string): Route => ({
  operation,
  method: 'GET',
  level: 'bucket',
  action: `s3:${action}`,
  chosenBy: [chosenBy],
});

/** The first that fits is taken. */
const routes: readonly Route[] = [
  {
    operation: 'ListBuckets',
    method: 'GET',
    level: 'service',
    action: 's3:ListAllMyBuckets',
    parameters: ['prefix', 'bucket-region'],
  },
  get('GetBucketLocation', 'location', 'GetBucketLocation'),
  get('GetBucketVersioning', 'versioning', 'GetBucketVersioning'),
  get('GetBucketEncryption', 'encryption', 'GetEncryptionConfiguration'),
  get('GetBucketPolicy', 'policy', 'GetBucketPolicy'),
  get('GetBucketOwnershipControls', 'ownershipControls', 'GetBucketOwnershipControls'),
  get('GetPublicAccessBlock', 'publicAccessBlock', 'GetBucketPublicAccessBlock'),
  get('GetObjectLockConfiguration', 'object-lock', 'GetBucketObjectLockConfiguration'),
  {
    ...get('ListObjectVersions', 'versions', 'ListBucketVersions'),
    parameters: [...listing, 'key-marker', 'version-id-marker', 'max-keys'],
  },
  {
    ...get('ListMultipartUploads', 'uploads', 'ListBucketMultipartUploads'),
    parameters: [...listing, 'key-marker', 'upload-id-marker', 'max-uploads'],
  },
  {
    ...get('ListObjectsV2', 'list-type', 'ListBucket'),
    parameters: [...listing, 'continuation-token', 'start-after', 'max-keys', 'fetch-owner'],
  },
  {
    operation: 'ListObjects',
    method: 'GET',
    level: 'bucket',
    action: 's3:ListBucket',
    parameters: [...listing, 'marker', 'max-keys'],
  },
  { operation: 'HeadBucket', method: 'HEAD', level: 'bucket', action: 's3:ListBucket' },
  {
    operation: 'DeleteObjects',
    method: 'POST',
    level: 'bucket',
    action: 's3:DeleteObject',
    versionAction: 's3:DeleteObjectVersion',
    chosenBy: ['delete'],
  },
  {
    operation: 'ListParts',
    method: 'GET',
    level: 'object',
    action: 's3:ListMultipartUploadParts',
    chosenBy: ['uploadId'],
    parameters: ['max-parts', 'part-number-marker'],
  },
  {
    operation: 'GetObjectRetention',
    method: 'GET',
    level: 'object',
    action: 's3:GetObjectRetention',
    chosenBy: ['retention'],
    parameters: version,
  },
  {
    operation: 'GetObjectLegalHold',
    method: 'GET',
    level: 'object',
    action: 's3:GetObjectLegalHold',
    chosenBy: ['legal-hold'],
    parameters: version,
  },
  {
    operation: 'GetObjectAttributes',
    method: 'GET',
    level: 'object',
    action: 's3:GetObjectAttributes',
    versionAction: 's3:GetObjectVersionAttributes',
    chosenBy: ['attributes'],
    parameters: version,
  },
  {
    operation: 'GetObject',
    method: 'GET',
    level: 'object',
    action: 's3:GetObject',
    versionAction: 's3:GetObjectVersion',
    parameters: reading,
  },
  {
    operation: 'HeadObject',
    method: 'HEAD',
    level: 'object',
    action: 's3:GetObject',
    versionAction: 's3:GetObjectVersion',
    parameters: reading,
  },
  {
    operation: 'CreateMultipartUpload',
    method: 'POST',
    level: 'object',
    action: 's3:PutObject',
    chosenBy: ['uploads'],
  },
  {
    operation: 'CompleteMultipartUpload',
    method: 'POST',
    level: 'object',
    action: 's3:PutObject',
    chosenBy: ['uploadId'],
  },
  {
    operation: 'UploadPartCopy',
    method: 'PUT',
    level: 'object',
    action: 's3:PutObject',
    chosenBy: ['partNumber', 'uploadId'],
    header: 'x-amz-copy-source',
  },
  {
    operation: 'UploadPart',
    method: 'PUT',
    level: 'object',
    action: 's3:PutObject',
    chosenBy: ['partNumber', 'uploadId'],
  },
  {
    operation: 'PutObjectRetention',
    method: 'PUT',
    level: 'object',
    action: 's3:PutObjectRetention',
    chosenBy: ['retention'],
    parameters: version,
  },
  {
    operation: 'PutObjectLegalHold',
    method: 'PUT',
    level: 'object',
    action: 's3:PutObjectLegalHold',
    chosenBy: ['legal-hold'],
    parameters: version,
  },
  { operation: 'CopyObject', method: 'PUT', level: 'object', action: 's3:PutObject', header: 'x-amz-copy-source' },
  { operation: 'PutObject', method: 'PUT', level: 'object', action: 's3:PutObject' },
  {
    operation: 'AbortMultipartUpload',
    method: 'DELETE',
    level: 'object',
    action: 's3:AbortMultipartUpload',
    chosenBy: ['uploadId'],
  },
  {
    operation: 'DeleteObject',
    method: 'DELETE',
    level: 'object',
    action: 's3:DeleteObject',
    versionAction: 's3:DeleteObjectVersion',
    parameters: version,
  },
];

/** The operation of a request; one with a parameter that nobody here understands is NotImplemented, not guessed at. */
export function routeOf(request: IncomingMessage, { bucket, key, query }: Target): Route {
  const level = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object';
  const route = routes.find(
    (candidate) =>
      candidate.method === request.method &&
      candidate.level === level &&
      (candidate.chosenBy ?? []).every((parameter) => query.has(parameter)) &&
      (candidate.header === undefined || request.headers[candidate.header] !== undefined),
  );
  const understood = [...(route?.chosenBy ?? []), ...(route?.parameters ?? [])];
  const unknown = [...query.keys()].filter(
    // x-id names the operation once more; X-Amz-* is a presigned request's signature.
    (name) => !understood.includes(name) && name !== 'x-id' && !name.toLowerCase().startsWith('x-amz-'),
  );
  if (!route || unknown.length > 0) {
    throw s3Error(
      'NotImplemented',
      `A request you provided implies functionality that is not implemented: ${request.method} /${level}${unknown.length > 0 ? `?${unknown.join('&')}` : ''}`,
      501,
    );
  }
  return route;
}
