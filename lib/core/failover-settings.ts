import { z } from 'zod';
import { PgdrError } from './errors.ts';

/**
 * What failovers know of one database: the SSM parameter `/{system}/databases/{database}/failover`, the same in both
 * regions. Names, never secrets.
 */

const ecsService = z.object({ kind: z.literal('ecs'), cluster: z.string(), service: z.string() });
const computeSchema = z.discriminatedUnion('kind', [
  ecsService,
  z.object({ kind: z.literal('ec2'), instanceId: z.string() }),
]);

const serverSchema = z.object({
  region: z.string(),
  /** Secret of a role that may promote, checkpoint and write the heartbeat; it exists in the recovery region. */
  secret: z.string(),
  /** What runs the server, and so what can be stopped; null: pgdr cannot stop it. */
  compute: computeSchema.nullable(),
});

export const failoverSettingsSchema = z.object({
  schemaVersion: z.literal(1),
  system: z.string(),
  database: z.string(),
  /** Where the state table is: the recovery region. */
  region: z.string(),
  primaryRegion: z.string(),
  servers: z.object({ primary: serverSchema, standby: serverSchema }),
  endpoint: z.object({
    name: z.string(),
    mode: z.enum(['health-check', 'record-update']),
    ttlSeconds: z.number().int(),
    zoneId: z.string().nullable(),
    primaryTarget: z.string(),
    standbyTarget: z.string(),
  }),
  automatic: z.boolean(),
  maxLossSeconds: z.number(),
  probeSeconds: z.number(),
  approvalSeconds: z.number().int(),
  leaseSeconds: z.number().int(),
  fences: z.array(z.enum(['stop', 'lease', 'synchronous'])),
  sequenceBump: z.number().int(),
  applications: z.array(z.object({ region: z.string(), cluster: z.string(), service: z.string() })),
  objectives: z.object({ rpoSeconds: z.number(), rtoSeconds: z.number() }),
});

export type FailoverSettings = z.infer<typeof failoverSettingsSchema>;
export type Compute = z.infer<typeof computeSchema>;

/** Throws `SettingsInvalid` with the first field that is wrong. */
export function parseFailoverSettings(value: unknown): FailoverSettings {
  const result = failoverSettingsSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PgdrError('SettingsInvalid', `failover.${issue?.path.join('.')}: ${issue?.message}`);
  }
  return result.data;
}
