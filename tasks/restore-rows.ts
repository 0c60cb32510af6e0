import { copyMessages } from '../lib/core/archive-rows.ts';
import type { TocEntry } from '../lib/core/archive-toc.ts';
import { connect } from '../lib/postgres/connection.ts';
import { copyIn, restoreFailed } from '../lib/postgres/copy-in.ts';
import { log } from './log.ts';
import type { TargetServer } from './restore-tools.ts';

/** The one table of an archive, when its rows are all the data in it and all that is wanted. */
export function onlyTable(toc: readonly TocEntry[], wanted: readonly number[] | null): TocEntry | undefined {
  const [entry, ...more] = toc.filter(({ section, kind }) => section === 'data' && kind !== 'SEQUENCE SET');
  if (entry?.kind !== 'TABLE DATA' || !entry.copy || more.length > 0) return undefined;
  return wanted?.length === 1 && wanted[0] === entry.id ? entry : undefined;
}

/** What pg_restore sets before it restores rows, beside what the archive says. */
const settings = 'SET lock_timeout = 0; SET xmloption = content; SET row_security = off;';
const settingKinds = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/**
 * Sends the rows of an archive of one table to the server, as pg_restore would at twice the cost: it takes them apart
 * to send them one by one. `source` begins where the table of contents ends. Throws `RestoreFailed` with the server's
 * error; what is no complete archive is `ArchiveUnreadable`, and leaves nothing in the table.
 */
export async function copyRows(
  entry: TocEntry,
  statements: string,
  toc: readonly TocEntry[],
  source: AsyncIterable<Buffer>,
  server: TargetServer,
  database: string,
  signal: AbortSignal,
): Promise<void> {
  const rows = copyMessages(entry.id);
  async function* messages() {
    for await (const chunk of source) yield rows.take(chunk);
    rows.end();
  }
  const table = `${entry.schema}.${entry.tag}`;
  const client = await connect({ ...server.connection, dbname: database }, 'pgdr restore');
  try {
    const own = toc.filter(({ kind }) => settingKinds.has(kind)).map(({ definition }) => definition);
    await client.query([settings, ...own].join('\n')).catch((error) => Promise.reject(restoreFailed(error)));
    await copyIn(client, statements, messages(), signal);
  } finally {
    await client.end().catch(() => {});
  }
  log('restored', { step: table });
}
