import { z } from 'zod';
import { PgdrError } from '../errors.ts';

/** How long a database's backups stay: the SSM parameter `/{system}/databases/{database}/retention`, in each region. */
export const retentionSettingsSchema = z.object({
  schemaVersion: z.literal(1),
  dailySeconds: z.number().int().positive(),
  /** 0: no monthly archive. */
  monthlySeconds: z.number().int().nonnegative(),
  /** The window of recovery to a point in time; 0 where there are no physical backups. */
  windowSeconds: z.number().int().nonnegative(),
  /** What has no manifest is left alone for this long. */
  orphanSeconds: z.number().int().positive(),
});

export type RetentionSettings = z.infer<typeof retentionSettingsSchema>;

/** Throws `SettingsInvalid` with the first field that is wrong. */
export function parseRetentionSettings(value: unknown): RetentionSettings {
  const result = retentionSettingsSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PgdrError('SettingsInvalid', `retention settings.${issue?.path.join('.')}: ${issue?.message}`);
}
