import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
// The SDK's own CRC-32C and CRC-64/NVME: what the client reckons with is what it is judged by.
import { Crc32c, Crc64Nvme } from '@aws-sdk/checksums/crc';
import { type ChecksumAlgorithm, s3Error } from './model.ts';

export interface Digest {
  update(data: Buffer): void;
  /** Base64. Called once, at the end. */
  value(): Promise<string>;
}

const bytesOf: Record<ChecksumAlgorithm, number> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 };

export const algorithms = Object.keys(bytesOf) as ChecksumAlgorithm[];

export const headerOf = (algorithm: ChecksumAlgorithm): string => `x-amz-checksum-${algorithm.toLowerCase()}`;

export function digestOf(algorithm: ChecksumAlgorithm): Digest {
  switch (algorithm) {
    case 'CRC32':
      return crc32Digest();
    case 'CRC32C':
      return sdkDigest(new Crc32c());
    case 'CRC64NVME':
      return sdkDigest(new Crc64Nvme());
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(algorithm.toLowerCase());
      return { update: (data) => void hash.update(data), value: async () => hash.digest('base64') };
    }
  }
}

function crc32Digest(): Digest {
  let sum = 0;
  return {
    update(data) {
      sum = crc32(data, sum);
    },
    async value() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(sum);
      return bytes.toString('base64');
    },
  };
}

function sdkDigest(checksum: { update(data: Uint8Array): void; digest(): Promise<Uint8Array> }): Digest {
  return {
    update: (data) => checksum.update(data),
    value: async () => Buffer.from(await checksum.digest()).toString('base64'),
  };
}

/** The checksum of the parts' checksums. */
export async function compositeOf(algorithm: ChecksumAlgorithm, parts: readonly string[]): Promise<string> {
  const digest = digestOf(algorithm);
  for (const part of parts) digest.update(Buffer.from(part, 'base64'));
  return `${await digest.value()}-${parts.length}`;
}

/** The algorithm that a header names; InvalidRequest for one that this S3 does not have. */
export function algorithmNamed(name: string | undefined): ChecksumAlgorithm | undefined {
  if (name === undefined || name === '') return undefined;
  const found = algorithms.find((algorithm) => algorithm === name.toUpperCase());
  if (!found) {
    throw s3Error(
      'InvalidRequest',
      `Checksum algorithm provided is unsupported: ${name}. Try one of ${algorithms.join(', ')}.`,
    );
  }
  return found;
}

/** Refuses what cannot be a checksum of this algorithm at all. */
export function checkFormat(algorithm: ChecksumAlgorithm, value: string): void {
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length !== bytesOf[algorithm] || bytes.toString('base64') !== value) {
    throw s3Error('InvalidRequest', `Value for ${headerOf(algorithm)} header is invalid.`);
  }
}
