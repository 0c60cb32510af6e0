import { z } from 'zod';
import { PgdrError } from './errors.ts';

/** What AWS asks for what pgdr uses, in US dollars without tax. Another table can be given as a file. */

const price = z.number().nonnegative();

export const pricesSchema = z.strictObject({
  /** Where and as of when these prices were listed. */
  region: z.string(),
  asOf: z.string(),
  source: z.string(),
  /** On ARM, an hour: a vCPU, a GB of memory, a GB of disk beyond the first 20. */
  fargate: z.strictObject({ vcpuHour: price, gbHour: price, diskGbHour: price }),
  lambda: z.strictObject({ gbSecond: price, perMillionRequests: price }),
  stepFunctions: z.strictObject({ perThousandTransitions: price }),
  /** A GB is 2^30 bytes, as S3 counts. The archive is the class Glacier Instant Retrieval. */
  s3: z.strictObject({ gbMonth: price, archiveGbMonth: price, perThousandPuts: price, perThousandGets: price }),
  replication: z.strictObject({ transferPerGb: price, timeControlPerGb: price }),
  kms: z.strictObject({ keyMonth: price, perTenThousandRequests: price }),
  cloudwatch: z.strictObject({
    metricMonth: price,
    alarmMonth: price,
    compositeAlarmMonth: price,
    dashboardMonth: price,
    logGb: price,
  }),
  route53: z.strictObject({ zoneMonth: price, healthCheckMonth: price }),
  /** An interface endpoint in one zone, an hour. */
  network: z.strictObject({ endpointHour: price }),
  /** On demand: a million writes of up to 1 KB. */
  dynamodb: z.strictObject({ perMillionWrites: price }),
  secretsManager: z.strictObject({ secretMonth: price }),
});

export type Prices = z.infer<typeof pricesSchema>;

/**
 * Those of Fargate, of S3 and of its replication were held against what others quote of AWS's pages in November 2026:
 * https://www.vantage.sh/blog/fargate-pricing, https://go-cloud.io/?p=10624
 */
export const standardPrices: Prices = {
  region: 'us-east-1',
  asOf: '2025-06',
  source: 'the pricing page of each service below https://aws.amazon.com/pricing/',
  fargate: { vcpuHour: 0.03238, gbHour: 0.00356, diskGbHour: 0.000111 },
  lambda: { gbSecond: 0.0000133334, perMillionRequests: 0.2 },
  stepFunctions: { perThousandTransitions: 0.025 },
  s3: { gbMonth: 0.023, archiveGbMonth: 0.004, perThousandPuts: 0.005, perThousandGets: 0.0004 },
  replication: { transferPerGb: 0.02, timeControlPerGb: 0.015 },
  kms: { keyMonth: 1, perTenThousandRequests: 0.03 },
  cloudwatch: { metricMonth: 0.3, alarmMonth: 0.1, compositeAlarmMonth: 0.5, dashboardMonth: 3, logGb: 0.5 },
  route53: { zoneMonth: 0.5, healthCheckMonth: 0.5 },
  network: { endpointHour: 0.01 },
  dynamodb: { perMillionWrites: 0.625 },
  secretsManager: { secretMonth: 0.4 },
};

/** Throws `InputInvalid` naming the first field that is wrong. */
export function parsePrices(text: string, file: string): Prices {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PgdrError('InputInvalid', `${file} is not JSON`, { cause });
  }
  const result = pricesSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PgdrError('InputInvalid', `${file}: ${issue?.path.join('.')}: ${issue?.message}`);
}
