import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { assertReadable } from './archive.ts';
import { claimsOf, copyFile, type Received, receiveFile } from './body.ts';
import { algorithmNamed } from './checksums.ts';
import { checksumHeaders, descriptionFrom, encryptionHeaders, headersFrom, versionIdHeader } from './description.ts';
import { requireDigest } from './lock.ts';
import { type Bucket, type Call, type Description, s3Error, type Version } from './model.ts';
import { commitVersion, dataFile, incomingFile } from './store.ts';
import { matches, preconditionFailed, versionOf, type WriteConditions } from './versions.ts';
import { answerXml, isoSeconds } from './xml.ts';

/** Single copies go up to 5 GiB. */
const largestCopy = 5 * 1024 ** 3;

export function writeConditions(call: Call): WriteConditions {
  const ifNoneMatch = call.header('if-none-match');
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw s3Error(
      'NotImplemented',
      'A header you provided implies functionality that is not implemented: If-None-Match other than *',
      501,
    );
  }
  return { ifMatch: call.header('if-match'), ifNoneMatch };
}

/** With KMS the entity tag is no MD5, so that nothing here learns to rely on it that AWS would not keep. */
export const hasMd5Etag = (description: Description): boolean =>
  !description.encryption.algorithm.startsWith('aws:kms');

export const etagOf = (received: Received): string => received.md5 ?? randomBytes(16).toString('hex');

export async function putObject(call: Call): Promise<void> {
  const bucket = call.bucket();
  const claims = claimsOf(call.request);
  const description = descriptionFrom(call, bucket);
  const conditions = writeConditions(call);
  requireDigest(description.lock, 'Put Object', claims.md5 !== undefined || claims.algorithm !== undefined);
  const file = incomingFile(bucket);
  const md5 = hasMd5Etag(description);
  // An object that comes without a checksum gets this one, as in S3.
  const received = await receiveFile(call.request, claims, file, { algorithm: 'CRC64NVME', md5 });
  const version = await commit(
    call,
    bucket,
    description,
    file,
    md5 ? received : { ...received, md5: undefined },
    conditions,
  );
  call.response.writeHead(200, {
    etag: `"${version.etag}"`,
    ...encryptionHeaders(version.encryption),
    ...checksumHeaders(version),
    ...versionIdHeader(bucket, version.versionId),
    'content-length': 0,
  });
  call.response.end();
}

async function commit(
  call: Call,
  bucket: Bucket,
  description: Description,
  file: string,
  received: Received,
  conditions: WriteConditions,
): Promise<Version> {
  const { algorithm, checksum } = received;
  try {
    return await commitVersion(
      bucket,
      {
        ...description,
        key: call.key,
        lastModified: call.world.now(),
        size: received.size,
        etag: etagOf(received),
        ...(algorithm && checksum && { checksum: { algorithm, value: checksum, type: 'FULL_OBJECT' } }),
      },
      file,
      conditions,
    );
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

/** Copies within this cloud. The source may lie in another region, as in S3. */
export async function copyObject(call: Call): Promise<void> {
  const bucket = call.bucket();
  const source = copySource(call);
  const from = call.anyBucket(source.bucket);
  const original = versionOf(from, source.key, source.versionId);
  const replace = call.header('x-amz-metadata-directive')?.toUpperCase() === 'REPLACE';
  const wanted = descriptionFrom(call, bucket);
  if (original.size > largestCopy) {
    throw s3Error('InvalidRequest', 'The specified copy source is larger than the maximum allowable size: 5368709120');
  }
  if (
    from === bucket &&
    source.key === call.key &&
    !source.versionId &&
    !replace &&
    original.storageClass === wanted.storageClass
  ) {
    throw s3Error(
      'InvalidRequest',
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  assertSourceConditions(call, original);
  assertReadable(original, call.world.now());
  const retag = call.header('x-amz-tagging-directive')?.toUpperCase() === 'REPLACE';
  const description = {
    ...wanted,
    headers: replace ? headersFrom(call) : original.headers,
    tags: retag ? wanted.tags : original.tags,
  };
  const file = incomingFile(bucket);
  const received = await copyFile(
    createReadStream(dataFile(from, original) as string, { highWaterMark: 1024 ** 2 }),
    file,
    {
      algorithm: algorithmNamed(call.header('x-amz-checksum-algorithm')) ?? original.checksum?.algorithm ?? 'CRC64NVME',
      md5: hasMd5Etag(description),
    },
  );
  const version = await commit(call, bucket, description, file, received, writeConditions(call));
  for (const [name, value] of Object.entries({
    ...encryptionHeaders(version.encryption),
    ...versionIdHeader(bucket, version.versionId),
    ...(from.configuration.versioning && { 'x-amz-copy-source-version-id': original.versionId }),
  })) {
    call.response.setHeader(name, value);
  }
  answerXml(call.response, 'CopyObjectResult', {
    LastModified: isoSeconds(version.lastModified),
    ETag: `"${version.etag}"`,
    ChecksumType: version.checksum?.type,
    ...(version.checksum && { [`Checksum${version.checksum.algorithm}`]: version.checksum.value }),
  });
}

/** The conditions of a copy on its source: all of them end in PreconditionFailed, none in Not Modified. */
export function assertSourceConditions(call: Call, source: Version): void {
  const header = (name: string) => call.header(`x-amz-copy-source-if-${name}`);
  const seconds = Math.floor(source.lastModified / 1000) * 1000;
  const [match, noneMatch] = [header('match'), header('none-match')];
  if (match !== undefined) {
    if (!matches(match, source.etag)) throw preconditionFailed('x-amz-copy-source-If-Match');
  } else if (seconds > Date.parse(header('unmodified-since') ?? '')) {
    throw preconditionFailed('x-amz-copy-source-If-Unmodified-Since');
  }
  if (noneMatch !== undefined) {
    if (matches(noneMatch, source.etag)) throw preconditionFailed('x-amz-copy-source-If-None-Match');
  } else if (seconds <= Date.parse(header('modified-since') ?? '')) {
    throw preconditionFailed('x-amz-copy-source-If-Modified-Since');
  }
}

export function copySource(call: Call): { bucket: string; key: string; versionId?: string } {
  const header = call.header('x-amz-copy-source') ?? '';
  const [path = '', query = ''] = header.split('?');
  const match = /^\/?([^/]+)\/(.+)$/s.exec(decodeURIComponent(path));
  if (!match)
    throw s3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey');
  return {
    bucket: match[1] as string,
    key: match[2] as string,
    versionId: new URLSearchParams(query).get('versionId') ?? undefined,
  };
}
