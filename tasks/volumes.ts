/**
 * The most of a program's output that one object holds, bytes. What is longer goes on in further objects, its volumes, so
 * that no object needs more than S3's 10,000 parts of the smallest size, whatever a table was estimated at, and memory,
 * of which a stream takes two parts, is the same for a table of a gigabyte and of ten terabytes. Each volume is a complete
 * zstd file, and so are all of them one after another: `zstd -dc 1.dump.zst 1.2.dump.zst | pg_restore`.
 */
export const volumeBytes = 64 * 1024 ** 3;

/**
 * Cuts a stream into streams of `size` bytes, the last one shorter; one at least. Each has to be read to its end before
 * the next is asked for.
 */
export async function* cutIntoVolumes(
  source: AsyncIterable<Buffer>,
  size: number,
): AsyncGenerator<AsyncIterable<Buffer>> {
  const chunks = source[Symbol.asyncIterator]();
  const read = async (): Promise<IteratorResult<Buffer>> => {
    for (;;) {
      const chunk = await chunks.next();
      if (chunk.done || chunk.value.length > 0) return chunk;
    }
  };
  let next = await read();
  async function* volume(): AsyncGenerator<Buffer> {
    for (let left = size; left > 0 && !next.done; ) {
      const chunk = next.value;
      const taken = chunk.subarray(0, left);
      left -= taken.length;
      yield taken;
      // Looked at before the volume ends: whether there is another depends on it.
      next = taken.length < chunk.length ? { value: chunk.subarray(taken.length) } : await read();
    }
  }
  try {
    do yield volume();
    while (!next.done);
  } finally {
    await chunks.return?.();
  }
}
