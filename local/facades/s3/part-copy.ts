import { createReadStream } from 'node:fs';
import { assertReadable } from './archive.ts';
import { copyFile, drain } from './body.ts';
import { encryptionHeaders } from './description.ts';
import { type Call, s3Error } from './model.ts';
import { partNumberOf, storePart, uploadOf } from './multipart.ts';
import { dataFile } from './store.ts';
import { versionOf } from './versions.ts';
import { assertSourceConditions, copySource, hasMd5Etag } from './write.ts';
import { answerXml, isoSeconds } from './xml.ts';

/** A part takes no more than a single copy: 5 GiB. */
const largestCopy = 5 * 1024 ** 3;

/** A part out of an object that is here already, whole or a range of it. */
export async function uploadPartCopy(call: Call): Promise<void> {
  const bucket = call.bucket();
  const upload = uploadOf(call, bucket);
  const number = partNumberOf(call);
  const source = copySource(call);
  const from = call.anyBucket(source.bucket);
  const original = versionOf(from, source.key, source.versionId);
  assertSourceConditions(call, original);
  assertReadable(original, call.world.now());
  const range = rangeOf(call.header('x-amz-copy-source-range'), original.size);
  const { start, end } = range ?? { start: 0, end: original.size - 1 };
  const length = end - start + 1;
  if (length > largestCopy) {
    throw s3Error('InvalidRequest', 'The specified copy source is larger than the maximum allowable size: 5368709120');
  }
  await drain(call.request);
  const file = dataFile(from, original) as string;
  const wanted = {
    algorithm: upload.algorithm,
    md5: hasMd5Etag(upload),
    crc64: upload.algorithm === undefined,
  };
  const part = await storePart(call, bucket, upload, { number, length }, (target, at) => {
    const bytes = length === 0 ? nothing() : createReadStream(file, { start, end, highWaterMark: 1024 ** 2 });
    return copyFile(bytes, target, wanted, at);
  });
  for (const [name, value] of Object.entries({
    ...encryptionHeaders(upload.encryption),
    ...(from.configuration.versioning && { 'x-amz-copy-source-version-id': original.versionId }),
  })) {
    call.response.setHeader(name, value);
  }
  answerXml(call.response, 'CopyPartResult', {
    LastModified: isoSeconds(part.lastModified),
    ETag: `"${part.etag}"`,
    ...(upload.algorithm && { [`Checksum${upload.algorithm}`]: part.checksum }),
  });
}

async function* nothing(): AsyncGenerator<Buffer> {}

function rangeOf(header: string | undefined, size: number): { start: number; end: number } | undefined {
  if (header === undefined) return undefined;
  const match = /^bytes=(\d+)-(\d+)$/.exec(header);
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || end < start) {
    throw s3Error(
      'InvalidArgument',
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      400,
      { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: header },
    );
  }
  if (end >= size) {
    throw s3Error('InvalidRange', `Range specified is not valid for source object of size: ${size}`, 416);
  }
  return { start, end };
}
