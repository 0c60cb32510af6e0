import type { Bucket, Call, Upload, Version } from './model.ts';
import { s3Error } from './model.ts';
import { uploadOf } from './multipart.ts';
import { compareKeys, lowerBound } from './versions.ts';
import { answerXml, isoSeconds, type XmlValue } from './xml.ts';

interface Page<T> {
  readonly items: readonly T[];
  readonly prefixes: readonly string[];
  readonly truncated: boolean;
  /** The last item or common prefix of the page: where the next one goes on. */
  readonly last?: { readonly item?: T; readonly prefix?: string };
}

interface PageOptions {
  readonly prefix: string;
  readonly delimiter: string;
  readonly max: number;
  /** A common prefix that an earlier page has shown already. */
  readonly shown: string;
}

/** Cuts one page out of entries in order; entries below a delimiter are rolled up into their common prefix. */
function pageOf<T extends { readonly key: string }>(entries: Iterable<T>, options: PageOptions): Page<T> {
  const { prefix, delimiter, max, shown } = options;
  const items: T[] = [];
  const prefixes: string[] = [];
  let last: { item?: T; prefix?: string } | undefined;
  if (max === 0) return { items, prefixes, truncated: false };
  for (const item of entries) {
    if (!item.key.startsWith(prefix)) break;
    const end = delimiter === '' ? -1 : item.key.indexOf(delimiter, prefix.length);
    const common = end < 0 ? undefined : item.key.slice(0, end + delimiter.length);
    if (common !== undefined && (common === shown || common === prefixes.at(-1))) continue;
    if (items.length + prefixes.length === max) return { items, prefixes, truncated: true, last };
    if (common === undefined) items.push(item);
    else prefixes.push(common);
    last = common === undefined ? { item } : { prefix: common };
  }
  return { items, prefixes, truncated: false, last };
}

/** Keys from the first that can count: at or after the prefix, and after the marker. */
function* keysFrom(bucket: Bucket, prefix: string, after: string, inclusive = false): Generator<string> {
  let index = lowerBound(bucket.keys, compareKeys(after, prefix) > 0 ? after : prefix);
  // Keys may come and go between pages but not within one: a page is cut without awaiting anything.
  for (; index < bucket.keys.length; index++) {
    const key = bucket.keys[index] as string;
    if (key !== after || after === '' || inclusive) yield key;
  }
}

function* currentVersions(bucket: Bucket, prefix: string, after: string): Generator<Version> {
  for (const key of keysFrom(bucket, prefix, after)) {
    const version = bucket.versions.get(key)?.[0];
    // A delete marker on top hides its key.
    if (version && !version.deleteMarker) yield version;
  }
}

interface Asked {
  readonly prefix: string;
  readonly delimiter: string;
  readonly max: number;
  readonly encode: (text: string) => string;
  readonly encoding?: string;
}

function asked(call: Call, maxName: string): Asked {
  const text = call.query.get(maxName);
  const max = text === null ? 1000 : Number(text);
  if (!Number.isInteger(max) || max < 0) {
    throw s3Error('InvalidArgument', `Provided ${maxName} not an integer or within integer range`, 400, {
      ArgumentName: maxName,
      ArgumentValue: text ?? '',
    });
  }
  const encoding = call.query.get('encoding-type') ?? undefined;
  if (encoding !== undefined && encoding !== 'url') {
    throw s3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  }
  return {
    prefix: call.query.get('prefix') ?? '',
    delimiter: call.query.get('delimiter') ?? '',
    max: Math.min(max, 1000),
    encoding,
    encode: encoding ? urlEncode : (key) => key,
  };
}

