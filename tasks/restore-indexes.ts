import type { Client } from 'pg';
import type { TocEntry } from '../lib/core/archive-toc.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseBackup } from '../lib/core/manifest.ts';
import type { Omission, RestorePlan } from '../lib/core/restore-plan.ts';
import { findInvalidIndexes, type InvalidIndex } from '../lib/postgres/integrity.ts';
import { log } from './log.ts';

/**
 * pg_restore exits with 0 though an index of a partitioned table is left invalid, which no ON CONFLICT finds then and no
 * new partition heals. Mends what the source had valid; gives what a part of a database, or a foreign table, leaves
 * invalid. Throws `IndexesInvalid`.
 */
export async function requireValidIndexes(
  client: Client,
  toc: readonly TocEntry[],
  plan: RestorePlan,
  { defects }: Pick<DatabaseBackup, 'defects'>,
): Promise<Omission[]> {
  const look = async () =>
    (await findInvalidIndexes(client)).filter(({ name }) => !defects.indexesInvalid.includes(name));
  const invalid = await look();
  if (invalid.length === 0) return [];
  let reason: string | undefined;
  for (const statement of mendingStatements(invalid, toc, plan)) {
    await client.query(statement).catch((error: Error) => {
      reason ??= error.message;
    });
  }
  const left = await look();
  log('indexes were not valid', { found: invalid.map(({ name }) => name), left: left.map(({ name }) => name) });
  const isWhole = plan.selection === null && plan.entries === null;
  const broken = left.filter(({ overForeign }) => isWhole && !overForeign).map(({ name }) => name);
  if (broken.length > 0) {
    const shown = broken.slice(0, 10).join(', ');
    const more = broken.length > 10 ? ` and ${broken.length - 10} more` : '';
    throw new PgdrError('IndexesInvalid', `not valid: ${shown}${more}${reason ? `; ${reason}` : ''}`);
  }
  return left.map(({ name, overForeign }) => ({
    what: `validity of index ${name}`,
    why: overForeign ? 'a partition is a foreign table, which has no index' : 'a partition has no index attached to it',
  }));
}

/** REINDEX makes an index valid; to attach one again changes nothing, or makes that of the partitioned table valid. */
export function mendingStatements(
  invalid: readonly Pick<InvalidIndex, 'name' | 'partitioned'>[],
  toc: readonly TocEntry[],
  { selection, entries }: Pick<RestorePlan, 'selection' | 'entries'>,
): string[] {
  const made = selection ? new Set([...selection.chosen, ...selection.needed]) : undefined;
  const wanted = entries && new Set(entries);
  const isMade = (entry: TocEntry) => (made ? made.has(entry) : (wanted?.has(entry.id) ?? true));
  return [
    ...invalid.filter(({ partitioned }) => !partitioned).map(({ name }) => `REINDEX INDEX ${name}`),
    ...toc.filter((entry) => entry.kind === 'INDEX ATTACH' && isMade(entry)).map(({ definition }) => definition),
  ];
}
