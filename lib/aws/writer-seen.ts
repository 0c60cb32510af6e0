import { initialRole, type ServerName } from '../core/failover/role.ts';
import type { FailoverSettings } from '../core/failover-settings.ts';
import { openStateItems, readItem, readRole, writeItem } from './state-items.ts';

/** Which server is the writer, as far as a region knows. */
export interface WriterSeen {
  readonly writer: ServerName;
  readonly epoch: number;
  /** Milliseconds since the epoch of the clock: when the role item said so. */
  readonly at: number;
  /** Why it may be old news: the recovery region, where the role item is, did not answer. */
  readonly stale: string | null;
}

/**
 * Asks the role item. Where the recovery region does not answer, what it said last is kept to: a region that is alone
 * goes on protecting what it protected, since a backup too many costs less than one that is missing.
 */
export async function findWriter(
  table: string,
  settings: FailoverSettings,
  region: string,
  now: number,
): Promise<WriterSeen> {
  const there = openStateItems(table, settings.database, settings.region);
  if (region === settings.region) {
    const { writer, epoch } = await readRole(there);
    return { writer, epoch, at: now, stale: null };
  }
  const here = openStateItems(table, settings.database, region);
  try {
    const { writer, epoch } = await readRole(there);
    const seen: WriterSeen = { writer, epoch, at: now, stale: null };
    await writeItem(here, 'role-seen', seen);
    return seen;
  } catch (error) {
    const { writer, epoch } = initialRole(settings.database);
    const last = (await readItem<WriterSeen>(here, 'role-seen')) ?? { writer, epoch, at: 0 };
    return { ...last, stale: (error as Error).message };
  }
}
