import { promisify } from 'node:util';
import { constants, createZstdCompress, createZstdDecompress, zstdCompress, zstdDecompress } from 'node:zlib';

/** Level 1, and a checksum in each frame so that a flipped bit never passes for WAL. */
const options = {
  params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
};
const compressWhole = promisify(zstdCompress);

export const compress = (bytes: Buffer): Promise<Buffer> => compressWhole(bytes, options);
export const decompress = promisify(zstdDecompress) as (bytes: Buffer) => Promise<Buffer>;

/** Of streams: each piece is a trip to another thread and back, so they are large. */
const chunkSize = 256 * 1024;
export const compressor = () => createZstdCompress({ ...options, chunkSize });
export const decompressor = () => createZstdDecompress({ chunkSize });
