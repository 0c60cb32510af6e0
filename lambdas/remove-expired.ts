import { getText, openStore } from '../lib/aws/object-store.ts';
import { removeObjects } from '../lib/aws/retention-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import type { RemovalBatch, StoredPlan } from '../lib/core/retention/summary.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { defineHandler, logger } from './define-handler.ts';

/** A plan describes the store of its moment: one that is older than this is made anew instead. */
const freshForMs = 2 * 3600 * 1000;

interface Event {
  readonly settings: DatabaseSettings;
  readonly batch: RemovalBatch;
}

/** Removes one batch of what a plan lists, each object named in the log with the reason. */
export const handler = defineHandler(async ({ settings, batch }: Event): Promise<{ objects: number }> => {
  const store = openStore(settings.bucket);
  const plan: StoredPlan = JSON.parse(await getText(store, batch.planKey));
  const age = Date.now() - Date.parse(plan.madeAt);
  if (plan.dryRun || !(age >= 0 && age < freshForMs)) {
    throw new PgdrError('RetentionPlanStale', `${batch.planKey} was made at ${plan.madeAt}`);
  }
  const removals = plan.removals.slice(batch.from, batch.to);
  for (const { key, bytes, reason } of removals) logger.info('removes', { key, bytes, reason });
  await removeObjects(store, removals);
  return { objects: removals.length };
});
