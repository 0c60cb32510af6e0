import { type EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';

/** The parts of pg's connection that its types leave out. */
interface RawConnection extends EventEmitter {
  readonly stream: Socket;
  query(text: string): void;
  endCopyFrom(): void;
}

/**
 * Runs statements of which the last is a COPY FROM STDIN, all in one transaction, and sends it what are CopyData messages
 * already, no faster than the server takes them. Returns when they are committed. An error of the source, or an abort,
 * cuts the connection and passes through; one of the server or the connection is `RestoreFailed`, thrown when the source
 * was read to its end. Then nothing is committed.
 */
export async function copyIn(
  client: Client,
  statements: string,
  source: AsyncIterable<readonly Buffer[]>,
  signal: AbortSignal,
): Promise<void> {
  const raw = (client as unknown as { connection: RawConnection }).connection;
  const { stream } = raw;
  const copy = new CopyQuery(statements);
  const cut = () => stream.destroy();
  signal.addEventListener('abort', cut);
  try {
    signal.throwIfAborted();
    client.query(copy as never);
    await Promise.race([copy.ready.promise, copy.done.promise]).catch(() => {});
    for await (const messages of source) {
      if (copy.failure) continue;
      stream.cork();
      for (const message of messages) stream.write(message);
      stream.uncork();
      if (stream.writableNeedDrain) await Promise.race([once(stream, 'drain'), copy.done.promise]).catch(() => {});
    }
    if (!copy.failure) raw.endCopyFrom();
    await copy.done.promise.catch(() => {});
  } catch (error) {
    cut();
    throw error;
  } finally {
    signal.removeEventListener('abort', cut);
  }
  signal.throwIfAborted();
  if (copy.failure) throw restoreFailed(copy.failure);
}

/** What the server says has a severity, and where it was at; anything else is of the socket. */
export function restoreFailed(error: Error & { severity?: string; where?: string }): PgdrError {
  const { message, severity, where } = error;
  const said = severity === undefined ? `the connection was lost: ${message}` : message;
  return new PgdrError('RestoreFailed', where ? `${said} (${where})` : said, { cause: error });
}

/** COPY as `pg` takes a query: it is told of the messages that concern it until the server is ready again. */
class CopyQuery {
  readonly ready = Promise.withResolvers<void>();
  readonly done = Promise.withResolvers<void>();
  failure: Error | undefined;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
    this.done.promise.catch(() => {}); // Looked at by whoever sends.
  }

  submit(connection: RawConnection): void {
    connection.query(this.text);
  }

  handleCopyInResponse(): void {
    this.ready.resolve();
  }

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.failure = error;
    this.done.reject(error);
  }

  handleReadyForQuery(): void {
    this.done.resolve();
  }
}
