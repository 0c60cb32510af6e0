import { type ChildProcess, fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

/**
 * One big object into the local cloud's S3 and out again, beside a plain Node stream that hashes (SHA-256) and
 * writes to the same disk. The server is a process of its own, whose highest resident memory is told.
 *
 *   node bench/s3-local.ts [--size 5] [--part 16] [--in-flight 2] [--encryption aws:kms] [--directory DIR] [--json]
 *
 * `--size` is in GiB, `--part` in MiB. Exit code 1 where a limit does not hold.
 */
const limits = { maxRssBytes: 300e6, ratio: 1.5 };

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '5' },
    part: { type: 'string', default: '16' },
    'in-flight': { type: 'string', default: '2' },
    encryption: { type: 'string', default: 'aws:kms' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
const partBytes = Number(options.part) * 1024 ** 2;
const parts = Math.ceil((Number(options.size) * 1024 ** 3) / partBytes);
const bytes = parts * partBytes;
const directory = mkdtempSync(join(options.directory, 's3-bench-'));

/** Different in every part, and made at no cost: a window that moves over noise. */
const noise = randomBytes(partBytes + 1024 ** 2);
function* piecesOf(number: number): Generator<Buffer> {
  const start = (number * 4099) % 1024 ** 2;
  const part = noise.subarray(start, start + partBytes);
  for (let from = 0; from < part.length; from += 256 * 1024) yield part.subarray(from, from + 256 * 1024);
}

function* source(): Generator<Buffer> {
  for (let number = 1; number <= parts; number++) yield* piecesOf(number);
}

/** Seconds to hash a stream and write it to disk; the same for our source and for what S3 gives back. */
async function hashAndWrite(
  from: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<{ seconds: number; sha256: string }> {
  const file = join(directory, 'plain');
  const hash = createHash('sha256');
  const start = performance.now();
  await pipeline(
    Readable.from(from, { objectMode: false, highWaterMark: 1024 ** 2 }),
    async function* (pieces: AsyncIterable<Buffer>) {
      for await (const piece of pieces) {
        hash.update(piece);
        yield piece;
      }
    },
    createWriteStream(file, { highWaterMark: 1024 ** 2 }),
  );
  const seconds = (performance.now() - start) / 1000;
  rmSync(file);
  return { seconds, sha256: hash.digest('hex') };
}

const key = 'big';

/** Multipart with some parts in flight, each streamed with its SHA-256 in the trailer, by which the server judges it. */
async function put(s3: S3Client, bucket: string): Promise<number> {
  const start = performance.now();
  const at = { Bucket: bucket, Key: key };
  const ChecksumAlgorithm = 'SHA256';
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm }));
  const done: { PartNumber: number; ETag?: string; ChecksumSHA256?: string }[] = [];
  let next = 1;
  const worker = async (): Promise<void> => {
    while (next <= parts) {
      const PartNumber = next++;
      const Body = Readable.from(piecesOf(PartNumber), { objectMode: false });
      const { ETag, ChecksumSHA256 } = await s3.send(
        new UploadPartCommand({ ...at, UploadId, PartNumber, Body, ContentLength: partBytes, ChecksumAlgorithm }),
      );
      done.push({ PartNumber, ETag, ChecksumSHA256 });
    }
  };
  await Promise.all(Array.from({ length: Number(options['in-flight']) }, worker));
  done.sort((a, b) => a.PartNumber - b.PartNumber);
  await s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: done } }));
  return (performance.now() - start) / 1000;
}

async function ask<T>(server: ChildProcess, question?: string): Promise<T> {
  const answer = once(server, 'message');
  if (question) server.send(question);
  return (await answer)[0] as T;
}

const server = fork(join(import.meta.dirname, 's3-server.ts'), [directory, options.encryption]);
try {
  const { bucket, client } = await ask<{ bucket: string; client: object }>(server);
  const s3 = new S3Client({ ...client, maxAttempts: 1 });
  // Before and after, so that a machine that slows down or speeds up does not favour one side.
  const before = await hashAndWrite(source());
  const putSeconds = await put(s3, bucket);
  const answer = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  const got = await hashAndWrite(answer.Body as Readable);
  if (got.sha256 !== before.sha256) throw new Error('What came back is not what went in.');
  const after = await hashAndWrite(source());
  const { maxRssBytes, cpu } = await ask<{ maxRssBytes: number; cpu: NodeJS.CpuUsage }>(server, 'memory');
  const plainSeconds = (before.seconds + after.seconds) / 2;
  const report = {
    bytes,
    plainSeconds: { before: before.seconds, after: after.seconds },
    putSeconds,
    getSeconds: got.seconds,
    putRatio: putSeconds / plainSeconds,
    getRatio: got.seconds / plainSeconds,
    serverCpuSeconds: (cpu.user + cpu.system) / 1e6,
    serverMaxRssBytes: maxRssBytes,
    ok: false,
  };
  report.ok = report.putRatio <= limits.ratio && report.getRatio <= limits.ratio && maxRssBytes < limits.maxRssBytes;
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    const rate = (seconds: number) => `${seconds.toFixed(1)} s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s`;
    process.stdout.write(
      [
        `${(bytes / 1024 ** 3).toFixed(2)} GiB in parts of ${options.part} MiB`,
        `hash and write  ${rate(plainSeconds)} (before ${before.seconds.toFixed(1)} s, after ${after.seconds.toFixed(1)} s)`,
        `put             ${rate(putSeconds)}, ratio ${report.putRatio.toFixed(2)}`,
        `get             ${rate(got.seconds)}, ratio ${report.getRatio.toFixed(2)}`,
        `server          ${(maxRssBytes / 1e6).toFixed(0)} MB at most, ${report.serverCpuSeconds.toFixed(1)} s of CPU`,
        report.ok ? 'within limits' : `beyond a limit: ratio ${limits.ratio}, ${limits.maxRssBytes / 1e6} MB`,
        '',
      ].join('\n'),
    );
  }
  process.exitCode = report.ok ? 0 : 1;
} finally {
  const ended = once(server, 'exit');
  server.disconnect();
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
