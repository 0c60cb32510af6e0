import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { ManifestPart } from '../core/manifest.ts';
import { lockHeaders, type ObjectStore } from './object-store.ts';

/** One multipart upload: parts of equal size, hashed and sent a few at a time, each with its SHA-256 for S3 to check. */

export interface Upload {
  readonly store: ObjectStore;
  readonly key: string;
  readonly uploadId: string | undefined;
}

export interface SentPart extends ManifestPart {
  readonly etag: string | undefined;
}

/**
 * Parts that a stream holds in memory: one that is sent and one that is filled meanwhile. The same two buffers serve to
 * the end, since memory that is waiting for the garbage collector is memory too.
 */
export const partsHeld = 2;

export async function createUpload(
  store: ObjectStore,
  key: string,
  metadata?: Record<string, string>,
): Promise<Upload> {
  const { UploadId } = await store.s3.send(
    new CreateMultipartUploadCommand({
      Bucket: store.bucket,
      Key: key,
      ChecksumAlgorithm: 'SHA256',
      Metadata: metadata,
      ...lockHeaders(store),
    }),
  );
  return { store, key, uploadId: UploadId };
}

/**
 * Sends the parts in order, some at a time; the source is read no faster than S3 takes them. When it is asked for a
 * part, all but the last one before it were sent.
 */
export async function sendParts(
  parts: AsyncIterable<Buffer>,
  send: (body: Buffer, partNumber: number) => Promise<SentPart>,
): Promise<SentPart[]> {
  const inFlight: Promise<SentPart>[] = [];
  const sent: Promise<SentPart>[] = [];
  for await (const body of parts) {
    const part = send(body, sent.length + 1);
    part.catch(() => {}); // Reported where it is awaited below.
    sent.push(part);
    inFlight.push(part);
    if (inFlight.length >= partsHeld) await inFlight.shift();
  }
  return Promise.all(sent);
}

export async function sendPart({ store, key, uploadId }: Upload, partNumber: number, body: Buffer): Promise<SentPart> {
  const digest = createHash('sha256').update(body).digest();
  const command = new UploadPartCommand({
    Bucket: store.bucket,
    Key: key,
    UploadId: uploadId,
    PartNumber: partNumber,
    Body: body,
    ContentLength: body.length,
    ChecksumSHA256: digest.toString('base64'),
  });
  // The signature covers the body's SHA-256, which the SDK would compute a second time.
  command.middlewareStack.add(
    (next) => (args) => {
      (args.request as HttpRequest).headers['x-amz-content-sha256'] = digest.toString('hex');
      return next(args);
    },
    { step: 'build' },
  );
  const answer = await store.s3.send(command);
  return { bytes: body.length, sha256: digest.toString('hex'), etag: answer.ETag };
}

/** Makes the object of its parts, unless the key exists. */
export function completeUpload({ store, key, uploadId }: Upload, parts: readonly SentPart[]) {
  return store.s3.send(
    new CompleteMultipartUploadCommand({
      Bucket: store.bucket,
      Key: key,
      UploadId: uploadId,
      IfNoneMatch: '*',
      MultipartUpload: {
        Parts: parts.map((part, i) => ({
          PartNumber: i + 1,
          ETag: part.etag,
          ChecksumSHA256: Buffer.from(part.sha256, 'hex').toString('base64'),
        })),
      },
    }),
  );
}

interface HttpRequest {
  readonly headers: Record<string, string>;
}

/** A courtesy to the bill: what has no manifest is never read, and a lifecycle rule is the second net. */
export async function abortUpload({ store, key, uploadId }: Upload): Promise<void> {
  const command = new AbortMultipartUploadCommand({ Bucket: store.bucket, Key: key, UploadId: uploadId });
  await store.s3.send(command).catch(() => {});
}

/**
 * Cuts a stream into buffers of exactly `size` bytes, the last one shorter. A buffer is used again for the part after
 * the next: until then it must have been sent.
 */
export async function* cutIntoParts(
  source: AsyncIterable<Buffer>,
  size: number,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, undefined> {
  const buffers: Buffer[] = [];
  const take = (): Buffer => (buffers.length < partsHeld ? Buffer.allocUnsafeSlow(size) : (buffers.shift() as Buffer));
  let part = take();
  let filled = 0;
  for await (const chunk of source) {
    onChunk(chunk);
    for (let at = 0; at < chunk.length; ) {
      if (filled === size) {
        yield part;
        buffers.push(part);
        part = take();
        filled = 0;
      }
      const copied = chunk.copy(part, filled, at);
      at += copied;
      filled += copied;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
  return undefined;
}

export async function* prepend(head: readonly Buffer[], tail: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* head;
  yield* tail;
}
