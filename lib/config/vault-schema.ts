import type { z } from 'zod';
import { matching, object, region, wholeDays } from './fields.ts';

/** A third copy of every backup in an account of its own, which nothing of pgdr's account can delete: docs/vault.md. */

const account = matching(/^\d{12}$/, 'the twelve digits of an AWS account', '222233334444');

export const vaultSchema = object({
  account,
  /** The account that pgdr itself is deployed in: the vault's policies name it. */
  sourceAccount: account,
  region: region(),
  /** After this a copy expires; it is gone once its lock is over too. Seconds. */
  keep: wholeDays('30 days', '10950 days', '90 days').default(90 * 86_400),
}).superRefine((vault, context) => {
  if (vault.account !== vault.sourceAccount) return;
  context.addIssue({
    code: 'custom',
    path: ['account'],
    message: ` is '${vault.account}', the account of pgdr itself. Allowed: another account, or its administrator reaches the vault too. Example: '222233334444'`,
  });
});

export type VaultConfig = z.output<typeof vaultSchema>;
