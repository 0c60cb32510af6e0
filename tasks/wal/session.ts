import { type ObjectStore, putOnce } from '../../lib/aws/object-store.ts';
import { PgdrError } from '../../lib/core/errors.ts';
import { walPointKey } from '../../lib/core/keys.ts';
import { formatLsn } from '../../lib/core/lsn.ts';
import type { ReceiverInput } from '../../lib/core/physical-settings.ts';
import { describePoint, type RestorePoint } from '../../lib/core/restore-points.ts';
import { parseHistory, segmentStart } from '../../lib/core/wal.ts';
import { nextPosition, type Position, type ServerHistory } from '../../lib/core/wal-follow.ts';
import type { Connection } from '../../lib/postgres/connection.ts';
import { explainRefusal } from '../../lib/postgres/managed.ts';
import { openReplication, type Replication, type ServerIdentity } from '../../lib/postgres/replication.ts';
import { log } from '../log.ts';
import type { Chunk } from './chunks.ts';
import { type Compactor, createCompactor, unfinished } from './compaction.ts';
import { recordGap } from './gaps.ts';
import type { StreamState } from './monitor.ts';
import { findResume, type Resume } from './resume.ts';
import { checkIdentity, parseWalSize, provideSlot, storeHistory } from './server.ts';
import { recentArchive } from './stored-wal.ts';
import { streamTimeline } from './stream.ts';
import { createUploader } from './uploader.ts';

export interface SessionOptions {
  readonly input: ReceiverInput;
  readonly connection: Connection;
  readonly store: ObjectStore;
  readonly state: StreamState;
  readonly assertHolder: () => void;
  /** Called when one was recorded. */
  readonly onGap: () => void;
  readonly signal: AbortSignal;
}

interface Session extends SessionOptions {
  readonly replication: Replication;
  readonly server: ServerIdentity;
  readonly history: ServerHistory;
  readonly segmentBytes: number;
  readonly compactor: Compactor;
}

/** How many chunks are on their way to the store at a time; in synchronous mode one, while the next one gathers. */
const uploadsAtATime = 4;

/**
 * One connection to the server, from finding out where the store ends to the end of the stream. Whatever it is told, it
 * looks at the store first: where an earlier session or another receiver ended is where this one goes on.
 */
export async function receiveSession(options: SessionOptions): Promise<void> {
  const { input, connection, store, signal } = options;
  const replication = await openReplication(connection, input.physical.slot).catch((error) =>
    explainRefusal(connection, error),
  );
  const cut = () => replication.destroy();
  signal.addEventListener('abort', cut, { once: true });
  try {
    const server = await replication.identify();
    const { timeline } = server;
    const segmentBytes = parseWalSize(await replication.setting('wal_segment_size'));
    await checkIdentity(store, input, server, segmentBytes);
    const ancestors = timeline > 1 ? parseHistory(await replication.timelineHistory(timeline)) : [];
    const compactor = createCompactor(store, input, segmentBytes, signal);
    await follow({ ...options, replication, server, history: { timeline, ancestors }, segmentBytes, compactor });
  } finally {
    signal.removeEventListener('abort', cut);
    await replication.close();
  }
}

/** Streams from where the store ends, timeline after timeline, until the server or the connection ends it. */
async function follow(session: Session): Promise<void> {
  const { input, connection, store, replication, segmentBytes, compactor } = session;
  const slot = await provideSlot(connection, replication, input.physical.slot);
  const resume = await findResume(store, input, segmentBytes);
  const oldest = segmentStart(slot.restartLsn ?? session.server.flushed, segmentBytes);
  let position = whereToGoOn(session, resume, oldest);
  const stored = await recentArchive(store, input, position.timeline, segmentBytes);
  for (const segment of unfinished(stored)) compactor.add(segment);

  for (;;) {
    const { timeline, start } = position;
    await storeHistory(store, input, replication, timeline);
    const goesOn = resume?.timeline === timeline && resume.start === start;
    const end = await streamOne(session, position, goesOn ? resume.tail : Buffer.alloc(0)).catch((error) =>
      onStreamError(session, position, oldest, error),
    );
    if (end === 'shutdown') throw new Error('the server ended the stream');
    log('timeline ended', { timeline, next: end.next.timeline, at: formatLsn(end.next.start) });
    position = { timeline: end.next.timeline, start: segmentStart(end.next.start, segmentBytes) };
  }
}

/** Throws when the server is not one that continues what is stored. */
function whereToGoOn({ server, history, segmentBytes }: Session, resume: Resume | undefined, oldest: bigint): Position {
  if (!resume) return { timeline: server.timeline, start: oldest };
  const position = nextPosition(resume, history, segmentBytes);
  if (!position) {
    const [ours, theirs] = [resume.timeline, server.timeline];
    throw new PgdrError('WalOtherServer', `WAL of timeline ${ours} is stored, the server is on timeline ${theirs}`);
  }
  if (position.timeline === server.timeline && server.flushed < position.start) {
    const [ours, theirs] = [formatLsn(position.start), formatLsn(server.flushed)];
    throw new PgdrError('WalServerBehind', `WAL up to ${ours} is stored, the server has it up to ${theirs}`);
  }
  return position;
}

function streamOne(session: Session, { timeline, start }: Position, tail: Buffer) {
  const { input, store, segmentBytes, compactor, signal, assertHolder } = session;
  const { walChunkBytes, walChunkSeconds, synchronous, slot } = input.physical;
  return streamTimeline({
    replication: session.replication,
    slot,
    timeline,
    start,
    tail,
    segmentBytes,
    chunkBytes: walChunkBytes,
    chunkSeconds: walChunkSeconds,
    synchronous,
    state: session.state,
    makeUploader: (handlers) => {
      const concurrency = synchronous ? 1 : uploadsAtATime;
      return createUploader({ ...handlers, store, of: input, concurrency, assertHolder, signal });
    },
    onDurable: (chunk: Chunk) => {
      if (chunk.end % BigInt(segmentBytes) === 0n) compactor.add(chunk.segment);
    },
    onRestorePoint: (point) => void storePoint(store, session, point),
  });
}

/** A GAP is recorded, so that the next session goes on behind it. Whatever it was, the session ends. */
async function onStreamError(session: Session, position: Position, oldest: bigint, error: unknown): Promise<never> {
  const { code, message } = error as { code?: string; message: string };
  if (code !== '58P01' || !/has already been removed/.test(message)) throw error;
  const { timeline, start } = position;
  const ancestor = session.history.ancestors.find((one) => one.timeline === timeline);
  const end = ancestor ? ancestor.end : oldest;
  if (end <= start) throw error;
  await recordGap(session.store, session.input, { timeline, start, end, reason: message });
  session.onGap();
  throw error;
}

/** A hint for those who look for a name, who look into the WAL itself for one that is not here. */
async function storePoint(store: ObjectStore, { input }: Session, point: RestorePoint): Promise<void> {
  const { name, timeline, lsn } = point;
  const body = describePoint(point);
  try {
    await putOnce(store, walPointKey(input, timeline, lsn), Buffer.from(`${JSON.stringify(body)}\n`));
    log('restore point seen', body);
  } catch (error) {
    log('a restore point was not written down', { name, reason: (error as Error).message });
  }
}
