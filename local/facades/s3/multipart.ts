import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { claimsOf, type Received, receiveFile } from './body.ts';
import { algorithmNamed, headerOf } from './checksums.ts';
import { descriptionFrom, encryptionHeaders } from './description.ts';
import { requireDigest } from './lock.ts';
import { type Bucket, type Call, type ChecksumAlgorithm, s3Error, type Upload, type UploadedPart } from './model.ts';
import { newSlots, openWhole, takeSlot, wholeFile } from './slots.ts';
import { exclusively, incomingFile, uniqueId, uploadFolder, writeDocument } from './store.ts';
import { etagOf, hasMd5Etag } from './write.ts';
import { answerXml } from './xml.ts';

const largestPartNumber = 10_000;

export async function createMultipartUpload(call: Call): Promise<void> {
  const bucket = call.bucket();
  const algorithm = algorithmNamed(call.header('x-amz-checksum-algorithm'));
  const upload: Upload = {
    ...descriptionFrom(call, bucket),
    uploadId: uniqueId(),
    key: call.key,
    initiated: call.world.now(),
    algorithm,
    checksumType: checksumTypeOf(algorithm, call.header('x-amz-checksum-type')),
    parts: new Map(),
    slots: newSlots(),
  };
  const folder = uploadFolder(bucket, upload.uploadId);
  await mkdir(folder);
  await writeDocument(folder, 'upload.json', { ...upload, parts: undefined, slots: undefined });
  bucket.uploads.set(upload.uploadId, upload);
  for (const [name, value] of Object.entries(encryptionHeaders(upload.encryption)))
    call.response.setHeader(name, value);
  if (algorithm) {
    call.response.setHeader('x-amz-checksum-algorithm', algorithm);
    call.response.setHeader('x-amz-checksum-type', upload.checksumType);
  }
  answerXml(call.response, 'InitiateMultipartUploadResult', {
    Bucket: bucket.name,
    Key: call.key,
    UploadId: upload.uploadId,
  });
}

/** SHA has only composites, CRC64NVME only the whole object's, the other CRCs either. */
function checksumTypeOf(algorithm: ChecksumAlgorithm | undefined, asked: string | undefined): Upload['checksumType'] {
  const usual = algorithm === undefined || algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE';
  if (asked === undefined) return usual;
  if (algorithm === undefined) {
    throw s3Error(
      'InvalidRequest',
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    );
  }
  const either = algorithm === 'CRC32' || algorithm === 'CRC32C';
  if ((asked === 'COMPOSITE' || asked === 'FULL_OBJECT') && (either || asked === usual)) return asked;
  throw s3Error(
    'InvalidRequest',
    `The ${asked} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
  );
}

export function uploadOf(call: Call, bucket: Bucket): Upload {
  const upload = bucket.uploads.get(call.query.get('uploadId') ?? '');
  if (upload && upload.key === call.key) return upload;
  throw s3Error(
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    404,
    { UploadId: call.query.get('uploadId') ?? '' },
  );
}

export function partNumberOf(call: Call): number {
  const number = Number(call.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > largestPartNumber) {
    throw s3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive', 400, {
      ArgumentName: 'partNumber',
      ArgumentValue: call.query.get('partNumber') ?? '',
    });
  }
  return number;
}

export async function uploadPart(call: Call): Promise<void> {
  const bucket = call.bucket();
  const upload = uploadOf(call, bucket);
  const number = partNumberOf(call);
  const claims = claimsOf(call.request);
  // A composite needs the writer's own checksum of every part; for the whole object's S3 reckons a missing one itself.
  const needed = upload.checksumType === 'COMPOSITE' || claims.algorithm !== undefined;
  if (upload.algorithm && needed && claims.algorithm !== upload.algorithm) {
    throw s3Error(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${upload.algorithm.toLowerCase()}, actual checksum Type: ${claims.algorithm?.toLowerCase() ?? 'null'}`,
    );
  }
  requireDigest(upload.lock, 'Put Part', claims.md5 !== undefined || claims.algorithm !== undefined);
  const md5 = hasMd5Etag(upload);
  const wanted = { algorithm: upload.algorithm, md5, crc64: upload.algorithm === undefined };
  const part = await storePart(call, bucket, upload, { number, length: claims.length }, (file, at) =>
    receiveFile(call.request, claims, file, wanted, at),
  );
  call.response.writeHead(200, {
    etag: `"${part.etag}"`,
    ...encryptionHeaders(upload.encryption),
    ...(part.received.algorithm && { [headerOf(part.received.algorithm)]: part.received.checksum }),
    'content-length': 0,
  });
  call.response.end();
}

