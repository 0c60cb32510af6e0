import { createHash } from 'node:crypto';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  S3Client,
  type S3ServiceException,
} from '@aws-sdk/client-s3';
import { type ErrorName, PgdrError } from '../core/errors.ts';
import type { ManifestPart } from '../core/manifest.ts';
import type { ClientKey } from './client-encryption.ts';
import { abortUpload, completeUpload, createUpload, cutIntoParts, prepend, sendPart, sendParts } from './multipart.ts';

/**
 * Write-once objects in one bucket, in streams. Every write says `If-None-Match: *`; where an object exists already,
 * equal content is success and other content is `ManifestConflict`. Errors of S3 that outlast the SDK's retries are
 * `StorageRefused`; errors of the source stream pass through unchanged, after the multipart upload was aborted.
 */
export interface ObjectStore {
  readonly s3: S3Client;
  readonly bucket: string;
  /** Object Lock of what is written; the bucket's default retention applies without it. */
  readonly lock?: Lock;
  /** Reads the first version of each key, whatever was written over it or hides it. Takes s3:ListBucketVersions. */
  readonly firstVersions?: boolean;
  /** What objects of backups are encrypted with before they come here; see client-encryption.ts. */
  readonly clientKey?: ClientKey;
}

export interface Lock {
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE';
  readonly until: Date;
}

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  /** Hex SHA-256 of the whole object and of each part, computed here while streaming. */
  readonly sha256: string;
  readonly parts: ManifestPart[];
  readonly versionId?: string;
  readonly encryption?: string;
}

export function openStore(bucket: string, lock?: Lock): ObjectStore {
  // Five attempts with the SDK's exponential backoff ride out a throttled or restarting partition; the connection
  // and idle limits turn a silent network into an error that can be retried.
  const s3 = new S3Client({
    maxAttempts: 5,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true },
  });
  return { s3, bucket, lock };
}

/** Stores a stream as one object: a single PUT when it fits in one part, a multipart upload otherwise. */
export async function putStream(
  store: ObjectStore,
  key: string,
  source: AsyncIterable<Buffer>,
  options: { readonly partBytes: number; readonly metadata?: Record<string, string> },
): Promise<StoredObject> {
  const whole = createHash('sha256');
  const parts = cutIntoParts(source, options.partBytes, (chunk) => whole.update(chunk));
  const first = await parts.next();
  const second = first.done ? first : await parts.next();
  if (first.done || second.done) return putOnce(store, key, first.value ?? Buffer.alloc(0), options.metadata);

  const upload = await refused(key, () => createUpload(store, key, options.metadata));
  try {
    const sent = await sendParts(prepend([first.value, second.value], parts), (body, partNumber) =>
      refused(`${key} part ${partNumber}`, () => sendPart(upload, partNumber, body)),
    );
    const completed = await writeOnce(store, key, whole.digest('hex'), () => completeUpload(upload, sent));
    if (completed.existed) await abortUpload(upload);
    const bytes = sent.reduce((sum, part) => sum + part.bytes, 0);
    return { ...completed.stored, key, bytes, parts: sent.map((part) => ({ bytes: part.bytes, sha256: part.sha256 })) };
  } catch (error) {
    await abortUpload(upload);
    throw error;
  }
}

/** Stores a small object in one request; `metadata` are S3's own, kept beside the object. */
export async function putOnce(
  store: ObjectStore,
  key: string,
  body: Buffer,
  metadata?: Record<string, string>,
): Promise<StoredObject> {
  const sha256 = createHash('sha256').update(body).digest('hex');
  const { stored } = await writeOnce(store, key, sha256, () =>
    store.s3.send(
      new PutObjectCommand({
        Bucket: store.bucket,
        Key: key,
        Body: body,
        IfNoneMatch: '*',
        ContentLength: body.length,
        ContentType: contentType(key),
        Metadata: metadata,
        ...lockHeaders(store),
        ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
      }),
    ),
  );
  return { ...stored, key, bytes: body.length, parts: body.length > 0 ? [{ bytes: body.length, sha256 }] : [] };
}

