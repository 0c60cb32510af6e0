import { type KeepReason, keepReasons } from './backups.ts';
import type { RetentionPlan } from './plan.ts';

/** What a run of retention decided: in the outcome, and as `plan` in the object that holds it all. */
export interface RetentionSummary {
  readonly planKey: string;
  /** Planned and shown, and nothing was removed. */
  readonly dryRun: boolean;
  readonly kept: number;
  readonly expired: number;
  readonly objects: number;
  readonly bytes: number;
  /** Objects of expired backups that later backups refer to. */
  readonly shared: number;
  /** Objects without a manifest, or locked, that a later run may remove. */
  readonly pending: number;
  /** How many backups stay for which reason; one may have several. */
  readonly keeps: readonly { readonly why: string; readonly backups: number }[];
  /** The first of those that go; the plan has them all. */
  readonly expires: readonly { readonly id: string; readonly why: string }[];
}

/** `retention/{id}.json`: written before anything is removed, and what the removal goes by. */
export interface StoredPlan extends RetentionPlan {
  readonly schemaVersion: 1;
  readonly madeAt: string;
  readonly dryRun: boolean;
}

/** A state machine hands on 256 KiB at the most, and people read less. */
const mostShown = 50;

export const summarize = (plan: RetentionPlan, planKey: string, dryRun: boolean): RetentionSummary => ({
  planKey,
  dryRun,
  kept: plan.keep.length,
  expired: plan.expire.length,
  objects: plan.removals.length,
  bytes: plan.removals.reduce((sum, { bytes }) => sum + bytes, 0),
  shared: plan.shared,
  pending: plan.pending,
  keeps: (Object.keys(keepReasons) as KeepReason[])
    .map((reason) => ({
      why: keepReasons[reason],
      backups: plan.keep.filter(({ why }) => why.includes(reason)).length,
    }))
    .filter(({ backups }) => backups > 0),
  expires: plan.expire.slice(0, mostShown).map(({ id, why }) => ({ id, why })),
});

/** As many keys as one DeleteObjects takes. */
export const removalsPerBatch = 1000;

export interface RemovalBatch {
  readonly planKey: string;
  readonly from: number;
  readonly to: number;
}

export const batchesOf = (planKey: string, removals: number): RemovalBatch[] =>
  Array.from({ length: Math.ceil(removals / removalsPerBatch) }, (_, i) => ({
    planKey,
    from: i * removalsPerBatch,
    to: Math.min(removals, (i + 1) * removalsPerBatch),
  }));
