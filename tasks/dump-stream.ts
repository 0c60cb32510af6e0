import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { encrypting } from '../lib/aws/client-encryption.ts';
import { type ObjectStore, putStream } from '../lib/aws/object-store.ts';
import { clientEncryption } from '../lib/core/encryption.ts';
import { smallestPartBytes, volumeKey } from '../lib/core/keys.ts';
import type { ManifestObject } from '../lib/core/manifest.ts';
import { outputOf, startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';
import { cutIntoVolumes, volumeBytes } from './volumes.ts';

/** One program's output, compressed, encrypted where that is wanted, and hashed on its way into one object. Nothing touches the disk. */
export interface DumpStream {
  readonly role: ManifestObject['role'];
  readonly relation?: string;
  readonly key: string;
  readonly program: 'pg_dump' | 'pg_dumpall';
  readonly args: readonly string[];
}

interface Options {
  readonly zstdLevel: number;
  readonly signal: AbortSignal;
  readonly onRawBytes: (bytes: number) => void;
  readonly onWarning: (text: string) => void;
  /** @default {@link volumeBytes} */
  readonly volumeBytes?: number;
}

/**
 * Runs the program into the store; gives the object, and its further volumes where it is long. The last of them is
 * completed only after the program ended with exit code 0: the stream that S3 reads ends with an error otherwise, which
 * aborts the upload.
 */
export async function storeDump(
  stream: DumpStream,
  store: ObjectStore,
  tools: ToolEnvironment,
  options: Options,
): Promise<ManifestObject[]> {
  const tool = startTool(stream.program, stream.args, tools, 'DumpFailed', { signal: options.signal });
  // Before the loop is left, which waits for what the program may still have to say.
  const stop = (error: unknown) => {
    if (tool.process.exitCode === null) tool.process.kill('SIGTERM');
    throw error;
  };
  const volumes: ManifestObject[] = [];
  for await (const content of cutIntoVolumes(outputOf(tool), options.volumeBytes ?? volumeBytes)) {
    volumes.push(await storeVolume(stream, volumes.length + 1, content, store, options).catch(stop));
  }
  const stderr = await tool.ended;
  if (stderr.trim()) options.onWarning(stderr);
  return volumes;
}

async function storeVolume(
  { key: first, role, relation }: DumpStream,
  n: number,
  content: AsyncIterable<Buffer>,
  store: ObjectStore,
  options: Options,
): Promise<ManifestObject> {
  const key = volumeKey(first, n);
  const cipher = store.clientKey && encrypting(store.clientKey, key);
  let rawBytes = 0;
  let stored: Awaited<ReturnType<typeof putStream>> | undefined;
  async function* count(source: AsyncIterable<Buffer>) {
    for await (const chunk of source) {
      rawBytes += chunk.length;
      options.onRawBytes(chunk.length);
      yield chunk;
    }
  }
  try {
    // The types know lists of streams alone; functions are as good.
    const stages = [
      content,
      count,
      createZstdCompress({
        // Four times Node's own: each chunk costs every stage behind it the same, however small it is.
        chunkSize: 64 * 1024,
        params: { [constants.ZSTD_c_compressionLevel]: options.zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 },
      }),
      ...(cipher ? [cipher.stream] : []),
      async (bytes: AsyncIterable<Buffer>) => {
        stored = await putStream(store, key, bytes, { partBytes: smallestPartBytes });
      },
    ] as unknown as Readable[];
    await pipeline(stages, { signal: options.signal });
  } catch (error) {
    options.signal.throwIfAborted();
    throw cipher?.explain(error) ?? error;
  }
  if (!stored) throw new Error(`${key}: the pipeline ended without a stored object`);
  const { bytes, sha256, parts, versionId } = stored;
  const encryption = cipher ? clientEncryption : stored.encryption;
  const volume = n === 1 ? undefined : n;
  return { key, role, relation, volume, bytes, rawBytes, sha256, parts, versionId, encryption };
}