/** Keeps an existing object version as long as what is written now; a lock that lasts longer stays as it is. */
export async function extendLock(store: ObjectStore, key: string, versionId?: string): Promise<void> {
  const { lock, bucket } = store;
  if (!lock) return;
  const head = await readable(key, 'ObjectMissing', () =>
    store.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId })),
  );
  if (head.ObjectLockRetainUntilDate && head.ObjectLockRetainUntilDate >= lock.until) return;
  await refused(key, () =>
    store.s3.send(
      new PutObjectRetentionCommand({
        Bucket: bucket,
        Key: key,
        VersionId: versionId,
        Retention: { Mode: lock.mode, RetainUntilDate: lock.until },
      }),
    ),
  );
}

/** A whole small object as text; `missing` names the catalogue error when it does not exist. */
export async function getText(store: ObjectStore, key: string, missing: ErrorName = 'ObjectMissing'): Promise<string> {
  const VersionId = store.firstVersions ? await firstVersionOf(store, key, missing) : undefined;
  const answer = await readable(key, missing, () =>
    store.s3.send(new GetObjectCommand({ Bucket: store.bucket, Key: key, VersionId })),
  );
  return (answer.Body as { transformToString(): Promise<string> }).transformToString();
}

/** Streams an object, or the inclusive byte range of it. */
export async function getStream(
  store: ObjectStore,
  key: string,
  options: { versionId?: string; range?: { from: number; to: number } } = {},
): Promise<AsyncIterable<Buffer>> {
  const { range } = options;
  const answer = await readable(key, 'ObjectMissing', () =>
    store.s3.send(
      new GetObjectCommand({
        Bucket: store.bucket,
        Key: key,
        VersionId: options.versionId,
        Range: range ? `bytes=${range.from}-${range.to}` : undefined,
      }),
    ),
  );
  return answer.Body as unknown as AsyncIterable<Buffer>;
}

/** The metadata that an object was stored with. */
export async function metadataOf(store: ObjectStore, key: string): Promise<Readonly<Record<string, string>>> {
  const head = await readable(key, 'ObjectMissing', () =>
    store.s3.send(new HeadObjectCommand({ Bucket: store.bucket, Key: key })),
  );
  return head.Metadata ?? {};
}

/** Stored size in bytes; `ObjectMissing` when there is none. */
export async function sizeOf(store: ObjectStore, key: string, versionId?: string): Promise<number> {
  const head = await readable(key, 'ObjectMissing', () =>
    store.s3.send(new HeadObjectCommand({ Bucket: store.bucket, Key: key, VersionId: versionId })),
  );
  return head.ContentLength ?? 0;
}

