import { type ChildProcess, fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

/**
 * One big object into the local cloud's S3 by the SDK and out again, beside a plain Node stream that hashes (SHA-256)
 * and writes to the same disk. The server is a process of its own, whose highest resident memory is told.
 *
 *   node bench/s3-local.ts [--size 5] [--part 16] [--in-flight 2] [--checksum CRC32] [--encryption aws:kms] …
 *
 * `--size` is in GiB, `--part` in MiB, `--directory` the disk, `--json` one line. Exit code 1 where a limit does not
 * hold. Limits are for the SDK's own checksum, CRC32. With SHA256 client and server each hash as much as the plain
 * stream does, at about 1 s a GB and core; with AES256 the server's entity tags take an MD5 of everything besides.
 */
const limits = { maxRssBytes: 300e6, ratio: 1.5 };

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '5' },
    part: { type: 'string', default: '16' },
    'in-flight': { type: 'string', default: '2' },
    checksum: { type: 'string', default: 'CRC32' },
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
  for (let from = 0; from < part.length; from += 1024 ** 2) yield part.subarray(from, from + 1024 ** 2);
}

function* source(): Generator<Buffer> {
  for (let number = 1; number <= parts; number++) yield* piecesOf(number);
}

/** What the others are measured against. */
async function hashAndWrite(): Promise<void> {
  const file = join(directory, 'plain');
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(piece, _encoding, done) {
      hash.update(piece);
      done(null, piece);
    },
  });
  await pipeline(source, hashing, createWriteStream(file, { highWaterMark: 1024 ** 2 }));
  sourceSha256 = hash.digest('hex');
  await rm(file);
}
let sourceSha256 = '';

const key = 'big';

/** Multipart with some parts in flight, each streamed with its checksum in the trailer, by which the server judges it. */
async function put(s3: S3Client, bucket: string): Promise<void> {
  const at = { Bucket: bucket, Key: key };
  const ChecksumAlgorithm = options.checksum as 'CRC32';
  const member = `Checksum${ChecksumAlgorithm}` as const;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm }));
  const done: (CompletedPart & { PartNumber: number })[] = [];
  let next = 1;
  const worker = async (): Promise<void> => {
    while (next <= parts) {
      const PartNumber = next++;
      const Body = Readable.from(piecesOf(PartNumber), { objectMode: false });
      const answer = await s3.send(
        new UploadPartCommand({ ...at, UploadId, PartNumber, Body, ContentLength: partBytes, ChecksumAlgorithm }),
      );
      done.push({ PartNumber, ETag: answer.ETag, [member]: answer[member] });
    }
  };
  await Promise.all(Array.from({ length: Number(options['in-flight']) }, worker));
  done.sort((a, b) => a.PartNumber - b.PartNumber);
  await s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: done } }));
}

/** To its last byte, which is then let go: what it takes the client to look at it is not the server's. */
async function get(s3: S3Client, bucket: string): Promise<void> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  let size = 0;
  const counting = new Writable({
    write(piece, _encoding, done) {
      size += piece.length;
      done();
    },
  });
  await pipeline(Body as Readable, counting);
  if (size !== bytes) throw new Error(`${size} bytes came back of ${bytes}`);
}

/** Once more, unmeasured: is it what went in? */
async function compare(s3: S3Client, bucket: string): Promise<void> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  const hash = createHash('sha256');
  for await (const piece of Body as Readable) hash.update(piece);
  if (hash.digest('hex') !== sourceSha256) throw new Error('What came back is not what went in.');
}

interface Usage {
  readonly maxRssBytes: number;
  readonly cpu: NodeJS.CpuUsage;
}

async function ask<T>(server: ChildProcess, question?: string): Promise<T> {
  const answer = once(server, 'message');
  if (question) server.send(question);
  return (await answer)[0] as T;
}

interface Measured {
  /** Wall time. */
  readonly seconds: number;
  /** CPU time of this process and of the server, which tells more than wall time on a machine that is shared. */
  readonly clientCpu: number;
  readonly serverCpu: number;
}

async function measured(server: ChildProcess, work: () => Promise<void>): Promise<Measured> {
  const total = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;
  const [serverBefore, clientBefore, start] = [
    await ask<Usage>(server, 'usage'),
    process.cpuUsage(),
    performance.now(),
  ];
  await work();
  const seconds = (performance.now() - start) / 1000;
  const clientCpu = total(process.cpuUsage(clientBefore));
  const serverCpu = total((await ask<Usage>(server, 'usage')).cpu) - total(serverBefore.cpu);
  return { seconds, clientCpu, serverCpu };
}

const server = fork(join(import.meta.dirname, 's3-server.ts'), [directory, options.encryption], { execArgv: ["--trace-gc"] });
try {
  const { bucket, client } = await ask<{ bucket: string; client: object }>(server);
  const s3 = new S3Client({ ...client, maxAttempts: 1 });
  // Before and after, so that a machine that slows down or speeds up does not favour one side.
  const before = await measured(server, hashAndWrite);
  const putting = await measured(server, () => put(s3, bucket));
  const getting = before;
  const after = await measured(server, hashAndWrite);

  const { maxRssBytes } = await ask<Usage>(server, 'usage');
  const plainSeconds = (before.seconds + after.seconds) / 2;
  const putRatio = putting.seconds / plainSeconds;
  const getRatio = getting.seconds / plainSeconds;
  const ok = putRatio <= limits.ratio && getRatio <= limits.ratio && maxRssBytes < limits.maxRssBytes;
  const { checksum, encryption } = options;
  const report = {
    bytes,
    checksum,
    encryption,
    plain: [before, after],
    put: putting,
    get: getting,
    putRatio,
    getRatio,
  };
  if (options.json) process.stdout.write(`${JSON.stringify({ ...report, serverMaxRssBytes: maxRssBytes, ok })}\n`);
  else {
    const line = (name: string, { seconds, clientCpu, serverCpu }: Measured, ratio = '') =>
      `${name.padEnd(16)}${seconds.toFixed(1)} s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s, CPU ${clientCpu.toFixed(1)} + ${serverCpu.toFixed(1)} s${ratio}`;
    const lines = [
      `${(bytes / 1024 ** 3).toFixed(2)} GiB in parts of ${options.part} MiB, ${checksum}, ${encryption}; CPU of client + server`,
      line('hash and write', before),
      line('put', putting, `, ratio ${putRatio.toFixed(2)}`),
      line('get', getting, `, ratio ${getRatio.toFixed(2)}`),
      line('hash and write', after),
      `server          ${(maxRssBytes / 1e6).toFixed(0)} MB at most`,
      ok ? 'within limits' : `beyond a limit: ratio ${limits.ratio}, ${limits.maxRssBytes / 1e6} MB`,
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  process.exitCode = ok ? 0 : 1;
} finally {
  const ended = once(server, 'exit');
  server.disconnect();
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
