import { open } from 'node:fs/promises';
import { hideLocks } from './access.ts';
import { assertReadable } from './archive.ts';
import { checksumHeaders, objectHeaders } from './description.ts';
import { sendRange } from './files.ts';
import { type Call, s3Error, type Version } from './model.ts';
import { dataFile } from './store.ts';
import { matches, preconditionFailed, versionOf } from './versions.ts';
import { answerXml } from './xml.ts';

/** Query parameters by which a reader overrides the answer's headers. */
const overrides = {
  'response-content-type': 'content-type',
  'response-content-language': 'content-language',
  'response-expires': 'expires',
  'response-cache-control': 'cache-control',
  'response-content-disposition': 'content-disposition',
  'response-content-encoding': 'content-encoding',
};

export async function getObject(call: Call): Promise<void> {
  await answerObject(call, true);
}

export async function headObject(call: Call): Promise<void> {
  await answerObject(call, false);
}

async function answerObject(call: Call, withBody: boolean): Promise<void> {
  const bucket = call.bucket();
  const version = versionOf(bucket, call.key, call.query.get('versionId') ?? undefined);
  assertConditions(call, version);
  const now = call.world.now();
  if (withBody) assertReadable(version, now);
  // Opened before anything is awaited on: a deletion from now on leaves this reader its bytes.
  const file = await open(dataFile(bucket, version) as string);
  try {
    // The file's own size, not the metadata's: data that was damaged on disk is served as it lies there.
    const { size } = await file.stat();
    const range = partRange(call, version) ?? rangeOf(call.header('range'), size);
    const headers: Record<string, string | number> = objectHeaders(bucket, version, now);
    hideLocks(call, headers);
    for (const [parameter, name] of Object.entries(overrides)) {
      const value = call.query.get(parameter);
      if (value !== null) headers[name] = value;
    }
    const whole = range === undefined;
    // A checksum is told with what it covers, the whole object.
    if (whole && call.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
      Object.assign(headers, checksumHeaders(version));
    }
    const { from, to } = range ?? { from: 0, to: size - 1 };
    headers['content-length'] = to - from + 1;
    if (!whole) headers['content-range'] = `bytes ${from}-${to}/${size}`;
    if (call.query.has('partNumber') && version.parts) headers['x-amz-mp-parts-count'] = version.parts.length;
    call.response.writeHead(whole ? 200 : 206, headers);
    if (!withBody || to < from) {
      call.response.end();
      return;
    }
    await sendRange(file, from, to, call.response).catch(() => {
      // The reader went away, which is its right; the answer has begun, so there is nobody to tell.
      call.response.destroy();
    });
  } finally {
    await file.close();
  }
}

function assertConditions(call: Call, version: Version): void {
  const ifMatch = call.header('if-match');
  const ifNoneMatch = call.header('if-none-match');
  const seconds = Math.floor(version.lastModified / 1000) * 1000;
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, version.etag)) throw preconditionFailed('If-Match');
  } else {
    const unmodifiedSince = Date.parse(call.header('if-unmodified-since') ?? '');
    if (seconds > unmodifiedSince) throw preconditionFailed('If-Unmodified-Since');
  }
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, version.etag)) throw notModified(version);
  } else {
    const modifiedSince = Date.parse(call.header('if-modified-since') ?? '');
    if (seconds <= modifiedSince) throw notModified(version);
  }
}

const notModified = (version: Version) =>
  s3Error('NotModified', 'Not Modified', 304, {}, { etag: `"${version.etag}"` });

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Inclusive bounds; undefined for the whole object. Forms that S3 does not know are ignored, as it ignores them. */
function rangeOf(header: string | undefined, size: number): Range | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [first, last] = [match[1] as string, match[2] as string];
  const range =
    first === ''
      ? { from: Math.max(0, size - Number(last)), to: size - 1 }
      : { from: Number(first), to: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  if (range.from >= size || range.to < range.from) {
    throw s3Error(
      'InvalidRange',
      'The requested range is not satisfiable',
      416,
      { RangeRequested: header as string, ActualObjectSize: String(size) },
      { 'content-range': `bytes */${size}` },
    );
  }
  return range;
}

function partRange(call: Call, version: Version): Range | undefined {
  const text = call.query.get('partNumber');
  if (text === null) return undefined;
  const number = Number(text);
  const parts = version.parts ?? [{ number: 1, size: version.size }];
  if (!Number.isInteger(number) || number < 1 || number > parts.length) {
    throw s3Error('InvalidPartNumber', 'The requested partnumber is not satisfiable', 416, {
      PartNumberRequested: text,
      ActualPartCount: String(parts.length),
    });
  }
  const before = parts.slice(0, number - 1).reduce((sum, part) => sum + part.size, 0);
  // An object written in one piece is its only part.
  if (version.size === 0) return undefined;
  return { from: before, to: before + (parts[number - 1]?.size ?? 0) - 1 };
}

export function getObjectAttributes(call: Call): void {
  const bucket = call.bucket();
  const version = versionOf(bucket, call.key, call.query.get('versionId') ?? undefined);
  const asked = (call.header('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  const known = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];
  if (!asked.every((name) => known.includes(name))) {
    throw s3Error('InvalidArgument', 'Invalid attribute name specified.');
  }
  const { checksum, parts } = version;
  call.response.setHeader('last-modified', new Date(version.lastModified).toUTCString());
  if (bucket.configuration.versioning) call.response.setHeader('x-amz-version-id', version.versionId);
  answerXml(call.response, 'GetObjectAttributesResponse', {
    ETag: asked.includes('ETag') ? version.etag : undefined,
    Checksum:
      asked.includes('Checksum') && checksum
        ? // Here, and only here, a composite is told without its number of parts.
          { [`Checksum${checksum.algorithm}`]: checksum.value.split('-')[0], ChecksumType: checksum.type }
        : undefined,
    ObjectParts:
      asked.includes('ObjectParts') && parts
        ? {
            PartsCount: parts.length,
            PartNumberMarker: 0,
            NextPartNumberMarker: parts.length,
            MaxParts: Math.max(1000, parts.length),
            IsTruncated: false,
            Part: parts.every((part) => part.checksum)
              ? parts.map((part) => ({
                  PartNumber: part.number,
                  Size: part.size,
                  [`Checksum${checksum?.algorithm}`]: part.checksum,
                }))
              : undefined,
          }
        : undefined,
    StorageClass: asked.includes('StorageClass') ? version.storageClass : undefined,
    ObjectSize: asked.includes('ObjectSize') ? version.size : undefined,
  });
}
