import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { type ObjectStore, putStream } from '../lib/aws/object-store.ts';
import type { ManifestObject } from '../lib/core/manifest.ts';
import { outputOf, startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';

/** One program's output, compressed and hashed on its way into one object. Nothing touches the disk. */
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
  let rawBytes = 0;
  let stored: Awaited<ReturnType<typeof putStream>> | undefined;
  try {
    await pipeline(
      outputOf(tool),
      async function* count(source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          rawBytes += chunk.length;
          options.onRawBytes(chunk.length);
          yield chunk;
        }
      },
      createZstdCompress({
        params: { [constants.ZSTD_c_compressionLevel]: options.zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 },
      }),
      async (compressed: AsyncIterable<Buffer>) => {
        stored = await putStream(store, stream.key, compressed, { partBytes: stream.partBytes });
      },
      { signal: options.signal },
    );
  } finally {
    if (tool.process.exitCode === null) tool.process.kill('SIGTERM');
  }
  const stderr = await tool.ended;
  if (stderr.trim()) options.onWarning(stderr);
  if (!stored) throw new Error(`${stream.key}: the pipeline ended without a stored object`);
  const { key, bytes, sha256, parts, versionId, encryption } = stored;
  return { key, role: stream.role, relation: stream.relation, bytes, rawBytes, sha256, parts, versionId, encryption };
}
