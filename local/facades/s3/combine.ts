import type { ChecksumAlgorithm } from './model.ts';

/** The CRC of a whole out of the CRCs of its pieces, by which a completed upload is not read once more. */

/** Reflected polynomials without their highest term, and their widths in bits. */
const polynomials: Partial<Record<ChecksumAlgorithm, { readonly width: bigint; readonly polynomial: bigint }>> = {
  CRC32: { width: 32n, polynomial: 0xedb88320n },
  CRC32C: { width: 32n, polynomial: 0x82f63b78n },
  CRC64NVME: { width: 64n, polynomial: 0x9a6c9329ac4bc9b5n },
};

/** Pieces in order: Base64 checksums and sizes in bytes. Base64 again; a RangeError for what is no CRC. */
export function combineCrcs(
  algorithm: ChecksumAlgorithm,
  pieces: readonly { readonly checksum: string; readonly size: number }[],
): string {
  const field = polynomials[algorithm];
  if (!field) throw new RangeError(`${algorithm} of a whole cannot be told from its pieces'`);
  const { width, polynomial } = field;
  const one = 1n << (width - 1n);

  /** The product of two polynomials modulo the CRC's, in reflected bits. */
  const multiply = (a: bigint, b: bigint): bigint => {
    let product = 0n;
    let factor = b;
    for (let bit = one; bit > 0n; bit >>= 1n) {
      if (a & bit) product ^= factor;
      factor = factor & 1n ? (factor >> 1n) ^ polynomial : factor >> 1n;
    }
    return product;
  };
  /** x to the power of so many bytes' bits: what appending them does to a CRC. Most pieces are of one size. */
  const powers = new Map<number, bigint>();
  const powerOf = (size: number): bigint => {
    const known = powers.get(size);
    if (known !== undefined) return known;
    let power = one;
    let square = one >> 1n;
    for (let bits = BigInt(size) * 8n; bits > 0n; bits >>= 1n) {
      if (bits & 1n) power = multiply(square, power);
      square = multiply(square, square);
    }
    powers.set(size, power);
    return power;
  };

  let crc = 0n;
  for (const { checksum, size } of pieces) {
    crc = multiply(powerOf(size), crc) ^ BigInt(`0x${Buffer.from(checksum, 'base64').toString('hex')}`);
  }
  return Buffer.from(crc.toString(16).padStart(Number(width) / 4, '0'), 'hex').toString('base64');
}
