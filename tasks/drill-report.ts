import { getText, list, type ObjectStore, openStore, putOnce } from '../lib/aws/object-store.ts';
import { drillPage } from '../lib/core/failover/drill-page.ts';
import { drillKey, drillPrefix } from '../lib/core/keys.ts';
import type { DrillSummary } from '../lib/core/outcome.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { json } from './backup-store.ts';

/** The evidence of a drill, kept under the lock of backups. */

export interface DrillReport extends DrillSummary {
  readonly schemaVersion: 1;
  readonly database: string;
  readonly startedAt: string;
  readonly execution: string | null;
  readonly objectives: DatabaseSettings['objectives'];
}

export function openEvidence({ bucket, lock }: DatabaseSettings): ObjectStore {
  return openStore(bucket, { mode: lock.mode, until: new Date(Date.now() + lock.seconds * 1000) });
}

/** The newest isolated drill that is kept; null where there is none. */
export async function lastDrill(store: ObjectStore, settings: DatabaseSettings): Promise<DrillReport | null> {
  const keys = await Array.fromAsync(list(store, drillPrefix(settings)));
  const newest = keys
    .filter((key) => /\/drills\/\d[^/]*\.json$/.test(key))
    .sort()
    .at(-1);
  return newest === undefined ? null : (JSON.parse(await getText(store, newest)) as DrillReport);
}

export async function keepDrill(store: ObjectStore, settings: DatabaseSettings, report: DrillReport): Promise<void> {
  await putOnce(store, report.reportKey, json(report));
  await putOnce(store, drillKey(settings, report.id, 'html'), Buffer.from(drillPage(report)));
}
