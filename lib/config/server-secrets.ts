import type { DatabaseConfig } from './database-schema.ts';

/**
 * The secrets with which a region's backups reach the server that is there: the primary's in the primary region, the
 * standby's in the recovery region, which backs up once its standby is the writer. A database without a standby has one
 * server wherever it is looked at from.
 */
export function serverSecrets(
  { primary, physical, standby }: DatabaseConfig,
  role: 'primary' | 'recovery',
): { readonly logical: string; readonly physical: string } {
  if (role === 'primary' || standby === undefined)
    return { logical: primary.secret, physical: physical?.secret ?? primary.secret };
  return { logical: standby.backupSecret ?? standby.secret, physical: standby.secret };
}
