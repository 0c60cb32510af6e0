import type { Construct } from 'constructs';
import { clientKeyAlias } from '../config/names.ts';
import { contextNames } from '../core/encryption.ts';
import { databasePrefix } from '../core/keys.ts';
import { keyByAlias } from './arns.ts';
import type { Grant } from './permissions.ts';

/**
 * What the tasks of one database may do with the key of client-side encryption. They call KMS themselves, with the
 * context that is written into each object; the conditions hold them to their own database.
 */
export function clientKeyGrants(scope: Construct, system: string, database: string) {
  const { conditions, ...key } = keyByAlias(scope, clientKeyAlias(system));
  const own = {
    [`kms:EncryptionContext:${contextNames.system}`]: system,
    [`kms:EncryptionContext:${contextNames.database}`]: database,
  };
  const describe: Grant = { actions: ['kms:DescribeKey'], conditions, ...key };
  const within = (...actions: string[]): Grant => ({
    actions,
    conditions: { ...conditions, StringEquals: own },
    ...key,
  });
  const details = `${databasePrefix({ system, database })}*/details.json`;
  return {
    /** Seals what it writes, and opens nothing but what describes the backup before. */
    backup: (reuses: boolean): Grant[] => [
      describe,
      within('kms:GenerateDataKey'),
      ...(reuses
        ? [
            {
              ...within('kms:Decrypt'),
              conditions: {
                ...conditions,
                StringEquals: own,
                StringLike: { [`kms:EncryptionContext:${contextNames.object}`]: details },
              },
            },
          ]
        : []),
    ],
    restore: (): Grant[] => [describe, within('kms:Decrypt')],
  };
}
