import type { Client } from 'pg';
import { PgdrError } from '../core/errors.ts';
import { rfc3339 } from './snapshot.ts';

/** Who kept a backup from a table. ACCESS EXCLUSIVE alone is in the way of a reader, granted or still waited for. */

/** Whether something ended because a lock was waited for too long: of a query, or in the words of pg_dump. */
export function isLockTimeout(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  // pg_dump limits its wait by statement_timeout, and has no other.
  return (error as { code?: string }).code === '55P03' || /due to (lock|statement) timeout/.test(error.message);
}

/**
 * `TableLocked` in the place of a lock timeout, naming tables and sessions as far as they are still there to be asked;
 * any other error as it is. The connection is to the database that the error came from.
 */
export async function explainLock(client: Client, error: Error): Promise<PgdrError> {
  const { rows } = await client.query(`
    SELECT l.relation::regclass::text AS relation, l.pid, l.granted, a.usename AS role, a.application_name AS application,
           ${rfc3339('a.query_start')} AS "queryStart", a.state
      FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.relation IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'm', 'S', 'f'))
     ORDER BY l.granted DESC, a.query_start LIMIT 5`);
  const sessions = rows.map(({ relation, pid, granted, role, application, queryStart, state }) => {
    const who = [`pid ${pid}`, role && `role ${role}`, application && `application ${application}`].filter(Boolean);
    // Of other roles' sessions a role without pg_read_all_stats sees neither.
    const since = queryStart ? `, its query began ${queryStart}${state ? ` (${state})` : ''}` : '';
    return `${relation} by ${who.join(', ')}${since}${granted ? '' : ', which waits for it itself'}`;
  });
  const blocked = sessions.length > 0 ? `locked: ${sessions.join('; ')}` : 'whoever held the lock has gone meanwhile';
  return new PgdrError('TableLocked', `${error.message}; ${blocked}`, { cause: error });
}
