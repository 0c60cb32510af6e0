import { open } from 'node:fs/promises';

/** Bytes that go to disk in one call: many pieces of a socket. */
const batchBytes = 1024 ** 2;

/**
 * Writes a stream into a file: a new one, or where `at` is given, an existing one from that offset on. One batch is
 * on its way to disk while the next one is gathered, so that at most two are in memory.
 */
export async function writeStream(source: AsyncIterable<Buffer>, file: string, at?: number): Promise<void> {
  const handle = await open(file, at === undefined ? 'wx' : 'r+');
  let position = at ?? 0;
  let batch: Buffer[] = [];
  let size = 0;
  let writing: Promise<void> = Promise.resolve();

  const write = async (pieces: Buffer[], length: number, from: number): Promise<void> => {
    const { bytesWritten } = await handle.writev(pieces, from);
    if (bytesWritten !== length) throw new Error(`${file}: only ${bytesWritten} of ${length} bytes could be written`);
  };
  const flush = async (): Promise<void> => {
    await writing;
    writing = write(batch, size, position);
    // Awaited before the next batch; until then its failure is nobody's unhandled one.
    writing.catch(() => {});
    position += size;
    batch = [];
    size = 0;
  };

  try {
    for await (const piece of source) {
      batch.push(piece);
      size += piece.length;
      if (size >= batchBytes) await flush();
    }
    if (size > 0) await flush();
    await writing;
  } finally {
    await writing.catch(() => {});
    await handle.close();
  }
}
