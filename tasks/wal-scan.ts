import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { ObjectStore } from '../lib/aws/object-store.ts';
import type { Commit } from '../lib/core/capture-point.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { earlierLsn, formatLsn, parseLsn } from '../lib/core/lsn.ts';
import { microseconds } from '../lib/core/recovery-target.ts';
import { segmentName, segmentStart, timelineAt } from '../lib/core/wal.ts';
import type { Range, WalArchive } from '../lib/core/wal-archive.ts';
import { contentStart, recordEnd } from '../lib/core/wal-record.ts';
import { createWalScanner, type WalEvents } from '../lib/core/wal-records.ts';
import { startTool, type ToolEnvironment } from '../lib/postgres/tools.ts';
import { segmentContent } from './wal-provider.ts';

/** Looks into stored WAL: with PostgreSQL's own pg_waldump, or at the one number that says how long a record is. */
export interface StoredWal {
  readonly store: ObjectStore;
  readonly archive: WalArchive;
  readonly timeline: number;
}

/** A heartbeat commits every few seconds and a busy server fills few segments in one: more have not been needed. */
const mostSegments = 64;

/**
 * The latest time that a commit or a rollback before `end` carries, in microseconds: a recovery to a later time would
 * not know that it has arrived. Looks back from the end, as far as `from`; undefined when there is none.
 */
export async function lastTransactionTime(
  wal: StoredWal,
  start: bigint,
  end: bigint,
  directory: string,
  tools: ToolEnvironment,
): Promise<{ last: bigint | undefined; from: bigint }> {
  const { archive, timeline } = wal;
  const segmentBytes = BigInt(archive.segmentBytes);
  const folder = join(directory, 'scan');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    let at = segmentStart(end - 1n, archive.segmentBytes);
    for (let i = 0; i < mostSegments && at + segmentBytes > start; i++, at -= segmentBytes) {
      const last = at + segmentBytes < end ? at + segmentBytes : end;
      const own = timelineAt(timeline, archive.histories.get(timeline) ?? [], last - 1n);
      const name = segmentName(own, at, archive.segmentBytes);
      const content = await segmentContent(wal.store, archive, name);
      if (!content) continue;
      await writeFile(join(folder, name), content);
      const times = await transactionTimes(join(folder, name), tools);
      await rm(join(folder, name));
      if (times.length > 0) return { last: times.reduce((a, b) => (a > b ? a : b)), from: at };
    }
    return { last: undefined, from: at + segmentBytes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads the stored WAL from the segment of `start` up to `end`, one segment at a time. */
export async function readRecords(
  { store, archive, timeline }: StoredWal,
  { start, end }: Range,
  events: WalEvents,
  isOver: () => boolean = () => false,
): Promise<void> {
  const segmentBytes = BigInt(archive.segmentBytes);
  const scanner = createWalScanner(events);
  for (let at = segmentStart(start, archive.segmentBytes); at < end && !isOver(); at += segmentBytes) {
    const last = earlierLsn(at + segmentBytes, end);
    // Where the timeline changes inside of a segment, the newer one holds what was before it too.
    const own = timelineAt(timeline, archive.histories.get(timeline) ?? [], last - 1n);
    const content = await segmentContent(store, archive, segmentName(own, at, archive.segmentBytes));
    if (!content) throw new PgdrError('RecoveryAborted', `the store lacks WAL from ${formatLsn(at)} on`);
    scanner.push(content.subarray(0, Number(last - at)), at);
  }
}

/** Segments before an LSN in which commits are looked for that did not show yet at that LSN: an instant before it. */
const commitSegments = 2n;

/** The commits of the stretch of WAL that ends with `lsn`, and of what follows it in the same segment and the next. */
export async function commitsBefore(
  { store, archive, timeline }: StoredWal,
  lsn: bigint,
  directory: string,
  tools: ToolEnvironment,
): Promise<Commit[]> {
  const folder = join(directory, 'scan');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const segmentBytes = BigInt(archive.segmentBytes);
    const own = timelineAt(timeline, archive.histories.get(timeline) ?? [], lsn - 1n);
    const last = segmentStart(lsn - 1n, archive.segmentBytes);
    const paths: string[] = [];
    for (let at = last - (commitSegments - 1n) * segmentBytes; at <= last + segmentBytes; at += segmentBytes) {
      const name = segmentName(own, at < 0n ? 0n : at, archive.segmentBytes);
      const content = at < 0n ? undefined : await segmentContent(store, archive, name);
      if (!content) continue;
      await writeFile(join(folder, name), content);
      paths.push(join(folder, name));
    }
    // Given the first, it goes on to those that lie beside it.
    return paths[0] === undefined ? [] : commitsOf(await transactions(paths[0], tools));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function commitsOf(output: string): Commit[] {
  const pattern = /tx: +(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+),.*desc: COMMIT(?:_PREPARED (\d+))?\b/g;
  return [...output.matchAll(pattern)].map(([, tx, lsn, prepared]) => ({
    xid: Number(prepared ?? tx),
    start: parseLsn(lsn ?? ''),
  }));
}

async function transactionTimes(path: string, tools: ToolEnvironment): Promise<bigint[]> {
  const pattern = /desc: (?:COMMIT|ABORT)(?:_PREPARED)?\b.*?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{6}) UTC/g;
  return [...(await transactions(path, tools)).matchAll(pattern)].map(([, day, clock]) =>
    microseconds(`${day}T${clock}Z`),
  );
}

/** What pg_waldump says of transactions, line by line. */
async function transactions(path: string, tools: ToolEnvironment): Promise<string> {
  // It ends with an error where the WAL does, and has said by then what there was.
  const tool = startTool(
    'pg_waldump',
    ['--rmgr=Transaction', path],
    { env: { ...tools.env, TZ: 'UTC' } },
    'RecoveryFailed',
    {
      accept: () => true,
    },
  );
  tool.process.stdin?.end();
  const output = await text(tool.process.stdout as NodeJS.ReadableStream);
  await tool.ended;
  return output;
}

/**
 * After a recovery to the end: is there a whole record behind the last one that was replayed? Then the server took for
 * the end what is none. Throws `RecoveryFailed`.
 */
export async function checkEnd(wal: StoredWal, replayed: bigint, end: bigint): Promise<void> {
  const { archive, timeline } = wal;
  const segmentBytes = BigInt(archive.segmentBytes);
  const start = contentStart(replayed, segmentBytes);
  if (start + 4n > end) return;
  const own = timelineAt(timeline, archive.histories.get(timeline) ?? [], start);
  const name = segmentName(own, start, archive.segmentBytes);
  const content = await segmentContent(wal.store, archive, name);
  const length = content?.readUInt32LE(Number(start % segmentBytes)) ?? 0;
  if (length > 0 && recordEnd(replayed, length, segmentBytes) > end) return;
  throw new PgdrError(
    'RecoveryFailed',
    `recovery ended at ${formatLsn(replayed)}, but the stored WAL goes on to ${formatLsn(end)}`,
  );
}
