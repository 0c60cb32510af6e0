import { setTimeout as sleep } from 'node:timers/promises';
import { type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { PgdrError } from '../../lib/core/errors.ts';
import { type Lineage, walPartKey } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import { marksToMetadata } from '../../lib/core/wal-marks.ts';
import { log } from '../log.ts';
import type { Chunk } from './chunks.ts';
import { holdsSame } from './stored-wal.ts';
import { compress } from './zstd.ts';

export interface Uploader {
  add(chunk: Chunk): void;
  /** Bytes that are held in memory until they are stored: WAL until it is compressed, then what became of it. */
  readonly heldBytes: number;
  readonly isIdle: boolean;
  /** Resolves when all that was added is durable; rejects with what made that impossible. */
  drained(): Promise<void>;
}

export interface UploaderOptions {
  readonly store: ObjectStore;
  readonly of: Lineage;
  readonly concurrency: number;
  /** Asked before every attempt: whether this process may write at all. Throws when not. */
  readonly assertHolder: () => void;
  /** Called in the order of the WAL, each chunk once it and all before it are stored. */
  readonly onDurable: (chunk: Chunk) => void;
  /** Called once with an error that no retry mends. */
  readonly onFailure: (error: unknown) => void;
  readonly signal: AbortSignal;
}

interface Entry {
  readonly chunk: Chunk;
  readonly body: Promise<Buffer>;
  /** Held for it. */
  bytes: number;
  stored: boolean;
  started: boolean;
}

/** Milliseconds between two attempts at one chunk, at the most: what a store that is back may be kept waiting. */
const longestPause = 2_000;

/**
 * Stores chunks, some at a time, and tells of them in order. A store that refuses is asked again and again: meanwhile
 * nothing is acknowledged, so the server keeps the WAL, and the reader stops reading when too much is held here.
 */
export function createUploader(options: UploaderOptions): Uploader {
  const { store, of, signal, assertHolder } = options;
  const queue: Entry[] = [];
  let held = 0;
  let running = 0;
  let failed: { error: unknown } | undefined;
  let waiting: PromiseWithResolvers<void>[] = [];
  /** Ends the pauses of all that wait for another attempt. */
  let wake = new AbortController();

  const settle = () => {
    if (queue.length > 0 && !failed) return;
    for (const { resolve, reject } of waiting) failed ? reject(failed.error) : resolve();
    waiting = [];
  };
  const fail = (error: unknown) => {
    if (failed) return;
    failed = { error };
    options.onFailure(error);
    settle();
  };
  const pump = () => {
    for (const entry of queue) {
      if (running >= options.concurrency || failed) return;
      if (entry.started) continue;
      entry.started = true;
      running++;
      void storeChunk(entry).then(
        () => {
          running--;
          entry.stored = true;
          // The store takes writes again. What is stored behind a hole is worth nothing until the hole is filled.
          wake.abort();
          wake = new AbortController();
          for (let head = queue[0]; head?.stored; head = queue[0]) {
            queue.shift();
            held -= head.bytes;
            options.onDurable(head.chunk);
          }
          settle();
          pump();
        },
        (error) => {
          running--;
          fail(error);
        },
      );
    }
  };

  const storeChunk = async ({ chunk, body: compressed }: Entry): Promise<void> => {
    const { segment, start, end, marks } = chunk;
    const key = walPartKey(of, segment, start, end);
    const body = await compressed;
    for (let pause = 200; ; pause = Math.min(longestPause, pause * 2)) {
      signal.throwIfAborted();
      assertHolder();
      try {
        await putOnce(store, key, body, marksToMetadata(marks));
        return;
      } catch (error) {
        if (!(error instanceof PgdrError)) throw error;
        if (error.name === 'ManifestConflict') {
          // The same WAL compressed by another version of the library is the same WAL.
          if (await holdsSame(store, key, body)) return;
          const where = `timeline ${chunk.timeline}, ${formatLsn(start)} to ${formatLsn(end)}`;
          throw new PgdrError('WalConflict', `other WAL is stored for ${where}`, { cause: error });
        }
        log('the store refused a chunk of WAL; it is tried again', { key, reason: error.message, pause });
        const either = AbortSignal.any([signal, wake.signal]);
        await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal: either }).catch(() => {});
      }
    }
  };

  return {
    add(chunk) {
      held += chunk.bytes.length;
      const entry: Entry = {
        chunk,
        body: compress(chunk.bytes),
        bytes: chunk.bytes.length,
        stored: false,
        started: false,
      };
      // At once, not when its turn has come: while the store is out, what waits is small.
      entry.body.then((body) => {
        chunk.release();
        held += body.length - entry.bytes;
        entry.bytes = body.length;
      }, fail);
      queue.push(entry);
      pump();
    },
    get heldBytes() {
      return held;
    },
    get isIdle() {
      return queue.length === 0;
    },
    drained() {
      const promise = Promise.withResolvers<void>();
      waiting.push(promise);
      settle();
      return promise.promise;
    },
  };
}
