import { z } from 'zod';
import { PgdrError } from './errors.ts';
import { taskSettingsSchema } from './settings.ts';

/**
 * What physical backups and the receipt of WAL know of a database beside its settings (core/settings.ts): the SSM
 * parameter `/{system}/databases/{database}/physical`, which exists only where the configuration says `physical`.
 */
export const physicalSettingsSchema = z.object({
  schemaVersion: z.literal(1),
  /** Name of the secret whose role has REPLICATION; shape as in core/settings.ts. */
  secret: z.string(),
  /** Name of the physical replication slot. */
  slot: z.string(),
  /** DynamoDB table of leases. */
  stateTable: z.string(),
  /** WAL is stored when it is this old, or when there is this much of it. */
  walChunkSeconds: z.number().positive(),
  walChunkBytes: z.number().int().positive(),
  heartbeatSeconds: z.number().positive(),
  /** Whether each flush of the server is answered at once. */
  synchronous: z.boolean(),
  /** How long increments follow a full base backup; null or absent: every one is full. */
  fullEverySeconds: z.number().int().positive().nullable().default(null),
  pitrWindowSeconds: z.number().int().positive(),
  /** Size and patience of the task of a base backup. */
  tasks: z.object({ base: taskSettingsSchema }),
});

export type PhysicalSettings = z.infer<typeof physicalSettingsSchema>;

/** What the receiver of WAL is given in its environment, as `PGDR_RECEIVER`. */
export const receiverInputSchema = z.object({
  system: z.string(),
  database: z.string(),
  lineage: z.string(),
  bucket: z.string(),
  lock: z.object({ mode: z.enum(['GOVERNANCE', 'COMPLIANCE']), seconds: z.number().int().positive() }),
  /** The state machine that a gap starts. */
  backupStateMachineArn: z.string(),
  physical: physicalSettingsSchema,
  /** Milliseconds after which a silent receiver is followed by another. */
  leaseMilliseconds: z.number().int().positive().default(15_000),
});

export type ReceiverInput = z.infer<typeof receiverInputSchema>;

/** Throws `SettingsInvalid` with the first field that is wrong. */
export const parsePhysicalSettings = (value: unknown): PhysicalSettings =>
  parse(physicalSettingsSchema, 'physical settings', value);

export const parseReceiverInput = (value: unknown): ReceiverInput =>
  parse(receiverInputSchema, 'settings of the receiver', value);

function parse<T>(schema: z.ZodType<T>, what: string, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PgdrError('SettingsInvalid', `${what}.${issue?.path.join('.')}: ${issue?.message}`);
}