/** All keys below a prefix, or those of them after one; with a delimiter, the folders directly below it (each with its trailing slash). */
export async function* list(
  store: ObjectStore,
  prefix: string,
  delimiter?: '/',
  startAfter?: string,
): AsyncGenerator<string> {
  if (store.firstVersions) {
    let last: string | undefined;
    for await (const { key } of versions(store, prefix)) {
      if (key !== last) yield key;
      last = key;
    }
    return;
  }
  let ContinuationToken: string | undefined;
  do {
    const page = await refused(prefix, () =>
      store.s3.send(
        new ListObjectsV2Command({
          Bucket: store.bucket,
          Prefix: prefix,
          Delimiter: delimiter,
          StartAfter: startAfter,
          ContinuationToken,
        }),
      ),
    );
    if (delimiter) for (const folder of page.CommonPrefixes ?? []) yield folder.Prefix as string;
    else for (const object of page.Contents ?? []) yield object.Key as string;
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
}

/** What was written below a prefix, deletions aside: key by key, the newest version of each first. */
async function* versions(store: ObjectStore, prefix: string): AsyncGenerator<{ key: string; versionId: string }> {
  let next: { KeyMarker?: string; VersionIdMarker?: string } = {};
  do {
    const page = await refused(prefix, () =>
      store.s3.send(new ListObjectVersionsCommand({ Bucket: store.bucket, Prefix: prefix, ...next })),
    );
    for (const { Key, VersionId } of page.Versions ?? []) {
      if (Key !== undefined && VersionId !== undefined) yield { key: Key, versionId: VersionId };
    }
    next = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : {};
  } while (next.KeyMarker !== undefined);
}

async function firstVersionOf(store: ObjectStore, key: string, missing: ErrorName): Promise<string> {
  let first: string | undefined;
  for await (const version of versions(store, key)) if (version.key === key) first = version.versionId;
  if (first === undefined) throw new PgdrError(missing, `${key} does not exist`);
  return first;
}

interface WriteAnswer {
  VersionId?: string;
  ServerSideEncryption?: string;
}

async function writeOnce(
  store: ObjectStore,
  key: string,
  sha256: string,
  write: () => Promise<WriteAnswer>,
): Promise<{ stored: Pick<StoredObject, 'sha256' | 'versionId' | 'encryption'>; existed: boolean }> {
  try {
    const answer = await write();
    const stored = { sha256, versionId: answer.VersionId, encryption: answer.ServerSideEncryption };
    return { stored, existed: false };
  } catch (error) {
    // 412: somebody wrote this key before, or a retry met its own first attempt whose answer was lost.
    if ((error as S3ServiceException).$metadata?.httpStatusCode !== 412) throw storageError(key, error);
    const existing = createHash('sha256');
    for await (const chunk of await getStream(store, key)) existing.update(chunk);
    if (existing.digest('hex') === sha256) return { stored: { sha256 }, existed: true };
    throw new PgdrError('ManifestConflict', `${key} exists already with other content`, { cause: error });
  }
}

async function refused<T>(what: string, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    throw storageError(what, error);
  }
}

async function readable<T>(key: string, missing: ErrorName, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    const status = (error as S3ServiceException).$metadata?.httpStatusCode;
    if (status === 404) throw new PgdrError(missing, `${key} does not exist`, { cause: error });
    if (status === 416)
      throw new PgdrError('ObjectTruncated', `${key} ends before the range asked for`, { cause: error });
    if ((error as Error).name === 'InvalidObjectState')
      throw new PgdrError('ObjectArchived', `${key}: ${(error as Error).message}`, { cause: error });
    throw storageError(key, error);
  }
}

/** In the words of S3, and of the SDK when ECS has no new ones to give. */
const withoutCredentials = /^(ExpiredToken|TokenRefreshRequired|CredentialsProviderError|ProviderError)/;

function storageError(what: string, error: unknown): PgdrError {
  const { name, message, $metadata } = error as S3ServiceException;
  // A HEAD has no body that could name the error.
  if ($metadata?.httpStatusCode === 403 && /unknown/i.test(name)) {
    return new PgdrError('StorageRefused', `${what}: 403, a permission of the role or the key is missing`, {
      cause: error,
    });
  }
  if (withoutCredentials.test(name)) {
    return new PgdrError('CredentialsExpired', `${what}: ${name}: ${message}`, { cause: error });
  }
  const attempts = $metadata?.attempts ? ` after ${$metadata.attempts} attempts` : '';
  return new PgdrError('StorageRefused', `${what}: ${name}: ${message}${attempts}`, { cause: error });
}

export const lockHeaders = ({ lock }: ObjectStore) =>
  lock && { ObjectLockMode: lock.mode, ObjectLockRetainUntilDate: lock.until };

const contentType = (key: string): string =>
  key.endsWith('.json')
    ? 'application/json'
    : key.endsWith('.html')
      ? 'text/html; charset=utf-8'
      : 'application/octet-stream';
