import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { awsChunkedDecoder } from './aws-chunked.ts';
import { algorithmNamed, algorithms, checkFormat, digestOf, headerOf } from './checksums.ts';
import { openWriter } from './files.ts';
import { type ChecksumAlgorithm, s3Error } from './model.ts';

/** S3 takes no more in one request: 5 GiB. */
const largestBody = 5 * 1024 ** 3;
/** Request documents (DeleteObjects, CompleteMultipartUpload) stay far below this. */
const largestDocument = 8 * 1024 ** 2;
/** How much of an unwanted body is read before the answer. */
const largestDrain = 64 * 1024 ** 2;

/** What the client says of the body it sends. */
export interface Claims {
  readonly length: number;
  readonly chunked: boolean;
  /** Hex; absent where the payload is unsigned. */
  readonly sha256?: string;
  /** Base64. */
  readonly md5?: string;
  readonly algorithm?: ChecksumAlgorithm;
  /** Base64; absent where it comes in the trailer. */
  readonly checksum?: string;
}

export interface Received {
  readonly size: number;
  /** Hex; only where asked for or claimed. */
  readonly md5?: string;
  readonly algorithm?: ChecksumAlgorithm;
  /** Base64 of `algorithm`. */
  readonly checksum?: string;
  /** Base64 CRC64NVME; only where asked for. */
  readonly crc64?: string;
}

export interface Wanted {
  /** Computed where the client claims no checksum of its own. */
  readonly algorithm?: ChecksumAlgorithm;
  readonly md5?: boolean;
  /** Computed besides. */
  readonly crc64?: boolean;
}

/** Reads the headers only, so that bad claims are refused before the first byte of the body. */
export function claimsOf(request: IncomingMessage): Claims {
  const header = (name: string) => request.headers[name] as string | undefined;
  const payload = header('x-amz-content-sha256');
  const chunked = payload?.startsWith('STREAMING-') ?? false;
  const length = Number(chunked ? header('x-amz-decoded-content-length') : header('content-length'));
  if (!chunked && header('transfer-encoding')) {
    throw s3Error(
      'NotImplemented',
      'A header you provided implies functionality that is not implemented: Transfer-Encoding. Try sending the length.',
      501,
    );
  }
  if (!Number.isSafeInteger(length) || length < 0) {
    throw s3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.', 411);
  }
  if (length > largestBody) {
    throw s3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', 400, {
      ProposedSize: String(length),
      MaxSizeAllowed: String(largestBody),
    });
  }
  const md5 = header('content-md5');
  if (md5 !== undefined && Buffer.from(md5, 'base64').length !== 16) {
    throw s3Error('InvalidDigest', 'The Content-MD5 you specified was invalid.');
  }
  const hashed = payload !== undefined && /^[0-9a-f]{64}$/i.test(payload);
  return { length, chunked, sha256: hashed ? payload.toLowerCase() : undefined, md5, ...checksumClaim(header) };
}

