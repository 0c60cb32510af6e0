import { type ChildProcess, fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
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
 * One big object into the local cloud's S3 by the SDK and out again, beside a plain Node stream that hashes and writes
 * to the same disk. The two take turns, slice by slice, so that both meet the same machine; ratios are medians of the
 * slices' own. The server is a process of its own, whose highest resident memory is told.
 *
 *   node bench/s3-local.ts [--size 5] [--slices 10] [--part 16] [--in-flight 2] [--checksum CRC32] …
 *
 * `--size` is in GiB, `--part` in MiB, `--directory` the disk, `--json` one line. Exit code 1 where a limit does not
 * hold. What each side does:
 *
 *   plain stream    SHA-256 of every byte, then written to a new file
 *   put             the client reckons the checksum and sends; the server reckons it again, compares, and writes
 *   get             the server reads and sends; the client counts
 *
 * With `--checksum SHA256` a put takes two SHA-256 of every byte, the client's and the server's. It is then held
 * against a plain stream that takes two as well, and the ratio to one that takes one is told beside it.
 */
const limits = { maxRssBytes: 300e6, ratio: 1.5 };

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '5' },
    slices: { type: 'string', default: '10' },
    part: { type: 'string', default: '16' },
    'in-flight': { type: 'string', default: '2' },
    checksum: { type: 'string', default: 'CRC32' },
    encryption: { type: 'string', default: 'aws:kms' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
const partBytes = Number(options.part) * 1024 ** 2;
const slices = Number(options.slices);
const partsPerSlice = Math.ceil((Number(options.size) * 1024 ** 3) / partBytes / slices);
const parts = slices * partsPerSlice;
const bytes = parts * partBytes;
const directory = mkdtempSync(join(options.directory, 's3-bench-'));

/** Different in every part, and made at no cost: a window that moves over noise. */
const noise = randomBytes(partBytes + 1024 ** 2);
function* piecesOf(number: number): Generator<Buffer> {
  const start = (number * 4099) % 1024 ** 2;
  const part = noise.subarray(start, start + partBytes);
  for (let from = 0; from < part.length; from += 1024 ** 2) yield part.subarray(from, from + 1024 ** 2);
}

interface Slice {
  readonly index: number;
  /** Numbers of its first and last part. */
  readonly first: number;
  readonly last: number;
}

const allSlices: readonly Slice[] = Array.from({ length: slices }, (_, index) => ({
  index,
  first: index * partsPerSlice + 1,
  last: (index + 1) * partsPerSlice,
}));

function* source({ first, last }: Slice): Generator<Buffer> {
  for (let number = first; number <= last; number++) yield* piecesOf(number);
}

/** What the others are measured against: as many SHA-256 as asked for, and a new file. */
const plain = (digests: number) => async (slice: Slice) => {
  const hashes = Array.from({ length: digests }, () => createHash('sha256'));
  const hashing = new Transform({
    transform(piece, _encoding, done) {
      for (const hash of hashes) hash.update(piece);
      done(null, piece);
    },
  });
  const file = join(directory, `plain-${slice.index}-${digests}-${randomBytes(4).toString('hex')}`);
  await pipeline(() => source(slice), hashing, createWriteStream(file, { highWaterMark: 1024 ** 2 }));
};

const key = 'big';

/** Multipart with some parts in flight, each streamed with its checksum in the trailer, by which the server judges it. */
async function startPut(s3: S3Client, bucket: string) {
  const at = { Bucket: bucket, Key: key };
  const ChecksumAlgorithm = options.checksum as 'CRC32';
  const member = `Checksum${ChecksumAlgorithm}` as const;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm }));
  const done: (CompletedPart & { PartNumber: number })[] = [];
  const put = async ({ first, last }: Slice): Promise<void> => {
    let next = first;
    const worker = async (): Promise<void> => {
      while (next <= last) {
        const PartNumber = next++;
        const Body = Readable.from(piecesOf(PartNumber), { objectMode: false });
        const answer = await s3.send(
          new UploadPartCommand({ ...at, UploadId, PartNumber, Body, ContentLength: partBytes, ChecksumAlgorithm }),
        );
        done.push({ PartNumber, ETag: answer.ETag, [member]: answer[member] });
      }
    };
    await Promise.all(Array.from({ length: Number(options['in-flight']) }, worker));
    if (last < parts) return;
    done.sort((a, b) => a.PartNumber - b.PartNumber);
    await s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: done } }));
  };
  return put;
}

