import { type EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';
import { formatLsn, parseLsn } from '../core/lsn.ts';
import { type Connection, clientConfig, connectionError } from './connection.ts';

/**
 * A walsender's connection: the commands of the replication protocol
 * (https://www.postgresql.org/docs/current/protocol-replication.html), on the messages that `pg` parses.
 */
export interface Replication {
  identify(): Promise<ServerIdentity>;
  /** `SHOW` of one setting. */
  setting(name: string): Promise<string>;
  /** Makes a physical slot that reserves WAL at once; nothing when it exists. */
  createSlot(slot: string): Promise<void>;
  dropSlot(slot: string): Promise<void>;
  /** Text of the `.history` file of a timeline. */
  timelineHistory(timeline: number): Promise<string>;
  /** Streams WAL until the timeline ends, the server stops or the connection does. Errors keep PostgreSQL's `code`. */
  stream(options: StreamOptions): Promise<StreamEnd>;
  /** Tells the server up to where WAL was received and is durable. */
  sendStatus(status: { received: bigint; durable: bigint; replyRequested?: boolean }): void;
  /** Stops and resumes reading from the server: what is not read stays there, in its WAL. */
  pause(): void;
  resume(): void;
  /** Cuts the connection at once. */
  destroy(): void;
  /** Ends the session properly. */
  close(): Promise<void>;
}

export interface ServerIdentity {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** Up to where its WAL is flushed. */
  readonly flushed: bigint;
}

export interface StreamOptions {
  readonly slot: string;
  readonly timeline: number;
  readonly start: bigint;
  /** `bytes` are valid during the call alone. `sentAt`: the server's clock when it sent them, microseconds since 1970. */
  readonly onWal: (bytes: Buffer, start: bigint, sentAt: number) => void;
  readonly onKeepalive: (end: bigint, sentAt: number, replyRequested: boolean) => void;
}

/** Where the history goes on after a timeline's end; `shutdown` when the server only stopped sending. */
export type StreamEnd = { readonly next: { readonly timeline: number; readonly start: bigint } } | 'shutdown';

const postgresEpochMicroseconds = 946_684_800_000_000n;
const clockOf = (value: bigint): number => Number(value + postgresEpochMicroseconds);

/** The parts of pg's connection that its types leave out. */
interface RawConnection extends EventEmitter {
  readonly stream: Socket;
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** Opens a connection of a role with REPLICATION. Errors are `DatabaseAuthenticationFailed` or `DatabaseUnreachable`. */
export async function openReplication(connection: Connection, applicationName: string): Promise<Replication> {
  const config = { ...clientConfig(connection, applicationName), replication: 'true' };
  const client = new pg.Client(config);
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    await client.end().catch(() => {});
    throw connectionError(connection, error);
  }
  const raw = (client as unknown as { connection: RawConnection }).connection;
  const rows = async (command: string) => (await client.query(command)).rows as Record<string, string>[];
  return {
    async identify() {
      const [row] = await rows('IDENTIFY_SYSTEM');
      if (!row) throw new Error('IDENTIFY_SYSTEM gave no row');
      return {
        systemIdentifier: String(row.systemid),
        timeline: Number(row.timeline),
        flushed: parseLsn(String(row.xlogpos)),
      };
    },
    async setting(name) {
      const [row] = await rows(`SHOW ${name}`);
      return String(Object.values(row ?? {})[0]);
    },
    async createSlot(slot) {
      try {
        await rows(`CREATE_REPLICATION_SLOT "${slot}" PHYSICAL RESERVE_WAL`);
      } catch (error) {
        if ((error as { code?: string }).code !== '42710') throw error;
      }
    },
    async dropSlot(slot) {
      await rows(`DROP_REPLICATION_SLOT "${slot}" WAIT`);
    },
    async timelineHistory(timeline) {
      const [row] = await rows(`TIMELINE_HISTORY ${timeline}`);
      const content: unknown = row?.content;
      return Buffer.isBuffer(content) ? content.toString('utf8') : String(content);
    },
    stream: (options) =>
      new Promise((resolve, reject) => {
        client.query(new StreamQuery(raw, options, resolve, reject) as never);
      }),
    sendStatus({ received, durable, replyRequested }) {
      const message = Buffer.allocUnsafe(34);
      message[0] = 0x72; // 'r'
      message.writeBigUInt64BE(received, 1);
      message.writeBigUInt64BE(durable, 9);
      message.writeBigUInt64BE(durable, 17);
      message.writeBigInt64BE(BigInt(Date.now()) * 1000n - postgresEpochMicroseconds, 25);
      message[33] = replyRequested ? 1 : 0;
      if (raw.stream.writable) raw.sendCopyFromChunk(message);
    },
    pause: () => void raw.stream.pause(),
    resume: () => void raw.stream.resume(),
    destroy: () => void raw.stream.destroy(),
    async close() {
      if (raw.stream.destroyed) return;
      // A walsender that streams reads no goodbye before its client has ended the copy; a second is patience enough.
      const gone = once(raw.stream, 'close', { signal: AbortSignal.timeout(1_000) }).catch(() => {});
      void client.end().catch(() => {});
      await gone;
      raw.stream.destroy();
    },
  };
}

/** START_REPLICATION as `pg` takes a query: it is told of the messages that concern it until the server is ready again. */
class StreamQuery {
  private readonly raw: RawConnection;
  private readonly options: StreamOptions;
  private readonly resolve: (end: StreamEnd) => void;
  private readonly reject: (error: Error) => void;
  private next: { timeline: number; start: bigint } | undefined;
  private readonly onDone = () => this.raw.endCopyFrom();

  constructor(
    raw: RawConnection,
    options: StreamOptions,
    resolve: (end: StreamEnd) => void,
    reject: (error: Error) => void,
  ) {
    this.raw = raw;
    this.options = options;
    this.resolve = resolve;
    this.reject = reject;
  }

  submit(): void {
    const { slot, timeline, start } = this.options;
    this.raw.on('copyDone', this.onDone);
    this.raw.query(`START_REPLICATION SLOT "${slot}" PHYSICAL ${formatLsn(start)} TIMELINE ${timeline}`);
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    const kind = chunk[0];
    if (kind === 0x77) {
      // 'w': start, end, clock, bytes.
      this.options.onWal(chunk.subarray(25), chunk.readBigUInt64BE(1), clockOf(chunk.readBigInt64BE(17)));
    } else if (kind === 0x6b) {
      // 'k': end, clock, whether an answer is wanted.
      this.options.onKeepalive(chunk.readBigUInt64BE(1), clockOf(chunk.readBigInt64BE(9)), chunk[17] === 1);
    }
  }

  handleRowDescription(): void {}
  handleDataRow({ fields }: { fields: (string | null)[] }): void {
    const [timeline, start] = fields;
    if (timeline && start) this.next = { timeline: Number(timeline), start: parseLsn(start) };
  }
  handleCommandComplete(): void {}
  handleCopyInResponse(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}

  handleReadyForQuery(): void {
    this.raw.off('copyDone', this.onDone);
    this.resolve(this.next ? { next: this.next } : 'shutdown');
  }

  handleError(error: Error): void {
    this.raw.off('copyDone', this.onDone);
    this.reject(error);
  }
}
