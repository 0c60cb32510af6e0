import { openStore, putOnce } from '../lib/aws/object-store.ts';
import { readRetentionStore, refuseIncomplete } from '../lib/aws/retention-store.ts';
import { loadRetentionSettings } from '../lib/aws/settings.ts';
import { retentionPlanKey, timeOrderedId } from '../lib/core/keys.ts';
import { planRetention } from '../lib/core/retention/plan.ts';
import { batchesOf, type RemovalBatch, type RetentionSummary, summarize } from '../lib/core/retention/summary.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';
import { defineHandler, logger } from './define-handler.ts';

interface Event {
  readonly settings: DatabaseSettings;
  readonly dryRun: boolean;
}

/** Decides what may go, and writes the decision down before anything does. */
export const handler = defineHandler(
  async ({ settings, dryRun }: Event): Promise<{ summary: RetentionSummary; batches: RemovalBatch[] }> => {
    const rules = await loadRetentionSettings(settings.system, settings.database);
    const store = openStore(settings.bucket);
    const now = new Date();
    const stored = await readRetentionStore(store, settings);
    refuseIncomplete(stored);
    const plan = planRetention(stored, {
      policy: {
        dailyMs: rules.dailySeconds * 1000,
        monthlyMs: rules.monthlySeconds * 1000,
        windowMs: rules.windowSeconds * 1000,
      },
      now: now.getTime(),
      lockMs: settings.lock.seconds * 1000,
      orphanMs: rules.orphanSeconds * 1000,
    });
    const planKey = retentionPlanKey(settings, timeOrderedId(now, crypto.randomUUID().slice(0, 6)));
    const text = JSON.stringify({ schemaVersion: 1, madeAt: now.toISOString(), dryRun, ...plan });
    await putOnce(store, planKey, Buffer.from(text));
    for (const { id, kind, why } of plan.expire) logger.info('backup expires', { id, kind, why, dryRun });
    return {
      summary: summarize(plan, planKey, dryRun),
      batches: dryRun ? [] : batchesOf(planKey, plan.removals.length),
    };
  },
);