/** To its last byte, which is then let go: what it takes the client to look at it is not the server's. */
const getter = (s3: S3Client, bucket: string) => async (slice: Slice) => {
  const [from, to] = [(slice.first - 1) * partBytes, slice.last * partBytes - 1];
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: `bytes=${from}-${to}` }));
  let size = 0;
  const counting = new Writable({
    write(piece, _encoding, done) {
      size += piece.length;
      done();
    },
  });
  await pipeline(Body as Readable, counting);
  if (size !== to - from + 1) throw new Error(`${size} bytes came back of ${to - from + 1}`);
};

/** Once more, unmeasured: is it what went in? */
async function compare(s3: S3Client, bucket: string): Promise<void> {
  const wanted = createHash('sha256');
  for (const slice of allSlices) for (const piece of source(slice)) wanted.update(piece);
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  const hash = createHash('sha256');
  for await (const piece of Body as Readable) hash.update(piece);
  if (hash.digest('hex') !== wanted.digest('hex')) throw new Error('What came back is not what went in.');
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
  const serverBefore = await ask<Usage>(server, 'usage');
  const [clientBefore, start] = [process.cpuUsage(), performance.now()];
  await work();
  const seconds = (performance.now() - start) / 1000;
  const clientCpu = total(process.cpuUsage(clientBefore));
  const serverCpu = total((await ask<Usage>(server, 'usage')).cpu) - total(serverBefore.cpu);
  return { seconds, clientCpu, serverCpu };
}

type Works = Readonly<Record<string, (slice: Slice) => Promise<void>>>;

/** Everybody's slice, then everybody's next one, in changing order. */
async function inTurns<W extends Works>(server: ChildProcess, works: W): Promise<Record<keyof W, Measured[]>> {
  const names = Object.keys(works);
  const results = Object.fromEntries(names.map((name) => [name, [] as Measured[]]));
  for (const slice of allSlices) {
    const order = slice.index % 2 === 0 ? names : names.toReversed();
    for (const name of order) results[name]?.push(await measured(server, async () => works[name]?.(slice)));
  }
  return results as Record<keyof W, Measured[]>;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
const sumOf = (all: readonly Measured[]): Measured => ({
  seconds: all.reduce((sum, { seconds }) => sum + seconds, 0),
  clientCpu: all.reduce((sum, { clientCpu }) => sum + clientCpu, 0),
  serverCpu: all.reduce((sum, { serverCpu }) => sum + serverCpu, 0),
});
const ratio = (of: readonly Measured[], to: readonly Measured[]): number =>
  median(of.map(({ seconds }, index) => seconds / (to[index]?.seconds ?? Number.NaN)));

const server = fork(join(import.meta.dirname, 's3-server.ts'), [directory, options.encryption]);
try {
  const { bucket, client } = await ask<{ bucket: string; client: object }>(server);
  const s3 = new S3Client({ ...client, maxAttempts: 1 });
  const hashesTwice = options.checksum === 'SHA256';
  const put = await startPut(s3, bucket);
  const putting = await inTurns(server, { plain: plain(1), put, ...(hashesTwice && { twice: plain(2) }) });
  const getting = await inTurns(server, { plain: plain(1), get: getter(s3, bucket) });
  await compare(s3, bucket);
  const { maxRssBytes } = await ask<Usage>(server, 'usage');
  const twice = (putting as Record<string, Measured[]>).twice;
  const ratios = {
    put: ratio(putting.put, twice ?? putting.plain),
    ...(twice && { putToOneDigest: ratio(putting.put, putting.plain) }),
    get: ratio(getting.get, getting.plain),
  };
  const ok = ratios.put <= limits.ratio && ratios.get <= limits.ratio && maxRssBytes < limits.maxRssBytes;
  const { checksum, encryption } = options;
  const totals = {
    plain: sumOf(putting.plain),
    ...(twice && { plainTwoDigests: sumOf(twice) }),
    put: sumOf(putting.put),
    plainBesideGet: sumOf(getting.plain),
    get: sumOf(getting.get),
  };
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ bytes, slices, checksum, encryption, totals, ratios, serverMaxRssBytes: maxRssBytes, ok })}\n`,
    );
  else {
    const line = ([name, { seconds, clientCpu, serverCpu }]: [string, Measured]) =>
      `${name.padEnd(16)}${seconds.toFixed(1)} s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s, ` +
      `CPU ${clientCpu.toFixed(1)} + ${serverCpu.toFixed(1)} s`;
    const lines = [
      `${(bytes / 1024 ** 3).toFixed(2)} GiB in ${slices} slices, parts of ${options.part} MiB, ${checksum}, ` +
        `${encryption}; CPU of client + server`,
      ...Object.entries(totals).map(line),
      ...Object.entries(ratios).map(([name, value]) => `ratio ${name.padEnd(16)}${value.toFixed(2)}`),
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
