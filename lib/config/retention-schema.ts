import { duration, object, oneOf, wholeDays } from './fields.ts';

/** How long backups stay. `retention` beside `databases` is for all of them; a database may have its own `daily` and `monthly`. */

const day = 86_400;

const lock = object({
  mode: oneOf(['GOVERNANCE', 'COMPLIANCE'], 'GOVERNANCE').default('GOVERNANCE'),
  duration: wholeDays('1 day', '36500 days').default(30 * day),
});

/** Every backup of a week at the least, so that there is always something to go back to. */
const daily = wholeDays('7 days', '3650 days');
const monthly = duration('30 days', '30 years', '7 years');
const elsewhere = { pitr: 'it is pitrWindow of a database, under physical' };

export const retentionSchema = object(
  { daily: daily.default(30 * day), monthly: monthly.default(7 * 365 * day), lock: lock.prefault({}) },
  elsewhere,
);

export const databaseRetentionSchema = object(
  { daily: daily.optional(), monthly: monthly.optional() },
  { ...elsewhere, lock: 'the bucket is shared, so the lock stands in retention.lock beside databases' },
);
