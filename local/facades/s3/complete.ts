import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { badDigest, copyFile, receiveDocument } from './body.ts';
import { algorithms, compositeOf, headerOf } from './checksums.ts';
import { combineCrcs } from './combine.ts';
import { encryptionHeaders, versionIdHeader } from './description.ts';
import { type Call, type Checksum, s3Error, type Upload, type UploadedPart } from './model.ts';
import { concatenation, forgetUpload, multipartEtag, uploadOf } from './multipart.ts';
import { closeWhole, wholeFile } from './slots.ts';
import { commitVersion, exclusively, incomingFile, uploadFolder } from './store.ts';
import { assertWritable } from './versions.ts';
import { writeConditions } from './write.ts';
import { answerXml, fromXml, malformed } from './xml.ts';

/** Every part but the last: 5 MiB. */
const smallestPart = 5 * 1024 ** 2;

export async function completeMultipartUpload(call: Call): Promise<void> {
  const bucket = call.bucket();
  const { uploadId } = uploadOf(call, bucket);
  const document = fromXml(await receiveDocument(call.request, 'object'), 'CompleteMultipartUpload');
  const version = await exclusively(bucket, `upload:${uploadId}`, async () => {
    const upload = uploadOf(call, bucket);
    const parts = chosenParts(upload, document.Part ?? []);
    assertClaims(call, upload, parts);
    const conditions = writeConditions(call);
    // Judged again in the commit; here it only saves the work of putting the parts together.
    assertWritable(bucket, upload.key, conditions);
    const checksum = await checksumOf(call, upload, parts);
    const folder = uploadFolder(bucket, uploadId);
    const whole = await closeWhole(folder, upload, parts);
    const file = whole ? join(folder, wholeFile) : incomingFile(bucket);
    try {
      if (!whole) await copyFile(concatenation(folder, parts), file, {});
      const written = await commitVersion(bucket, objectOf(upload, parts, checksum), file, conditions);
      await forgetUpload(bucket, uploadId);
      return written;
    } catch (error) {
      upload.slots.closed = false;
      if (!whole) await rm(file, { force: true });
      throw error;
    }
  });
  for (const [name, value] of Object.entries({
    ...encryptionHeaders(version.encryption),
    ...versionIdHeader(bucket, version.versionId),
  })) {
    call.response.setHeader(name, value);
  }
  answerXml(call.response, 'CompleteMultipartUploadResult', {
    Location: `${call.world.endpoint}/${bucket.name}/${encodeURI(call.key)}`,
    Bucket: bucket.name,
    Key: call.key,
    ETag: `"${version.etag}"`,
    ...(version.checksum && {
      [`Checksum${version.checksum.algorithm}`]: version.checksum.value,
      ChecksumType: version.checksum.type,
    }),
  });
}

function objectOf(upload: Upload, parts: readonly UploadedPart[], checksum: Checksum) {
  const { headers, storageClass, encryption, lock, key, initiated } = upload;
  return {
    headers,
    storageClass,
    encryption,
    lock,
    key,
    // S3 dates an object by the start of its upload.
    lastModified: initiated,
    size: parts.reduce((sum, part) => sum + part.size, 0),
    etag: multipartEtag(parts),
    checksum,
    parts: parts.map((part, index) => ({ number: index + 1, size: part.size, checksum: part.checksum })),
  };
}

function chosenParts(upload: Upload, listed: Record<string, string>[]): UploadedPart[] {
  if (listed.length === 0) throw malformed('no Part is listed');
  let last = 0;
  return listed.map((item, index) => {
    const number = Number(item.PartNumber);
    if (!Number.isInteger(number) || item.ETag === undefined) throw malformed('a Part needs PartNumber and ETag');
    if (number <= last) {
      throw s3Error(
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts must be ordered by part number.',
        400,
        { UploadId: upload.uploadId },
      );
    }
    last = number;
    const part = upload.parts.get(number);
    if (!part || item.ETag.replace(/^"|"$/g, '') !== part.etag) throw invalidPart(upload, number, item.ETag);
    assertPartChecksum(upload, part, item);
    if (part.size < smallestPart && index < listed.length - 1) {
      throw s3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', 400, {
        ProposedSize: String(part.size),
        MinSizeAllowed: String(smallestPart),
        PartNumber: String(number),
        ETag: part.etag,
      });
    }
    return part;
  });
}

function assertPartChecksum(upload: Upload, part: UploadedPart, item: Record<string, string>): void {
  const { algorithm } = upload;
  if (!algorithm) {
    // The parts of an upload that named no algorithm keep no checksum, so that S3 finds none that is equal.
    if (algorithms.some((candidate) => item[`Checksum${candidate}`])) throw invalidPart(upload, part.number, part.etag);
    return;
  }
  const claimed = item[`Checksum${algorithm}`];
  if (claimed === undefined && upload.checksumType === 'COMPOSITE') {
    throw s3Error(
      'InvalidRequest',
      `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.number} in the request.`,
    );
  }
  if (claimed !== undefined && claimed !== part.checksum) throw invalidPart(upload, part.number, part.etag);
}

const invalidPart = (upload: Upload, number: number, etag: string) =>
  s3Error(
    'InvalidPart',
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    400,
    { UploadId: upload.uploadId, PartNumber: String(number), ETag: etag.replace(/^"|"$/g, '') },
  );

function assertClaims(call: Call, upload: Upload, parts: readonly UploadedPart[]): void {
  const type = call.header('x-amz-checksum-type');
  if (type !== undefined && type !== upload.checksumType) {
    throw s3Error(
      'InvalidRequest',
      `The upload was created using the ${upload.checksumType} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
  const size = call.header('x-amz-mp-object-size');
  const actual = parts.reduce((sum, part) => sum + part.size, 0);
  if (size !== undefined && Number(size) !== actual) {
    throw s3Error(
      'InvalidRequest',
      `The provided 'x-amz-mp-object-size' header value ${size} does not match what was computed: ${actual}`,
    );
  }
}

/** The object's checksum, from its parts', compared with the one of the request's header. */
async function checksumOf(call: Call, upload: Upload, parts: readonly UploadedPart[]): Promise<Checksum> {
  const algorithm = upload.algorithm ?? 'CRC64NVME';
  const value =
    upload.checksumType === 'FULL_OBJECT'
      ? combineCrcs(
          algorithm,
          parts.map(({ checksum, crc64, size }) => ({ checksum: (checksum ?? crc64) as string, size })),
        )
      : await compositeOf(
          algorithm,
          parts.map((part) => part.checksum as string),
        );
  for (const candidate of algorithms) {
    const claimed = call.header(headerOf(candidate));
    if (claimed === undefined) continue;
    if (candidate !== algorithm || (claimed !== value && `${claimed}-${parts.length}` !== value))
      throw badDigest(candidate);
  }
  return { algorithm, value, type: upload.checksumType };
}
