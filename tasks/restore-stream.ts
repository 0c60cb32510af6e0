import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { getStream, type ObjectStore } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { ManifestObject } from '../lib/core/manifest.ts';
import type { RunningTool } from '../lib/postgres/tools.ts';

/** One stored object, only hashed: throws as {@link readObject} does when the bytes are not the manifest's. */
export async function checkObject(store: ObjectStore, object: ManifestObject, signal: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of await getStream(store, object.key, { versionId: object.versionId })) {
    signal.throwIfAborted();
    hash.update(chunk);
    bytes += chunk.length;
  }
  checkBytes(object, bytes, hash.digest('hex'));
}

/**
 * One stored object, read once: hashed as it comes (proof level L0), decompressed to its end with zstd's own checksum
 * (the first half of L1), and handed to `consume`. Throws `ObjectMissing`, `ObjectTruncated`, `ObjectAltered` when the
 * bytes are not the manifest's, `ArchiveUnreadable` when they are and still cannot be read.
 */
export async function readObject(
  store: ObjectStore,
  object: ManifestObject,
  consume: (source: AsyncIterable<Buffer>) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* hashed(source: AsyncIterable<Buffer>) {
    for await (const chunk of source) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  let failure: unknown;
  try {
    const source = await getStream(store, object.key, { versionId: object.versionId });
    await pipeline(source, hashed, createZstdDecompress(), consume, { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PgdrError) throw error;
    failure = error;
  }
  if (failure) throw await explain(store, object, failure, signal);
  checkBytes(object, bytes, hash.digest('hex'));
}

/** A broken stream has a cause: bytes that are not the manifest's explain it better than what choked on them. */
async function explain(
  store: ObjectStore,
  object: ManifestObject,
  failure: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  try {
    await checkObject(store, object, signal);
    return new PgdrError('ArchiveUnreadable', `${object.key}: ${(failure as Error).message}`, { cause: failure });
  } catch (error) {
    if (error instanceof PgdrError) return error;
    return new PgdrError('StorageRefused', `${object.key} could not be read to its end: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function checkBytes(object: ManifestObject, bytes: number, sha256: string): void {
  if (bytes !== object.bytes) {
    throw new PgdrError('ObjectTruncated', `${object.key} has ${bytes} bytes, the manifest says ${object.bytes}`);
  }
  if (sha256 !== object.sha256) {
    throw new PgdrError('ObjectAltered', `${object.key} has SHA-256 ${sha256}, the manifest says ${object.sha256}`);
  }
}

/** Feeds a program's stdin, and reads on to the end of the object when the program wants no more of it. */
export const intoTool = (tool: RunningTool) => async (source: AsyncIterable<Buffer>) => {
  const stdin = tool.process.stdin as Writable;
  // EPIPE: the program has what it needs, or has failed, which its exit tells.
  stdin.on('error', () => {});
  const closed = new Promise<void>((resolve) => stdin.once('close', resolve));
  for await (const chunk of source) {
    if (stdin.destroyed || stdin.write(chunk)) continue;
    const drained = new Promise<void>((resolve) => stdin.once('drain', resolve));
    await Promise.race([drained, closed]);
  }
  stdin.end();
  await tool.ended;
};

export const intoFile = (path: string) => async (source: AsyncIterable<Buffer>) => {
  await pipeline(source, createWriteStream(path, { mode: 0o600 }));
};