function checksumClaim(header: (name: string) => string | undefined): Pick<Claims, 'algorithm' | 'checksum'> {
  const sent = algorithms.filter((algorithm) => header(headerOf(algorithm)) !== undefined);
  const trailer = header('x-amz-trailer')?.trim().toLowerCase();
  if (sent.length + (trailer ? 1 : 0) > 1) {
    throw s3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  if (trailer) {
    const algorithm = algorithms.find((candidate) => headerOf(candidate) === trailer);
    if (!algorithm) {
      throw s3Error('InvalidRequest', `The value specified in the x-amz-trailer header is not supported: ${trailer}`);
    }
    return { algorithm };
  }
  const [algorithm] = sent;
  const named = algorithmNamed(header('x-amz-sdk-checksum-algorithm'));
  if (!algorithm) {
    if (named) {
      throw s3Error(
        'InvalidRequest',
        'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
      );
    }
    return {};
  }
  const checksum = header(headerOf(algorithm)) as string;
  checkFormat(algorithm, checksum);
  return { algorithm, checksum };
}

/**
 * Streams a request's body into a new file, verified. On any failure the file is gone and the error is S3's. Where
 * `at` is given it goes into an existing file from that offset on, which is left as it is on failure.
 */
export async function receiveFile(
  request: IncomingMessage,
  claims: Claims,
  file: string,
  wanted: Wanted,
  at?: number,
): Promise<Received> {
  // The iterator leaves the request alive when writing fails, so that its client can still be answered.
  return await writeMetered(request.iterator({ destroyOnReturn: false }), claims, file, wanted, at);
}

/** Copies bytes that are already here, in the same way, and reckons their digests. */
export function copyFile(source: AsyncIterable<Buffer>, file: string, wanted: Wanted, at?: number): Promise<Received> {
  return writeMetered(source, { length: -1, chunked: false }, file, wanted, at);
}

async function writeMetered(
  source: AsyncIterable<Buffer>,
  claims: Claims,
  file: string,
  wanted: Wanted,
  at?: number,
): Promise<Received> {
  const meter = meterOf(claims, wanted);
  const writer = await openWriter(file, at);
  try {
    for await (const piece of source) {
      for (const bytes of meter.take(piece)) {
        const room = writer.write(bytes);
        if (room) await room;
      }
      release(piece);
    }
    await writer.finish();
    return await meter.verified();
  } catch (error) {
    if (at === undefined) await rm(file, { force: true });
    throw error;
  } finally {
    await writer.close();
  }
}

/**
 * Gives a piece's memory back now. Every piece of a body has a buffer of its own, outside of V8's heap; left to the
 * garbage collector, they press for collections of the whole heap, dozens a gigabyte.
 */
function release(piece: Buffer): void {
  // A smaller buffer shares its memory with others.
  if (piece.length === piece.buffer.byteLength) (piece.buffer as ArrayBuffer).transfer(0);
}

/** A request document, verified in the same way, unless its checksum header speaks of the object to be made. */
export async function receiveDocument(
  request: IncomingMessage,
  checksumOf: 'document' | 'object' = 'document',
): Promise<Buffer> {
  const said = claimsOf(request);
  const claims = checksumOf === 'document' ? said : { ...said, algorithm: undefined, checksum: undefined };
  if (claims.length > largestDocument) throw s3Error('EntityTooLarge', 'The request document is too large');
  const meter = meterOf(claims, {});
  const pieces: Buffer[] = [];
  for await (const piece of request.iterator({ destroyOnReturn: false })) pieces.push(...meter.take(piece));
  await meter.verified();
  return Buffer.concat(pieces);
}

function meterOf(claims: Claims, wanted: Wanted) {
  const algorithm = claims.algorithm ?? wanted.algorithm;
  // One SHA-256 answers both claims that there may be of it.
  const hashed = algorithm === 'SHA256' && claims.sha256 !== undefined;
  const checksum = algorithm && !hashed ? digestOf(algorithm) : undefined;
  const crc64 = wanted.crc64 && algorithm !== 'CRC64NVME' ? digestOf('CRC64NVME') : undefined;
  const md5 = wanted.md5 || claims.md5 !== undefined ? createHash('md5') : undefined;
  const sha256 = claims.sha256 ? createHash('sha256') : undefined;
  const chunks = claims.chunked ? awsChunkedDecoder() : undefined;
  let size = 0;

  /** The body's own bytes in a piece of the request. */
  function take(piece: Buffer): readonly Buffer[] {
    const all = chunks ? chunks.decode(piece) : [piece];
    for (const bytes of all) {
      size += bytes.length;
      if (claims.length >= 0 && size > claims.length) throw incomplete(size, claims.length);
      checksum?.update(bytes);
      crc64?.update(bytes);
      md5?.update(bytes);
      sha256?.update(bytes);
    }
    return all;
  }

  async function verified(): Promise<Received> {
    chunks?.end();
    if (claims.length >= 0 && size !== claims.length) throw incomplete(size, claims.length);
    const digest = md5?.digest();
    if (claims.md5 !== undefined && digest?.toString('base64') !== claims.md5) {
      throw s3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.', 400, {
        ExpectedDigest: claims.md5,
        CalculatedDigest: digest?.toString('base64') ?? '',
      });
    }
    const payload = sha256?.digest();
    if (payload && payload.toString('hex') !== claims.sha256) {
      throw s3Error(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
    }
    const value = hashed ? payload?.toString('base64') : await checksum?.value();
    if (claims.algorithm)
      verifyChecksum(
        claims.algorithm,
        value as string,
        claims.checksum ?? chunks?.trailers.get(headerOf(claims.algorithm)),
      );
    return {
      size,
      md5: digest?.toString('hex'),
      algorithm,
      checksum: value,
      ...(wanted.crc64 && { crc64: crc64 ? await crc64.value() : value }),
    };
  }

  return { take, verified };
}

function verifyChecksum(algorithm: ChecksumAlgorithm, computed: string, claimed: string | undefined): void {
  if (claimed === undefined) {
    throw s3Error('MalformedTrailerError', `The request contained no ${headerOf(algorithm)} in its trailer.`);
  }
  checkFormat(algorithm, claimed);
  if (claimed !== computed) throw badDigest(algorithm);
}

export const badDigest = (algorithm: ChecksumAlgorithm) =>
  s3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);

const incomplete = (size: number, claimed: number) =>
  s3Error(
    'IncompleteBody',
    `The request body does not have the number of bytes specified by its length header: ${size} of ${claimed}`,
  );

/**
 * Reads on what an early answer leaves unread: a client that is still sending would meet a reset instead of the
 * answer. Resolves at the body's end, or before when much is left; the rest then flows away behind the answer.
 */
export function drain(request: IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) {
    request.resume();
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    let bytes = 0;
    request.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > largestDrain) resolve();
    });
    request.once('end', resolve);
    request.once('close', resolve);
    request.once('error', () => resolve());
    request.resume();
  });
}
