import { watch } from 'node:fs';
import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { getStream, type ObjectStore } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import { type Lineage, walHistoryKey } from '../lib/core/keys.ts';
import { formatLsn } from '../lib/core/lsn.ts';
import { parseSegmentName, segmentsOf, stretchesOf } from '../lib/core/wal.ts';
import { type Piece, planSegment, type WalArchive, type WalObject } from '../lib/core/wal-archive.ts';
import { log } from './log.ts';
import { openWal } from './wal-store.ts';

const decompress = promisify(zstdDecompress);

/**
 * Fills the folder from which restore-wal.sh serves a recovering server: ahead of it, some segments at a time, and what
 * else it asks for. Any failure leaves the mark `failed` there, which ends the recovery.
 */
export interface WalProvider {
  /** For `-c restore_command=`. */
  readonly restoreCommand: string;
  /** Why the recovery cannot go on, if it cannot. */
  failure(): PgdrError | undefined;
  /** When the store was last asked what there is, milliseconds since the epoch: no later WAL was handed over. */
  listedAt(): number;
  stop(): Promise<void>;
}

export interface WalProviderOptions {
  readonly store: ObjectStore;
  readonly lineage: Lineage;
  readonly archive: WalArchive;
  /** When the archive was listed, milliseconds since the epoch. */
  readonly listedAt: number;
  /** The history that is followed, from `start` on up to `end`. */
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly folder: string;
  /** Segments that are kept ready ahead of the server. */
  readonly ahead: number;
  readonly signal: AbortSignal;
}

const script = join(import.meta.dirname, 'restore-wal.sh');

