import { z } from 'zod';
import { PgdrError } from './errors.ts';

/**
 * What protects a database only where its writer is: the SSM parameter `/{system}/databases/{database}/protection` of
 * each region, which exists for databases that fail over. Backups are no part of it: their schedules ask before each run.
 */
export const protectionSettingsSchema = z.object({
  schemaVersion: z.literal(1),
  /** Names of this region's alarms that tell somebody, or explain one that does. */
  alarms: z.array(z.string()),
  /** The service that receives WAL; null where there are no physical backups. */
  receiver: z.object({ cluster: z.string(), service: z.string() }).nullable(),
});

export type ProtectionSettings = z.infer<typeof protectionSettingsSchema>;

/** Throws `SettingsInvalid` with the first field that is wrong. */
export function parseProtectionSettings(value: unknown): ProtectionSettings {
  const result = protectionSettingsSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PgdrError('SettingsInvalid', `protection.${issue?.path.join('.')}: ${issue?.message}`);
}
