import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { decrypting } from '../lib/aws/client-encryption.ts';
import { getStream, type ObjectStore } from '../lib/aws/object-store.ts';
import { clientEncryption } from '../lib/core/encryption.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { ManifestObject } from '../lib/core/manifest.ts';
import type { RunningTool } from '../lib/postgres/tools.ts';

/** What reading an object back takes of its entry in a manifest, of whichever kind of backup. */
type Stored = Pick<ManifestObject, 'key' | 'bytes' | 'sha256' | 'versionId' | 'encryption'>;

/** What zstd gives at a time, bytes: with Node's 16 KiB the ways between threads cost as much as the decompression. */
const chunkSize = 256 * 1024;

/** One stored object, only hashed: throws as {@link readObject} does when the bytes are not the manifest's. */
export async function checkObject(store: ObjectStore, object: Stored, signal: AbortSignal): Promise<void> {
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
 * One stored object, read once: hashed as it comes (proof level L0), decrypted where it was encrypted by us,
 * decompressed to its end with zstd's own checksum (the first half of L1), and handed to `consume`. Throws
 * `ObjectMissing`, `ObjectTruncated`, `ObjectAltered` when the bytes are not the manifest's; when they are and still
 * cannot be read, `EncryptionKeyRefused`, `EncryptionContextDiffers`, `DecryptionFailed` or `ArchiveUnreadable`.
 */
export async function readObject(
  store: ObjectStore,
  object: Stored,
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
  const cipher = cipherOf(store, object);
  const stages = [
    hashed,
    ...(cipher ? [cipher.stream, cipher.check] : []),
    ...(object.key.endsWith('.zst') ? [createZstdDecompress({ chunkSize })] : []),
    consume,
  ];
  let failure: unknown;
  try {
    const source = await getStream(store, object.key, { versionId: object.versionId });
    // The types know lists of streams alone; functions are as good.
    await pipeline([source, ...stages] as unknown as Readable[], { signal });
  } catch (error) {
    signal.throwIfAborted();
    failure = cipher?.explain(error);
    if (!failure && error instanceof PgdrError) throw error;
    failure ??= error;
  }
  if (failure) throw await explain(store, object, failure, signal);
  checkBytes(object, bytes, hash.digest('hex'));
}

/** An archive that goes on from object to object, each read as {@link readObject} does, and one stream to `consume`. */
export async function readVolumes(
  store: ObjectStore,
  volumes: readonly Stored[],
  consume: (source: AsyncIterable<Buffer>) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const [only, ...more] = volumes;
  if (only && more.length === 0) return readObject(store, only, consume, signal);
  const joined = new PassThrough({ highWaterMark: chunkSize });
  joined.on('error', () => {}); // Whoever reads is told as well.
  const consumed = consume(joined);
  consumed.catch((error) => joined.destroy(error));
  const forward = async (source: AsyncIterable<Buffer>) => {
    for await (const chunk of source) {
      if (!joined.write(chunk)) await Promise.race([once(joined, 'drain'), consumed]);
    }
  };
  try {
    for (const volume of volumes) await readObject(store, volume, forward, signal);
    joined.end();
  } catch (error) {
    joined.destroy(error as Error);
    await consumed.catch(() => {});
    throw error;
  }
  await consumed;
}

function cipherOf({ clientKey }: ObjectStore, { key, encryption }: Stored) {
  if (encryption !== clientEncryption) return undefined;
  if (clientKey) return decrypting(clientKey, key);
  throw new PgdrError('EncryptionKeyRefused', `${key} is encrypted, and the settings of the database name no key`);
}

/** A broken stream has a cause: bytes that are not the manifest's explain it better than what choked on them. */
async function explain(store: ObjectStore, object: Stored, failure: unknown, signal: AbortSignal): Promise<unknown> {
  try {
    await checkObject(store, object, signal);
    if (failure instanceof PgdrError) return failure;
    return new PgdrError('ArchiveUnreadable', `${object.key}: ${(failure as Error).message}`, { cause: failure });
  } catch (error) {
    if (error instanceof PgdrError) return error;
    return new PgdrError('StorageRefused', `${object.key} could not be read to its end: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function checkBytes(object: Stored, bytes: number, sha256: string): void {
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
