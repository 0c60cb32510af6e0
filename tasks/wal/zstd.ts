import { promisify } from 'node:util';
import { constants, createZstdCompress, createZstdDecompress, zstdCompress } from 'node:zlib';

/** Level 1, and a checksum in each frame so that a flipped bit never passes for WAL. */
const options = {
  params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
};
const compressWhole = promisify(zstdCompress);

export const compress = (bytes: Buffer): Promise<Buffer> => compressWhole(bytes, options);
export const compressor = () => createZstdCompress(options);
export const decompressor = () => createZstdDecompress();
