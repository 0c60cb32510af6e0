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
  const [name, key] =
    virtual !== undefined ? [virtual, path] : slash < 0 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)];
  const target = { bucket: decode(name), key: decode(key), query: new URLSearchParams(rest.join('?')) };
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

type Details = Pick<Route, 'parameters' | 'header'> & { readonly chosenBy?: string; readonly versionAction?: string };

const routeAt =
  (level: Route['level']) =>
  (method: string, operation: string, action: string, details: Details = {}): Route => ({
    operation,
    method,
    level,
    action: `s3:${action}`,
    ...(details.versionAction && { versionAction: `s3:${details.versionAction}` }),
    chosenBy: details.chosenBy?.split(' '),
    parameters: details.parameters,
    header: details.header,
  });

const service = routeAt('service');
const bucket = routeAt('bucket');
const object = routeAt('object');

const ofVersion = { parameters: ['versionId'] };
const listing = ['prefix', 'delimiter', 'encoding-type'];
const overrides = [
  'content-type',
  'content-language',
  'expires',
  'cache-control',
  'content-disposition',
  'content-encoding',
];
const reading = {
  versionAction: 'GetObjectVersion',
  parameters: ['versionId', 'partNumber', ...overrides.map((name) => `response-${name}`)],
};
const copying = { header: 'x-amz-copy-source' };
const tagging = { chosenBy: 'tagging', ...ofVersion };