/** Stores a part's bytes by `write`, into its slot of the whole or into a file of its own, and commits it. */
export async function storePart(
  call: Call,
  bucket: Bucket,
  upload: Upload,
  { number, length }: { readonly number: number; readonly length: number },
  write: (file: string, at?: number) => Promise<Received>,
): Promise<UploadedPart & { readonly received: Received }> {
  const place = takeSlot(upload.slots, number, length);
  const file = place ? await openWhole(uploadFolder(bucket, upload.uploadId)) : incomingFile(bucket);
  let committed = false;
  try {
    const received = await write(file, place?.offset);
    const part: UploadedPart = {
      number,
      size: received.size,
      etag: etagOf(hasMd5Etag(upload) ? received : { ...received, md5: undefined }),
      ...(upload.algorithm && { checksum: received.checksum }),
      ...(received.crc64 && { crc64: received.crc64 }),
      lastModified: call.world.now(),
      ...(place ? { data: wholeFile, slot: place.slot } : { data: `${uniqueId()}.part` }),
    };
    await commitPart(call, bucket, part, place ? undefined : file);
    committed = true;
    return { ...part, received };
  } finally {
    place?.left(committed);
    if (!place && !committed) await rm(file, { force: true });
  }
}

/** The upload may have been completed or aborted while the body arrived, hence the second look. */
function commitPart(call: Call, bucket: Bucket, part: UploadedPart, file: string | undefined): Promise<void> {
  const uploadId = call.query.get('uploadId') as string;
  return exclusively(bucket, `upload:${uploadId}`, async () => {
    const upload = uploadOf(call, bucket);
    const folder = uploadFolder(bucket, uploadId);
    if (file) await rename(file, join(folder, part.data));
    await writeDocument(folder, `${part.number}.json`, part);
    const replaced = upload.parts.get(part.number);
    upload.parts.set(part.number, part);
    if (replaced?.slot !== undefined) upload.slots.taken.delete(replaced.number);
    else if (replaced) await rm(join(folder, replaced.data), { force: true });
  });
}

export async function abortMultipartUpload(call: Call): Promise<void> {
  const bucket = call.bucket();
  const { uploadId } = uploadOf(call, bucket);
  await exclusively(bucket, `upload:${uploadId}`, async () => {
    uploadOf(call, bucket);
    await forgetUpload(bucket, uploadId);
  });
  call.response.writeHead(204).end();
}

export async function forgetUpload(bucket: Bucket, uploadId: string): Promise<void> {
  bucket.uploads.delete(uploadId);
  await rm(uploadFolder(bucket, uploadId), { recursive: true, force: true });
}

/** The parts' bytes one after the other, a piece in memory at a time. */
export async function* concatenation(folder: string, parts: readonly UploadedPart[]): AsyncGenerator<Buffer> {
  for (const { number, size, data, slot } of parts) {
    if (size === 0) continue;
    const start = slot === undefined ? 0 : (number - 1) * slot;
    yield* createReadStream(join(folder, data), { start, end: start + size - 1, highWaterMark: 1024 ** 2 });
  }
}

export function multipartEtag(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(Buffer.from(part.etag, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}
