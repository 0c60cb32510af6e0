import type { z } from 'zod';
import { object, oneOf, schedule, wholeDays } from './fields.ts';

/** AWS Backup for what is not pgdr's to dump, chosen by the tag BackupPolicy: docs/aws-backup.md. */

const day = 86_400;

export const awsBackupSchema = object({
  lock: object({
    /** COMPLIANCE cannot be lifted by anybody three days after it was deployed. */
    mode: oneOf(['GOVERNANCE', 'COMPLIANCE'], 'GOVERNANCE').default('GOVERNANCE'),
  }).prefault({}),
  hourly: object({ keep: wholeDays('1 day', '35 days', '7 days').default(7 * day) }).prefault({}),
  daily: object({
    schedule: schedule('cron(0 5 * * ? *)').prefault('cron(0 5 * * ? *)'),
    coldAfter: wholeDays('7 days', '365 days', '30 days').default(30 * day),
    keep: wholeDays('97 days', '3650 days', '365 days').default(365 * day),
  }).prefault({}),
  restoreTest: object({
    schedule: schedule('cron(0 4 ? * SUN *)').prefault('cron(0 4 ? * SUN *)'),
  }).prefault({}),
}).superRefine(({ daily }, context) => {
  // What is in cold storage is paid for, and kept, for 90 days at the least.
  if (daily.keep >= daily.coldAfter + 90 * day) return;
  context.addIssue({
    code: 'custom',
    path: ['daily', 'keep'],
    message: ` is ${daily.keep / day} days, but AWS Backup keeps what is cold for 90 days after daily.coldAfter. Allowed: at least ${daily.coldAfter / day + 90} days. Example: '365 days'`,
  });
});

export type AwsBackupConfig = z.output<typeof awsBackupSchema>;
