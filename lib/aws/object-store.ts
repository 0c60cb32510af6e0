import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { type ErrorName, PgdrError } from '../core/errors.ts';
import type { ManifestPart } from '../core/manifest.ts';

/**
 * Write-once objects in one bucket, in streams. Every write says `If-None-Match: *`; where an object exists already,
 * equal content is success and other content is `ManifestConflict`. Errors of S3 that outlast the SDK's retries are
 * `StorageRefused`; errors of the source stream pass through unchanged, after the multipart upload was aborted.
 */
export interface ObjectStore {
  readonly s3: S3Client;
  readonly bucket: string;
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

/** Parts in flight per stream: with the one being filled, a stream holds at most three parts in memory. */
const partsInFlight = 2;

export function openStore(bucket: string): ObjectStore {
  // Five attempts with the SDK's exponential backoff ride out a throttled or restarting partition; the connection
  // and idle limits turn a silent network into an error that can be retried.
  const s3 = new S3Client({
    maxAttempts: 5,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true },
  });
  return { s3, bucket };
}

/** Stores a stream as one object: a single PUT when it fits in one part, a multipart upload otherwise. */
export async function putStream(
  store: ObjectStore,
  key: string,
  source: AsyncIterable<Buffer>,
  options: { readonly partBytes: number; readonly onBytes?: (bytes: number) => void },
): Promise<StoredObject> {
  const whole = createHash('sha256');
  const parts = split(source, options.partBytes, (chunk) => {
    whole.update(chunk);
    options.onBytes?.(chunk.length);
  });
  const first = await parts.next();
  const second = first.done ? first : await parts.next();
  if (second.done) {
    const body = first.done ? Buffer.alloc(0) : first.value;
    return putOnce(store, key, body);
  }
  const upload = await refused(key, () =>
    store.s3.send(new CreateMultipartUploadCommand({ Bucket: store.bucket, Key: key, ChecksumAlgorithm: 'SHA256' })),
  );
  const uploadId = upload.UploadId;
  try {
    const sent = await sendParts(store, key, uploadId, prepend([first.value as Buffer, second.value], parts));
    const completed = await writeOnce(store, key, whole.digest('hex'), () =>
      store.s3.send(
        new CompleteMultipartUploadCommand({
          Bucket: store.bucket,
          Key: key,
          UploadId: uploadId,
          IfNoneMatch: '*',
          MultipartUpload: {
            Parts: sent.map((part, i) => ({
              PartNumber: i + 1,
              ETag: part.etag,
              ChecksumSHA256: Buffer.from(part.sha256, 'hex').toString('base64'),
            })),
          },
        }),
      ),
    );
    if (completed.existed) await abort(store, key, uploadId);
    const bytes = sent.reduce((sum, part) => sum + part.bytes, 0);
    return { ...completed.stored, key, bytes, parts: sent.map((part) => ({ bytes: part.bytes, sha256: part.sha256 })) };
  } catch (error) {
    await abort(store, key, uploadId);
    throw error;
  }
}

/** A courtesy to the bill: what has no manifest is never read, and a lifecycle rule is the second net. */
async function abort(store: ObjectStore, key: string, uploadId: string | undefined): Promise<void> {
  const command = new AbortMultipartUploadCommand({ Bucket: store.bucket, Key: key, UploadId: uploadId });
  await store.s3.send(command).catch(() => {});
}

/** Stores a small object in one request. */
export async function putOnce(store: ObjectStore, key: string, body: Buffer): Promise<StoredObject> {
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
        ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
      }),
    ),
  );
  return { ...stored, key, bytes: body.length, parts: body.length > 0 ? [{ bytes: body.length, sha256 }] : [] };
}

/** A whole small object as text; `missing` names the catalogue error when it does not exist. */
export async function getText(store: ObjectStore, key: string, missing: ErrorName = 'ObjectMissing'): Promise<string> {
  const answer = await readable(key, missing, () =>
    store.s3.send(new GetObjectCommand({ Bucket: store.bucket, Key: key })),
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

/** Stored size in bytes; `ObjectMissing` when there is none. */
export async function sizeOf(store: ObjectStore, key: string, versionId?: string): Promise<number> {
  const head = await readable(key, 'ObjectMissing', () =>
    store.s3.send(new HeadObjectCommand({ Bucket: store.bucket, Key: key, VersionId: versionId })),
  );
  return head.ContentLength ?? 0;
}

/** All keys below a prefix; with a delimiter, the folders directly below it (each with its trailing slash). */
export async function* list(store: ObjectStore, prefix: string, delimiter?: '/'): AsyncGenerator<string> {
  let ContinuationToken: string | undefined;
  do {
    const page = await refused(prefix, () =>
      store.s3.send(
        new ListObjectsV2Command({ Bucket: store.bucket, Prefix: prefix, Delimiter: delimiter, ContinuationToken }),
      ),
    );
    if (delimiter) for (const folder of page.CommonPrefixes ?? []) yield folder.Prefix as string;
    else for (const object of page.Contents ?? []) yield object.Key as string;
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
}

interface SentPart extends ManifestPart {
  readonly etag: string | undefined;
}

async function sendParts(
  store: ObjectStore,
  key: string,
  uploadId: string | undefined,
  parts: AsyncIterable<Buffer>,
): Promise<SentPart[]> {
  const inFlight: Promise<SentPart>[] = [];
  const sent: Promise<SentPart>[] = [];
  for await (const body of parts) {
    const part = sendPart(store, key, uploadId, sent.length + 1, body);
    part.catch(() => {}); // Reported where it is awaited below.
    sent.push(part);
    inFlight.push(part);
    if (inFlight.length >= partsInFlight) await inFlight.shift();
  }
  return Promise.all(sent);
}

async function sendPart(
  store: ObjectStore,
  key: string,
  uploadId: string | undefined,
  partNumber: number,
  body: Buffer,
): Promise<SentPart> {
  const digest = createHash('sha256').update(body).digest();
  const answer = await refused(`${key} part ${partNumber}`, () =>
    store.s3.send(
      new UploadPartCommand({
        Bucket: store.bucket,
        Key: key,
        UploadId: uploadId,
        PartNumber: partNumber,
        Body: body,
        ContentLength: body.length,
        ChecksumSHA256: digest.toString('base64'),
      }),
    ),
  );
  return { bytes: body.length, sha256: digest.toString('hex'), etag: answer.ETag };
}

/** Cuts a stream into buffers of exactly `size` bytes, the last one shorter. */
async function* split(
  source: AsyncIterable<Buffer>,
  size: number,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, undefined> {
  let held: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    onChunk(chunk);
    let rest = chunk;
    while (length + rest.length >= size) {
      const taken = rest.subarray(0, size - length);
      yield Buffer.concat([...held, taken], size);
      rest = rest.subarray(taken.length);
      held = [];
      length = 0;
    }
    if (rest.length > 0) held.push(rest);
    length += rest.length;
  }
  if (length > 0) yield Buffer.concat(held, length);
  return undefined;
}

async function* prepend(head: Buffer[], tail: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* head;
  yield* tail;
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
    throw storageError(key, error);
  }
}

function storageError(what: string, error: unknown): PgdrError {
  const { name, message, $metadata } = error as S3ServiceException;
  const attempts = $metadata?.attempts ? ` after ${$metadata.attempts} attempts` : '';
  return new PgdrError('StorageRefused', `${what}: ${name}: ${message}${attempts}`, { cause: error });
}

const contentType = (key: string): string =>
  key.endsWith('.json')
    ? 'application/json'
    : key.endsWith('.html')
      ? 'text/html; charset=utf-8'
      : 'application/octet-stream';
