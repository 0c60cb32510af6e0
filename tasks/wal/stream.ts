import { PgdrError } from '../../lib/core/errors.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import type { RestorePoint } from '../../lib/core/restore-points.ts';
import type { Replication, StreamEnd } from '../../lib/postgres/replication.ts';
import { log } from '../log.ts';
import { type Chunk, createChunker } from './chunks.ts';
import type { StreamState } from './monitor.ts';
import type { Uploader, UploaderOptions } from './uploader.ts';

export interface StreamTask {
  readonly replication: Replication;
  readonly slot: string;
  readonly timeline: number;
  readonly start: bigint;
  /** Stored bytes right before `start`, which the server has to have too. */
  readonly tail: Buffer;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  readonly chunkSeconds: number;
  readonly synchronous: boolean;
  readonly state: StreamState;
  readonly makeUploader: (handlers: Pick<UploaderOptions, 'onDurable' | 'onFailure'>) => Uploader;
  /** A chunk, and all before it, is in the store. */
  readonly onDurable: (chunk: Chunk) => void;
  readonly onRestorePoint: (point: RestorePoint) => void;
}

/** Bytes held in memory at which the server is no longer read, and below which it is again. */
const mostHeld = 32 * 2 ** 20;
const fewHeld = 16 * 2 ** 20;

/**
 * After a message smaller than this the server had no more to send, and is not read for some milliseconds: a server that
 * flushes a thousand times a second would otherwise wake this process as often. Nothing waits for it, since a chunk is
 * stored after seconds; in synchronous mode each flush is waited for.
 */
const smallMessage = 16 * 1024;
const restMilliseconds = 20;

const statusMilliseconds = 5_000;
/** Without a word for this long, the connection is given up; the server is asked for one far more often. */
const silenceMilliseconds = 30_000;

/**
 * Streams one timeline from `start` to its end, or to that of the connection. Everything that was received is stored when
 * it returns or throws, unless the store failed in a way that no retry mends, which is what it throws then.
 */
export async function streamTimeline(task: StreamTask): Promise<StreamEnd> {
  const { replication, timeline, state, tail } = task;
  const from = task.start - BigInt(tail.length);
  let durable = task.start;
  let heard = performance.now();
  let paused = false;
  let resting = false;
  let broken: { error: unknown } | undefined;
  const breakOff = (error: unknown) => {
    broken ??= { error };
    replication.destroy();
  };

  const uploader = task.makeUploader({
    onDurable(chunk) {
      durable = chunk.end;
      state.durable = durable;
      const { lastCommitAt } = chunk.marks;
      if (lastCommitAt !== undefined) {
        state.durableCommitAt = Math.max(state.durableCommitAt ?? 0, lastCommitAt);
      }
      acknowledge();
      task.onDurable(chunk);
      if (task.synchronous && uploader.isIdle) chunker.cut();
      if (paused && uploader.heldBytes < fewHeld) {
        paused = false;
        if (!resting) replication.resume();
      }
    },
    onFailure: breakOff,
  });
  const chunker = createChunker({
    timeline,
    start: task.start,
    segmentBytes: task.segmentBytes,
    chunkBytes: task.chunkBytes,
    onChunk: (chunk) => uploader.add(chunk),
    onRestorePoint: task.onRestorePoint,
  });
  const acknowledge = (replyRequested = false) =>
    replication.sendStatus({ received: chunker.position, durable, replyRequested });
  const hear = () => {
    heard = performance.now();
  };

  const rest = () => {
    resting = true;
    replication.pause();
    setTimeout(() => {
      resting = false;
      if (!paused) replication.resume();
    }, restMilliseconds);
  };

  const onWal = (bytes: Buffer, start: bigint, sentAt: number) => {
    hear();
    const known = start < task.start ? Math.min(bytes.length, Number(task.start - start)) : 0;
    if (known > 0) {
      const at = Number(start - from);
      if (!bytes.subarray(0, known).equals(tail.subarray(at, at + known))) {
        const where = `timeline ${timeline} before ${formatLsn(task.start)}`;
        return breakOff(new PgdrError('WalConflict', `the server has other WAL than what is stored for ${where}`));
      }
      if (known === bytes.length) return;
    }
    chunker.push(bytes.subarray(known), start + BigInt(known), sentAt);
    state.received = chunker.position;
    if (task.synchronous && uploader.isIdle) queueMicrotask(() => chunker.cut());
    if (!paused && uploader.heldBytes + chunker.pendingBytes > mostHeld) {
      paused = true;
      replication.pause();
      log('reading stops until the store has taken what is held', { heldBytes: uploader.heldBytes });
    }
    if (!task.synchronous && !resting && bytes.length < smallMessage) rest();
  };
  const guard =
    <A extends unknown[]>(handle: (...given: A) => void) =>
    (...given: A) => {
      try {
        if (!broken) handle(...given);
      } catch (error) {
        breakOff(error);
      }
    };

  let lastStatus = 0;
  const timer = setInterval(
    () => {
      const now = performance.now();
      if (chunker.pendingSince !== undefined && now - chunker.pendingSince >= task.chunkSeconds * 1000) chunker.cut();
      if (now - lastStatus >= statusMilliseconds) {
        lastStatus = now;
        acknowledge(true);
      }
      // While nothing is read, nothing can be heard.
      if (paused) heard = now;
      if (now - heard > silenceMilliseconds)
        breakOff(new Error(`the server has been silent for ${silenceMilliseconds} ms`));
    },
    Math.min(250, task.chunkSeconds * 100),
  );

  state.timeline = timeline;
  state.received = task.start;
  state.durable = durable;
  log('streaming', { timeline, from: formatLsn(task.start), compared: tail.length });
  try {
    return await replication.stream({
      slot: task.slot,
      timeline,
      start: from,
      onWal: guard(onWal),
      onKeepalive: guard((_end, _sentAt, replyRequested) => {
        hear();
        // Asked for an answer, it says as much as it can: a server that shuts down waits for it.
        if (replyRequested) {
          chunker.cut();
          acknowledge();
        }
      }),
    });
  } catch (error) {
    throw broken ? broken.error : error;
  } finally {
    clearInterval(timer);
    if (!broken) {
      chunker.cut();
      await uploader.drained();
    }
  }
}
