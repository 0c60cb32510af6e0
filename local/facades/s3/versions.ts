import { type Bucket, s3Error, type Version } from './model.ts';

/** The index of a bucket in memory: which keys there are, in S3's order, and the versions of each. */

/** Orders as UTF-8 bytes would, which differs from JavaScript's order for characters beyond U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all of the basic plane. */
const rank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** The first index whose key is not below `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] as string, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export const current = (bucket: Bucket, key: string): Version | undefined => bucket.versions.get(key)?.[0];

export const findVersion = (bucket: Bucket, key: string, versionId: string): Version | undefined =>
  bucket.versions.get(key)?.find((version) => version.versionId === versionId);

/** Adds a version as the newest, in place of one with the same id. */
export function insertVersion(bucket: Bucket, version: Version): void {
  const versions = bucket.versions.get(version.key);
  if (!versions) {
    bucket.keys.splice(lowerBound(bucket.keys, version.key), 0, version.key);
    bucket.versions.set(version.key, [version]);
    return;
  }
  bucket.versions.set(version.key, [version, ...versions.filter((other) => other.versionId !== version.versionId)]);
}

export function dropVersion(bucket: Bucket, version: Version): void {
  const left = (bucket.versions.get(version.key) ?? []).filter((other) => other.versionId !== version.versionId);
  if (left.length > 0) {
    bucket.versions.set(version.key, left);
    return;
  }
  bucket.versions.delete(version.key);
  const index = lowerBound(bucket.keys, version.key);
  if (bucket.keys[index] === version.key) bucket.keys.splice(index, 1);
}

export const noSuchKey = (key: string, headers: Record<string, string> = {}) =>
  s3Error('NoSuchKey', 'The specified key does not exist.', 404, { Key: key }, headers);

export const noSuchVersion = (key: string, versionId: string) =>
  s3Error('NoSuchVersion', 'The specified version does not exist.', 404, { Key: key, VersionId: versionId });

/** The version to read: NoSuchKey, NoSuchVersion, or MethodNotAllowed for a delete marker asked for by its id. */
export function versionOf(bucket: Bucket, key: string, versionId?: string): Version {
  if (versionId === undefined) {
    const version = current(bucket, key);
    if (!version) throw noSuchKey(key);
    if (version.deleteMarker) {
      throw noSuchKey(key, { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId });
    }
    return version;
  }
  const version = findVersion(bucket, key, versionId);
  if (!version) throw noSuchVersion(key, versionId);
  if (version.deleteMarker) {
    throw s3Error(
      'MethodNotAllowed',
      'The specified method is not allowed against this resource.',
      405,
      { ResourceType: 'DeleteMarker' },
      { 'x-amz-delete-marker': 'true', 'x-amz-version-id': versionId, allow: 'DELETE' },
    );
  }
  return version;
}

/** Conditions of a write; they are judged in the moment of the commit, so that of two writers one wins. */
export interface WriteConditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

export function assertWritable(bucket: Bucket, key: string, { ifMatch, ifNoneMatch }: WriteConditions): void {
  const version = current(bucket, key);
  const present = version !== undefined && !version.deleteMarker;
  if (ifNoneMatch !== undefined && present) throw preconditionFailed('If-None-Match');
  if (ifMatch !== undefined) {
    if (!present) throw noSuchKey(key);
    if (!matches(ifMatch, version.etag)) throw preconditionFailed('If-Match');
  }
}

/** Whether a header's list of entity tags holds this one. */
export const matches = (header: string, etag: string): boolean =>
  header.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '').replace(/^"|"$/g, '') === etag);

export const preconditionFailed = (condition: string) =>
  s3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', 412, {
    Condition: condition,
  });
