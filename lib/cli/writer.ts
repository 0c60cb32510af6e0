import { openStateItems, readRole } from '../aws/state-items.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { stateTableName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import type { ServerName } from '../core/failover/role.ts';

/** Where the writer of a database is; `problem` says why nobody knows. */
export type WriterFact =
  | { readonly server: ServerName; readonly region: string; readonly epoch: number; readonly underWay?: string }
  | { readonly problem: string };

/** Undefined for a database of one server. Asks the role item, which is in the recovery region; never throws. */
export async function readWriter(config: Config, database: DatabaseConfig): Promise<WriterFact | undefined> {
  if (database.failover === undefined) return undefined;
  const { primary, recovery } = config.regions;
  try {
    const items = openStateItems(stateTableName(config.name), database.name, recovery);
    const { writer, epoch, run } = await readRole(items);
    const region = writer === 'primary' ? primary : recovery;
    return { server: writer, region, epoch, ...(run && { underWay: `${run.operation} ${run.id}, ${run.phase}` }) };
  } catch (error) {
    return { problem: `${recovery} does not answer: ${(error as Error).message}` };
  }
}
