import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { encrypting } from '../lib/aws/client-encryption.ts';
import { type ObjectStore, putStream } from '../lib/aws/object-store.ts';
import { clientEncryption } from '../lib/core/encryption.ts';
import type { ManifestObject } from '../lib/core/manifest.ts';
import { outputOf, startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';

/** One program's output, compressed, encrypted where that is wanted, and hashed on its way into one object. Nothing touches the disk. */
export interface DumpStream {
  readonly role: ManifestObject['role'];
  readonly relation?: string;
  readonly key: string;
  readonly program: 'pg_dump' | 'pg_dumpall';
  readonly args: readonly string[];
  readonly partBytes: number;
}

/**
 * Runs the program into the store. The object is completed only after the program ended with exit code 0: the stream
 * that S3 reads ends with an error otherwise, which aborts the upload.
 */
export async function storeDump(
  stream: DumpStream,
  store: ObjectStore,
  tools: ToolEnvironment,
  options: {
    zstdLevel: number;
    signal: AbortSignal;
    onRawBytes: (bytes: number) => void;
    onWarning: (text: string) => void;
  },
): Promise<ManifestObject> {
  const tool = startTool(stream.program, stream.args, tools, 'DumpFailed', { signal: options.signal });
  const cipher = store.clientKey && encrypting(store.clientKey, stream.key);
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
      outputOf(tool),
      count,
      createZstdCompress({
        // Four times Node's own: each chunk costs every stage behind it the same, however small it is.
        chunkSize: 64 * 1024,
        params: { [constants.ZSTD_c_compressionLevel]: options.zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 },
      }),
      ...(cipher ? [cipher.stream] : []),
      async (bytes: AsyncIterable<Buffer>) => {
        stored = await putStream(store, stream.key, bytes, { partBytes: stream.partBytes });
      },
    ] as unknown as Readable[];
    await pipeline(stages, { signal: options.signal });
  } catch (error) {
    options.signal.throwIfAborted();
    throw cipher?.explain(error) ?? error;
  } finally {
    if (tool.process.exitCode === null) tool.process.kill('SIGTERM');
  }
  const stderr = await tool.ended;
  if (stderr.trim()) options.onWarning(stderr);
  if (!stored) throw new Error(`${stream.key}: the pipeline ended without a stored object`);
  const { key, bytes, sha256, parts, versionId } = stored;
  const encryption = cipher ? clientEncryption : stored.encryption;
  return { key, role: stream.role, relation: stream.relation, bytes, rawBytes, sha256, parts, versionId, encryption };
}