/** The first that fits is taken. */
const routes: readonly Route[] = [
  service('GET', 'ListBuckets', 'ListAllMyBuckets', { parameters: ['prefix', 'bucket-region'] }),

  bucket('GET', 'GetBucketLocation', 'GetBucketLocation', { chosenBy: 'location' }),
  bucket('GET', 'GetBucketVersioning', 'GetBucketVersioning', { chosenBy: 'versioning' }),
  bucket('GET', 'GetBucketEncryption', 'GetEncryptionConfiguration', { chosenBy: 'encryption' }),
  bucket('GET', 'GetBucketPolicy', 'GetBucketPolicy', { chosenBy: 'policy' }),
  bucket('GET', 'GetBucketOwnershipControls', 'GetBucketOwnershipControls', { chosenBy: 'ownershipControls' }),
  bucket('GET', 'GetPublicAccessBlock', 'GetBucketPublicAccessBlock', { chosenBy: 'publicAccessBlock' }),
  bucket('GET', 'GetObjectLockConfiguration', 'GetBucketObjectLockConfiguration', { chosenBy: 'object-lock' }),
  bucket('GET', 'GetBucketLifecycleConfiguration', 'GetLifecycleConfiguration', { chosenBy: 'lifecycle' }),
  bucket('GET', 'GetBucketReplication', 'GetReplicationConfiguration', { chosenBy: 'replication' }),
  bucket('GET', 'ListObjectVersions', 'ListBucketVersions', {
    chosenBy: 'versions',
    parameters: [...listing, 'key-marker', 'version-id-marker', 'max-keys'],
  }),
  bucket('GET', 'ListMultipartUploads', 'ListBucketMultipartUploads', {
    chosenBy: 'uploads',
    parameters: [...listing, 'key-marker', 'upload-id-marker', 'max-uploads'],
  }),
  bucket('GET', 'ListObjectsV2', 'ListBucket', {
    chosenBy: 'list-type',
    parameters: [...listing, 'continuation-token', 'start-after', 'max-keys', 'fetch-owner'],
  }),
  bucket('GET', 'ListObjects', 'ListBucket', { parameters: [...listing, 'marker', 'max-keys'] }),
  bucket('HEAD', 'HeadBucket', 'ListBucket'),
  bucket('PUT', 'PutBucketVersioning', 'PutBucketVersioning', { chosenBy: 'versioning' }),
  bucket('PUT', 'PutObjectLockConfiguration', 'PutBucketObjectLockConfiguration', { chosenBy: 'object-lock' }),
  bucket('PUT', 'PutBucketReplication', 'PutReplicationConfiguration', { chosenBy: 'replication' }),
  bucket('PUT', 'PutBucketPolicy', 'PutBucketPolicy', { chosenBy: 'policy' }),
  bucket('PUT', 'PutBucketLifecycleConfiguration', 'PutLifecycleConfiguration', { chosenBy: 'lifecycle' }),
  bucket('PUT', 'CreateBucket', 'CreateBucket'),
  bucket('DELETE', 'DeleteBucketReplication', 'PutReplicationConfiguration', { chosenBy: 'replication' }),
  bucket('DELETE', 'DeleteBucketPolicy', 'DeleteBucketPolicy', { chosenBy: 'policy' }),
  bucket('DELETE', 'DeleteBucketLifecycle', 'PutLifecycleConfiguration', { chosenBy: 'lifecycle' }),
  bucket('DELETE', 'DeleteBucket', 'DeleteBucket'),
  bucket('POST', 'DeleteObjects', 'DeleteObject', { chosenBy: 'delete', versionAction: 'DeleteObjectVersion' }),

  object('GET', 'ListParts', 'ListMultipartUploadParts', {
    chosenBy: 'uploadId',
    parameters: ['max-parts', 'part-number-marker'],
  }),
  object('GET', 'GetObjectRetention', 'GetObjectRetention', { chosenBy: 'retention', ...ofVersion }),
  object('GET', 'GetObjectLegalHold', 'GetObjectLegalHold', { chosenBy: 'legal-hold', ...ofVersion }),
  object('GET', 'GetObjectTagging', 'GetObjectTagging', { ...tagging, versionAction: 'GetObjectVersionTagging' }),
  object('GET', 'GetObjectAttributes', 'GetObjectAttributes', {
    chosenBy: 'attributes',
    versionAction: 'GetObjectVersionAttributes',
    ...ofVersion,
  }),
  object('GET', 'GetObject', 'GetObject', reading),
  object('HEAD', 'HeadObject', 'GetObject', reading),
  object('POST', 'CreateMultipartUpload', 'PutObject', { chosenBy: 'uploads' }),
  object('POST', 'CompleteMultipartUpload', 'PutObject', { chosenBy: 'uploadId' }),
  object('POST', 'RestoreObject', 'RestoreObject', { chosenBy: 'restore', ...ofVersion }),
  object('PUT', 'UploadPartCopy', 'PutObject', { chosenBy: 'partNumber uploadId', ...copying }),
  object('PUT', 'UploadPart', 'PutObject', { chosenBy: 'partNumber uploadId' }),
  object('PUT', 'PutObjectRetention', 'PutObjectRetention', { chosenBy: 'retention', ...ofVersion }),
  object('PUT', 'PutObjectLegalHold', 'PutObjectLegalHold', { chosenBy: 'legal-hold', ...ofVersion }),
  object('PUT', 'PutObjectTagging', 'PutObjectTagging', { ...tagging, versionAction: 'PutObjectVersionTagging' }),
  object('PUT', 'CopyObject', 'PutObject', copying),
  object('PUT', 'PutObject', 'PutObject'),
  object('DELETE', 'AbortMultipartUpload', 'AbortMultipartUpload', { chosenBy: 'uploadId' }),
  object('DELETE', 'DeleteObjectTagging', 'DeleteObjectTagging', {
    ...tagging,
    versionAction: 'DeleteObjectVersionTagging',
  }),
  object('DELETE', 'DeleteObject', 'DeleteObject', { versionAction: 'DeleteObjectVersion', ...ofVersion }),
];

/** The operation of a request; one with a parameter that nobody here understands is NotImplemented, not guessed at. */
export function routeOf(request: IncomingMessage, { bucket: name, key, query }: Target): Route {
  const level = name === '' ? 'service' : key === '' ? 'bucket' : 'object';
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