/** As S3 encodes keys in lists: slashes stay. */
const urlEncode = (text: string): string =>
  encodeURIComponent(text)
    .replaceAll('%2F', '/')
    .replace(/[!'()]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const commonPrefixes = (page: Page<unknown>, encode: Asked['encode']): XmlValue[] =>
  page.prefixes.map((prefix) => ({ Prefix: encode(prefix) }));

const owner = (call: Call): XmlValue => ({ ID: call.world.account, DisplayName: call.world.account });

function content(version: Version, encode: Asked['encode'], ownedBy?: XmlValue): XmlValue {
  return {
    Key: encode(version.key),
    LastModified: isoSeconds(version.lastModified),
    ETag: `"${version.etag}"`,
    ChecksumAlgorithm: version.checksum?.algorithm,
    ChecksumType: version.checksum?.type,
    Size: version.size,
    Owner: ownedBy,
    StorageClass: version.storageClass,
  };
}

export function listObjectsV2(call: Call): void {
  const bucket = call.bucket();
  const { prefix, delimiter, max, encode, encoding } = asked(call, 'max-keys');
  const token = call.query.get('continuation-token');
  const startAfter = call.query.get('start-after') ?? '';
  if (token === '') throw s3Error('InvalidArgument', 'The continuation token provided is incorrect');
  const after = token === null ? startAfter : Buffer.from(token, 'base64url').toString('utf8');
  const page = pageOf(currentVersions(bucket, prefix, after), { prefix, delimiter, max, shown: token ? after : '' });
  const next = page.last?.item?.key ?? page.last?.prefix ?? '';
  answerXml(call.response, 'ListBucketResult', {
    Name: bucket.name,
    Prefix: encode(prefix),
    Delimiter: delimiter ? encode(delimiter) : undefined,
    MaxKeys: max,
    EncodingType: encoding,
    KeyCount: page.items.length + page.prefixes.length,
    IsTruncated: page.truncated,
    ContinuationToken: token ?? undefined,
    NextContinuationToken: page.truncated ? Buffer.from(next, 'utf8').toString('base64url') : undefined,
    StartAfter: startAfter ? encode(startAfter) : undefined,
    Contents: page.items.map((version) =>
      content(version, encode, call.query.get('fetch-owner') === 'true' ? owner(call) : undefined),
    ),
    CommonPrefixes: commonPrefixes(page, encode),
  });
}

export function listObjects(call: Call): void {
  const bucket = call.bucket();
  const { prefix, delimiter, max, encode, encoding } = asked(call, 'max-keys');
  const marker = call.query.get('marker') ?? '';
  const page = pageOf(currentVersions(bucket, prefix, marker), { prefix, delimiter, max, shown: marker });
  const next = page.last?.item?.key ?? page.last?.prefix ?? '';
  answerXml(call.response, 'ListBucketResult', {
    Name: bucket.name,
    Prefix: encode(prefix),
    Marker: encode(marker),
    // Without a delimiter the client goes on from the last key itself.
    NextMarker: page.truncated && delimiter ? encode(next) : undefined,
    Delimiter: delimiter ? encode(delimiter) : undefined,
    MaxKeys: max,
    EncodingType: encoding,
    IsTruncated: page.truncated,
    Contents: page.items.map((version) => content(version, encode, owner(call))),
    CommonPrefixes: commonPrefixes(page, encode),
  });
}

function* allVersions(bucket: Bucket, prefix: string, keyMarker: string, idMarker: string): Generator<Version> {
  for (const key of keysFrom(bucket, prefix, keyMarker, idMarker !== '')) {
    const versions = bucket.versions.get(key) ?? [];
    // -1 + 1: a marker that has been deleted meanwhile starts its key again rather than losing versions.
    const start = key === keyMarker ? versions.findIndex((version) => version.versionId === idMarker) + 1 : 0;
    yield* versions.slice(start);
  }
}

export function listObjectVersions(call: Call): void {
  const bucket = call.bucket();
  const { prefix, delimiter, max, encode, encoding } = asked(call, 'max-keys');
  const keyMarker = call.query.get('key-marker') ?? '';
  const idMarker = call.query.get('version-id-marker') ?? '';
  if (idMarker && !keyMarker) {
    throw s3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.');
  }
  const page = pageOf(allVersions(bucket, prefix, keyMarker, idMarker), {
    prefix,
    delimiter,
    max,
    shown: idMarker ? '' : keyMarker,
  });
  const entry = (version: Version): XmlValue => ({
    ...(version.deleteMarker
      ? { Key: encode(version.key), LastModified: isoSeconds(version.lastModified), Owner: owner(call) }
      : (content(version, encode, owner(call)) as { [name: string]: XmlValue })),
    VersionId: version.versionId,
    IsLatest: bucket.versions.get(version.key)?.[0] === version,
  });
  const next = page.last?.item;
  answerXml(call.response, 'ListVersionsResult', {
    Name: bucket.name,
    Prefix: encode(prefix),
    KeyMarker: encode(keyMarker),
    VersionIdMarker: idMarker,
    NextKeyMarker: page.truncated ? encode(next?.key ?? page.last?.prefix ?? '') : undefined,
    NextVersionIdMarker: page.truncated ? next?.versionId : undefined,
    Delimiter: delimiter ? encode(delimiter) : undefined,
    MaxKeys: max,
    EncodingType: encoding,
    IsTruncated: page.truncated,
    Version: page.items.filter((version) => !version.deleteMarker).map(entry),
    DeleteMarker: page.items.filter((version) => version.deleteMarker).map(entry),
    CommonPrefixes: commonPrefixes(page, encode),
  });
}

export function listMultipartUploads(call: Call): void {
  const bucket = call.bucket();
  const { prefix, delimiter, max, encode, encoding } = asked(call, 'max-uploads');
  const keyMarker = call.query.get('key-marker') ?? '';
  const idMarker = call.query.get('upload-id-marker') ?? '';
  const place = (upload: Upload) => upload.initiated;
  const marker = bucket.uploads.get(idMarker);
  const isAfterMarker = (upload: Upload): boolean => {
    const order = compareKeys(upload.key, keyMarker);
    if (order !== 0 || keyMarker === '') return order > 0;
    if (!idMarker) return false;
    if (marker && place(upload) !== place(marker)) return place(upload) > place(marker);
    return upload.uploadId > idMarker;
  };
  const uploads = [...bucket.uploads.values()]
    .filter((upload) => upload.key.startsWith(prefix) && isAfterMarker(upload))
    .sort((a, b) => compareKeys(a.key, b.key) || place(a) - place(b) || (a.uploadId < b.uploadId ? -1 : 1));
  const page = pageOf(uploads, { prefix, delimiter, max, shown: idMarker ? '' : keyMarker });
  const next = page.last?.item;
  answerXml(call.response, 'ListMultipartUploadsResult', {
    Bucket: bucket.name,
    KeyMarker: encode(keyMarker),
    UploadIdMarker: idMarker,
    NextKeyMarker: page.truncated ? encode(next?.key ?? page.last?.prefix ?? '') : undefined,
    NextUploadIdMarker: page.truncated ? next?.uploadId : undefined,
    Prefix: encode(prefix),
    Delimiter: delimiter ? encode(delimiter) : undefined,
    MaxUploads: max,
    EncodingType: encoding,
    IsTruncated: page.truncated,
    Upload: page.items.map((upload) => ({
      Key: encode(upload.key),
      UploadId: upload.uploadId,
      Initiator: owner(call),
      Owner: owner(call),
      StorageClass: upload.storageClass,
      Initiated: isoSeconds(upload.initiated),
      ...(upload.algorithm && { ChecksumAlgorithm: upload.algorithm, ChecksumType: upload.checksumType }),
    })),
    CommonPrefixes: commonPrefixes(page, encode),
  });
}

export function listParts(call: Call): void {
  const upload = uploadOf(call, call.bucket());
  const { max } = asked(call, 'max-parts');
  const marker = Number(call.query.get('part-number-marker') ?? 0);
  const parts = [...upload.parts.values()].filter((part) => part.number > marker).sort((a, b) => a.number - b.number);
  const shown = parts.slice(0, max);
  answerXml(call.response, 'ListPartsResult', {
    Bucket: call.bucketName,
    Key: upload.key,
    UploadId: upload.uploadId,
    Initiator: owner(call),
    Owner: owner(call),
    StorageClass: upload.storageClass,
    PartNumberMarker: marker,
    NextPartNumberMarker: shown.at(-1)?.number ?? 0,
    MaxParts: max,
    IsTruncated: shown.length < parts.length,
    ...(upload.algorithm && { ChecksumAlgorithm: upload.algorithm, ChecksumType: upload.checksumType }),
    Part: shown.map((part) => ({
      PartNumber: part.number,
      LastModified: isoSeconds(part.lastModified),
      ETag: `"${part.etag}"`,
      Size: part.size,
      ...(upload.algorithm && { [`Checksum${upload.algorithm}`]: part.checksum }),
    })),
  });
}
