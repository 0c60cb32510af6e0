import { PgdrError } from '../lib/core/errors.ts';
import type { RecoverySummary } from '../lib/core/outcome.ts';
import { describeTarget } from '../lib/core/recovery-target.ts';
import { parseRestoreRequest, type RestoreRequest } from '../lib/core/restore-request.ts';
import { type Selection, selectionSchema } from '../lib/core/selection.ts';
import { parseRelation, quoteIdentifier, relationKey } from '../lib/core/sql-statements.ts';
import { listDatabases } from '../lib/postgres/catalog.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { backUp } from './backup-logical.ts';
import { openBackupStore } from './backup-store.ts';
import type { JobContext } from './job.ts';
import { log } from './log.ts';
import { recover } from './recover.ts';

/**
 * Recovers a throwaway server to a point in time and takes a logical backup of it. What was recovered is restored from
 * that backup like anything else, compared table by table with the hashes taken in the recovered server.
 */
export async function recoverJob(context: JobContext): Promise<RecoverySummary> {
  const { settings, signal } = context;
  const began = Date.now();
  const request = parseRestoreRequest(context.input.request);
  const { at } = request;
  if (at === null) throw new PgdrError('RequestInvalid', 'no point in time was asked for');
  const store = await openBackupStore(settings);
  const recovered = await recover(store, settings, at, {
    directory: context.directory,
    concurrency: settings.logical.concurrency,
    timeoutSeconds: settings.tasks.restore.timeoutSeconds,
    signal,
  });
  try {
    const { clone, backup } = recovered;
    const name = await chooseDatabase(clone.connection, request.fromDatabase);
    // Nothing to refer to, and nothing that the source's superuser could not read.
    const logical = { ...settings.logical, reuseSeconds: 0, allowSkipped: ['row-security'] };
    const taken = await backUp(
      { ...context, settings: { ...settings, logical } },
      { ...clone.connection, dbname: name },
      [name],
      { adhoc: true, selection: selectionOf(request) },
    );
    log('the recovered server is backed up', { backup: taken.id, database: name });
    return {
      id: taken.id,
      target: describeTarget(at),
      baseBackupId: backup.id,
      timeline: recovered.timeline,
      lsn: recovered.lsn,
      lastTransactionAt: recovered.lastTransactionAt,
      walBytes: recovered.walBytes,
      fetchSeconds: recovered.fetchSeconds,
      replaySeconds: recovered.replaySeconds,
      taskSeconds: (Date.now() - began) / 1000,
    };
  } finally {
    await recovered.clone.stop();
  }
}

/** Rows of what is to be restored alone; names are quoted, so that none of them is taken for a pattern. */
function selectionOf({ tables, schemas, schemaOnly }: RestoreRequest): Selection {
  const table = (text: string) => {
    const relation = parseRelation(text);
    return relation ? relationKey(relation) : text;
  };
  const include = { tables: tables.map(table), schemas: schemas.map(quoteIdentifier) };
  return selectionSchema.parse({ schemaOnly, include: tables.length + schemas.length > 0 ? include : null });
}

/** The database that was asked for, or the only one beside `postgres`, as they were at that time. */
async function chooseDatabase(connection: Connection, asked: string | null): Promise<string> {
  const client = await connect(connection, 'pgdr recovery');
  try {
    const present = await listDatabases(client);
    if (asked !== null && present.includes(asked)) return asked;
    if (asked !== null) {
      throw new PgdrError('DatabaseNotInBackup', `there was no database ${asked} then, but ${present.join(', ')}`);
    }
    const own = present.filter((name) => name !== 'postgres');
    const [only] = own.length > 0 ? own : present;
    if (only !== undefined && own.length <= 1) return only;
    throw new PgdrError('RequestInvalid', `the server held ${own.join(', ')}: name one (fromDatabase)`);
  } finally {
    await client.end().catch(() => {});
  }
}
