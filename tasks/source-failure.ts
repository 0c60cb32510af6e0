import { PgdrError } from '../lib/core/errors.ts';
import { explainLock, isLockTimeout } from '../lib/postgres/blockers.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import type { Snapshot } from '../lib/postgres/snapshot.ts';

/** Sessions that the server or the network ended, in the words of node-postgres and of libpq. */
const lost =
  /Connection terminated|terminating connection|server closed the connection|connection to server was lost|ECONNRESET|EPIPE|could not receive data from server/;

/**
 * What the source did to a backup, by its name, whether a query or pg_dump met it first: a lock that was not given, with
 * who holds it, or a session that was ended, with what became of the server. Anything else is thrown as it is.
 */
export async function nameSourceFailure<T>(
  connection: Connection,
  snapshot: Pick<Snapshot, 'check' | 'serverSince'>,
  work: Promise<T>,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isLockTimeout(error)) throw await withBlockers(connection, error);
    const mayBeEcho = !(error instanceof PgdrError) || error.name === 'DumpFailed' || error.name === 'SourceChanged';
    if (!mayBeEcho) throw error;
    // Without its session the snapshot cannot be joined, which pg_dump tells in words of its own.
    await snapshot.check();
    if (error instanceof Error && lost.test(error.message)) {
      const message = `a session of the backup was ended (${error.message}); ${await snapshot.serverSince()}`;
      throw new PgdrError('SourceChanged', message, { cause: error });
    }
    throw error;
  }
}

async function withBlockers(connection: Connection, error: Error): Promise<Error> {
  try {
    const client = await connect(connection, 'pgdr blockers');
    try {
      return await explainLock(client, error);
    } finally {
      await client.end().catch(() => {});
    }
  } catch {
    return new PgdrError('TableLocked', error.message, { cause: error });
  }
}
