import { z } from 'zod';
import { PgdrError } from '../errors.ts';

/** What is asked of a failover: the input of the workflow, beside the database. `{}` is a whole request. */
export const failoverRequestSchema = z.strictObject({
  reason: z.string().max(500).default('not given'),
  /** Looks, decides, reports, and changes nothing. */
  dryRun: z.boolean().default(false),
  /** Takes the place of an approval. It never takes the place of a proven fence. */
  force: z.boolean().default(false),
  /** The most that may be lost unasked; null: what the configuration says. */
  maxLossSeconds: z.number().min(0).nullable().default(null),
  /** `auto`: only where the evidence leaves doubt; `always`: whatever the evidence. */
  approval: z.enum(['auto', 'always']).default('auto'),
  /** `alarm`: nobody asked, so nothing happens unapproved where automatic failover is off. */
  startedBy: z.enum(['operator', 'alarm']).default('operator'),
  /** Of a failback: why no backup of the writer is taken first; null: one is. */
  skipBackup: z.string().min(1).max(500).nullable().default(null),
  /** Words of a person who has seen that the old primary cannot accept writes: fence F5. */
  attest: z.string().min(1).max(500).nullable().default(null),
});

export type FailoverRequest = z.output<typeof failoverRequestSchema>;

/** Throws `RequestInvalid` with the first field that is wrong. */
export function parseFailoverRequest(value: unknown): FailoverRequest {
  const result = failoverRequestSchema.safeParse(value ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PgdrError('RequestInvalid', [...(issue?.path ?? []), issue?.message].join(': '));
}