export async function startWalProvider(options: WalProviderOptions): Promise<WalProvider> {
  const { folder, archive, timeline, ahead, signal } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ancestors = archive.histories.get(timeline) ?? [];
  const planned = stretchesOf(timeline, ancestors).flatMap((stretch) => {
    const from = stretch.start > options.start ? stretch.start : options.start;
    const to = stretch.end === undefined || stretch.end > options.end ? options.end : stretch.end;
    return segmentsOf(stretch.timeline, from, to, archive.segmentBytes);
  });
  const position = new Map(planned.map((name, i) => [name, i]));
  const fetched = new Map<string, Promise<void>>();
  const ready = new Set<string>();
  let current = archive;
  let { listedAt } = options;
  let reached = 0;
  let failure: PgdrError | undefined;
  let stopped = false;

  const fail = async (error: unknown) => {
    if (stopped || failure) return;
    failure = aborted(error);
    log('the recovery is ended', { reason: failure.message });
    await writeFile(join(folder, 'failed'), failure.message).catch(() => {});
  };
  const provide = (name: string): Promise<void> => {
    const before = fetched.get(name);
    if (before) return before;
    const work = serve(name).catch(fail);
    fetched.set(name, work);
    return work;
  };
  const serve = async (name: string): Promise<void> => {
    signal.throwIfAborted();
    let content = await contentOf(options, current, name);
    if (!content && !position.has(name)) {
      // What the list did not hold may have come since; only a list without it proves that there is none.
      listedAt = Date.now();
      current = await openWal(options.store, options.lineage, archive.segmentBytes);
      content = await contentOf(options, current, name);
    }
    if (!content) {
      if (position.has(name)) throw new PgdrError('RecoveryAborted', `the store no longer holds ${name}`);
      await writeFile(join(folder, `${name}.absent`), '');
      return;
    }
    const path = join(folder, `${name}.incoming`);
    await writeFile(path, content);
    await rename(path, join(folder, name));
    ready.add(name);
  };
  /** Keeps `ahead` segments in flight beyond the one that the server has taken last. */
  const advance = () => {
    for (const name of planned.slice(reached, reached + ahead)) void provide(name);
  };
  const look = async () => {
    if (failure || stopped) return;
    for (const file of await readdir(folder)) {
      if (!file.endsWith('.wanted')) continue;
      const name = file.slice(0, -'.wanted'.length);
      await rm(join(folder, file), { force: true });
      moved(name);
      // At its end a recovery reads the last segment a second time.
      if (await taken(name)) {
        fetched.delete(name);
        ready.delete(name);
      }
      void provide(name);
    }
    // A segment that is no longer here was taken.
    for (const name of planned.slice(reached, reached + ahead)) {
      if (!(await taken(name))) break;
      moved(name, 1);
    }
    advance();
  };
  /** It was here, and is no more. */
  const taken = async (name: string): Promise<boolean> => ready.has(name) && !(await exists(join(folder, name)));
  const moved = (name: string, beyond = 0) => {
    const at = position.get(name);
    if (at !== undefined && at + beyond > reached) reached = at + beyond;
  };

  let looking = Promise.resolve();
  const lookSoon = () => {
    looking = looking.then(look).catch(fail);
  };
  const watcher = watch(folder, lookSoon);
  // A notification may be lost, and a second is short beside what it costs to wait for one for ever.
  const timer = setInterval(lookSoon, 1000);
  advance();
  return {
    restoreCommand: command(script, folder, String(process.pid)),
    failure: () => failure,
    listedAt: () => listedAt,
    async stop() {
      stopped = true;
      watcher.close();
      clearInterval(timer);
      await looking;
      await Promise.allSettled(fetched.values());
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** PostgreSQL replaces `%f` and `%p`; a percent sign of a path has to be doubled. */
function command(...parts: readonly string[]): string {
  const quoted = parts.map((part) => `'${part.replaceAll("'", `'\\''`).replaceAll('%', '%%')}'`);
  return `sh ${quoted.join(' ')} "%f" "%p"`;
}

/** A file of WAL or of a history, whole; undefined when the list of the store has none. Throws in any doubt. */
async function contentOf(
  { store, lineage }: WalProviderOptions,
  archive: WalArchive,
  name: string,
): Promise<Buffer | undefined> {
  const history = /^([0-9A-F]{8})\.history$/.exec(name)?.[1];
  if (history === undefined) return segmentContent(store, archive, name);
  const timeline = Number.parseInt(history, 16);
  if (!archive.histories.has(timeline)) return undefined;
  return buffer(await getStream(store, walHistoryKey(lineage, timeline)));
}

/** A segment as PostgreSQL wants it, made of one object or of many; zeros behind the end of what is stored. */
export async function segmentContent(
  store: ObjectStore,
  archive: WalArchive,
  name: string,
): Promise<Buffer | undefined> {
  const segment = parseSegmentName(name, archive.segmentBytes);
  if (!segment) return undefined;
  const { pieces, missing } = planSegment(archive, name);
  if (pieces.length === 0) return undefined;
  // Zeros at the end are how the end of the WAL looks; a hole before it would look the same, and hide the rest.
  const [hole] = missing;
  const covered = pieces.at(-1)?.end ?? segment.start;
  if (hole && hole.start < covered) {
    throw new PgdrError(
      'RecoveryAborted',
      `the store lacks WAL from ${formatLsn(hole.start)} to ${formatLsn(hole.end)}`,
    );
  }
  const [whole] = pieces;
  if (whole?.object.kind === 'segment' && whole.length === archive.segmentBytes) {
    const bytes = await readWal(store, whole.object);
    if (bytes.length === archive.segmentBytes) return bytes;
  }
  const content = Buffer.alloc(archive.segmentBytes);
  const objects = new Map<WalObject, Promise<Buffer>>();
  for (const { object } of pieces) if (!objects.has(object)) objects.set(object, readWal(store, object));
  for (const piece of pieces) await copy(piece, (await objects.get(piece.object)) as Buffer, content, segment.start);
  return content;
}

async function copy(
  { object, offset, length, start }: Piece,
  bytes: Buffer,
  into: Buffer,
  from: bigint,
): Promise<void> {
  const expected = Number(object.end - object.start);
  if (bytes.length !== expected) {
    throw new PgdrError(
      'ObjectTruncated',
      `${object.key} holds ${bytes.length} bytes of WAL, its name says ${expected}`,
    );
  }
  bytes.copy(into, Number(start - from), offset, offset + length);
}

/** One object of the WAL; the checksums of S3 and of zstd are those of its bytes. */
export async function readWal(store: ObjectStore, object: WalObject): Promise<Buffer> {
  const stored = await buffer(await getStream(store, object.key));
  try {
    // All at once: in Node's pieces of 16 KiB, the ways between threads cost more than the decompression.
    const chunkSize = Math.max(1024, Number(object.end - object.start));
    return await decompress(stored, { maxOutputLength: 2 ** 30, chunkSize });
  } catch (cause) {
    throw new PgdrError('ObjectAltered', `${object.key} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

const aborted = (error: unknown): PgdrError => {
  const name = error instanceof PgdrError ? `${error.name}: ` : '';
  return new PgdrError('RecoveryAborted', `${name}${(error as Error).message}`, { cause: error });
};

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
