import { once } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';
import { type Connection, clientConfig, connectionError } from './connection.ts';

/**
 * BASE_BACKUP as a stream of its messages, for all majors: the server sends two results (start, tablespaces), the
 * archives as COPY data, and a last result (end). Backpressure reaches the server: nothing is read from the socket
 * while {@link mostWaiting} messages wait. Source: "Streaming Replication Protocol" in PostgreSQL's documentation.
 */
export type BaseBackupMessage =
  | { readonly type: 'row'; readonly result: number; readonly values: readonly (string | null)[] }
  /** The beginning of one COPY: the only one since PostgreSQL 15, one for each archive before. */
  | { readonly type: 'copy' }
  | { readonly type: 'data'; readonly bytes: Buffer };

/** Messages hold up to 32 KiB or so: enough to keep the network busy, little enough to forget. */
const mostWaiting = 256;

interface PgConnection {
  readonly stream: Socket;
  query(text: string): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
}

interface CopyInConnection extends PgConnection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** Runs the command on a replication connection that does nothing else; leaving the iteration early destroys it. */
export async function* baseBackupMessages(client: pg.Client, command: string): AsyncGenerator<BaseBackupMessage> {
  const waiting: BaseBackupMessage[] = [];
  let state: { readonly over: boolean; readonly error?: unknown } = { over: false };
  let wake = () => {};
  let result = -1;
  let connection: PgConnection | undefined;

  const push = (message: BaseBackupMessage) => {
    waiting.push(message);
    if (waiting.length >= mostWaiting) connection?.stream.pause();
    wake();
  };
  const end = (error?: unknown) => {
    if (!state.over) state = { over: true, error };
    wake();
  };
  const onCopy = () => push({ type: 'copy' });
  const onLost = () => end(new Error('the connection was lost in the middle of the base backup'));

  const query = {
    submit(to: PgConnection) {
      connection = to;
      to.on('copyOutResponse', onCopy);
      to.on('end', onLost);
      to.query(command);
    },
    handleRowDescription: () => {
      result += 1;
    },
    handleDataRow: ({ fields }: { fields: (string | null)[] }) => push({ type: 'row', result, values: fields }),
    // Copied: the chunk is a view of a buffer that the parser fills again.
    handleCopyData: ({ chunk }: { chunk: Buffer }) => push({ type: 'data', bytes: Buffer.from(chunk) }),
    handleCommandComplete: () => {},
    handleEmptyQuery: () => {},
    handlePortalSuspended: () => {},
    handleCopyInResponse: () => {},
    handleError: (error: unknown) => end(error),
    handleReadyForQuery: () => end(),
  };
  client.query(query as unknown as pg.Submittable);
  try {
    for (;;) {
      const message = waiting.shift();
      if (message) {
        if (waiting.length === mostWaiting >> 1) connection?.stream.resume();
        yield message;
        continue;
      }
      if (state.over) break;
      connection?.stream.resume();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (state.error) throw state.error;
  } finally {
    connection?.off('copyOutResponse', onCopy);
    connection?.off('end', onLost);
    if (!state.over) connection?.stream.destroy();
  }
}

/**
 * UPLOAD_MANIFEST (17 and newer): tells the server which backup the next BASE_BACKUP of this connection is an increment
 * to. Errors are the server's own. A manifest has a line for each file, so it is streamed and not held.
 */
export async function uploadManifest(client: pg.Client, manifest: AsyncIterable<Buffer>): Promise<void> {
  const done = Promise.withResolvers<void>();
  const copying = Promise.withResolvers<CopyInConnection>();
  const fail = (error: Error) => {
    done.reject(error);
    copying.reject(error);
  };
  done.promise.catch(() => {});
  const query = {
    submit: (to: CopyInConnection) => {
      to.on('end', () => fail(new Error('the connection was lost while the manifest was sent')));
      to.query('UPLOAD_MANIFEST');
    },
    handleCopyInResponse: (connection: CopyInConnection) => copying.resolve(connection),
    handleCommandComplete: () => {},
    handleEmptyQuery: () => {},
    handleRowDescription: () => {},
    handleDataRow: () => {},
    handlePortalSuspended: () => {},
    handleError: fail,
    handleReadyForQuery: () => done.resolve(),
  };
  client.query(query as unknown as pg.Submittable);
  const connection = await copying.promise;
  try {
    for await (const chunk of manifest) {
      connection.sendCopyFromChunk(chunk);
      // A server that is gone drains nothing.
      if (connection.stream.writableNeedDrain) await Promise.race([once(connection.stream, 'drain'), done.promise]);
    }
  } catch (error) {
    connection.stream.destroy();
    throw error;
  }
  connection.endCopyFrom();
  await done.promise;
}

/**
 * A connection for the commands of the replication protocol: it takes no SQL, and its role needs REPLICATION. Errors are
 * `DatabaseAuthenticationFailed` or `DatabaseUnreachable`.
 */
export async function connectForBackup(connection: Connection, applicationName: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...clientConfig(connection, applicationName),
    replication: 'true',
  } as pg.ClientConfig);
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw connectionError(connection, error);
  }
}
