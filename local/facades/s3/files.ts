import { type FileHandle, open } from 'node:fs/promises';
import type { Writable } from 'node:stream';

/** Bytes that go to disk in one call: sixteen pieces of a socket. */
const batchBytes = 1024 ** 2;

export interface FileWriter {
  /** Takes bytes in, which are the caller's again at once; a promise where it has to wait before the next ones. */
  write(bytes: Buffer): Promise<void> | undefined;
  /** Writes what is left. */
  finish(): Promise<void>;
  /** To be called in any case, at the end. */
  close(): Promise<void>;
}

/**
 * Writes into a file: a new one, or where `at` is given, an existing one from that offset on. Bytes are gathered in
 * one buffer while another one is on its way to disk.
 */
export async function openWriter(file: string, at?: number): Promise<FileWriter> {
  const handle = await open(file, at === undefined ? 'wx' : 'r+');
  let position = at ?? 0;
  let [filling, spare] = [takeBuffer(), takeBuffer()];
  let used = 0;
  let writing: Promise<void> = Promise.resolve();

  const write = async (buffer: Buffer, from: number): Promise<void> => {
    const { bytesWritten } = await handle.write(buffer, 0, buffer.length, from);
    if (bytesWritten !== buffer.length) {
      throw new Error(`${file}: only ${bytesWritten} of ${buffer.length} bytes could be written`);
    }
  };
  const flush = async (): Promise<void> => {
    await writing;
    writing = write(filling.subarray(0, used), position);
    // Awaited before the next one; until then its failure is nobody's unhandled one.
    writing.catch(() => {});
    position += used;
    used = 0;
    [filling, spare] = [spare, filling];
  };
  const fill = (bytes: Buffer): Buffer => {
    const copied = bytes.copy(filling, used);
    used += copied;
    return bytes.subarray(copied);
  };

  return {
    write: (bytes) => {
      let rest = fill(bytes);
      if (used < batchBytes) return undefined;
      return (async () => {
        for (;;) {
          await flush();
          if (rest.length === 0) return;
          rest = fill(rest);
          if (used < batchBytes) return;
        }
      })();
    },
    finish: async () => {
      if (used > 0) await flush();
      await writing;
    },
    close: async () => {
      await writing.catch(() => {});
      giveBack(filling, spare);
      await handle.close();
    },
  };
}

/** Buffers that no write uses now: a few, so that a burst of writes is not remembered for ever. */
const buffers: Buffer[] = [];
const mostBuffers = 16;
const takeBuffer = (): Buffer => buffers.pop() ?? Buffer.allocUnsafeSlow(batchBytes);
function giveBack(...free: Buffer[]): void {
  buffers.push(...free.slice(0, Math.max(0, mostBuffers - buffers.length)));
}

/**
 * Writes a range of a file (inclusive bounds) to a stream and ends it. Two buffers take turns: one is filled while the
 * other one is sent. A file that is shorter, or a reader that goes away, breaks the stream off.
 */
export async function sendRange(handle: FileHandle, from: number, to: number, target: Writable): Promise<void> {
  const length = Math.min(batchBytes / 2, to - from + 1);
  const buffers = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)] as const;
  const fill = async (turn: 0 | 1, position: number): Promise<Buffer> => {
    const { bytesRead } = await handle.read(buffers[turn], 0, Math.min(length, to - position + 1), position);
    if (bytesRead === 0) throw new Error('The file ended before its range did');
    return buffers[turn].subarray(0, bytesRead);
  };
  const send = (piece: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      if (target.destroyed) reject(new Error('The reader went away'));
      target.once('close', reject);
      // Called once the bytes are the system's, so that the buffer is free again.
      target.write(piece, (error) => {
        target.off('close', reject);
        if (error) reject(error);
        else resolve();
      });
    });

  let position = from;
  let turn: 0 | 1 = 0;
  let piece = await fill(turn, position);
  for (;;) {
    position += piece.length;
    turn = turn === 0 ? 1 : 0;
    const sent = send(piece);
    if (position > to) {
      await sent;
      break;
    }
    const [next] = await Promise.all([fill(turn, position), sent]);
    piece = next;
  }
  target.end();
}
