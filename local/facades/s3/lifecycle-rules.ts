import { type Filter, only, tagsOf } from './filters.ts';
import type { XmlValue } from './xml.ts';

/** LifecycleConfiguration of AWS::S3::Bucket. Times are milliseconds since the epoch. */

export interface Transition {
  readonly storageClass: string;
  readonly days?: number;
  readonly date?: number;
}

export interface LifecycleRule {
  readonly id: string;
  readonly filter: Filter;
  /** Of current versions. `marker`: a delete marker with nothing below it goes at once. */
  readonly expiration?: { readonly days?: number; readonly date?: number; readonly marker?: boolean };
  /** Days since a version was superseded; the newest `keep` of them stay. */
  readonly noncurrent?: { readonly days: number; readonly keep: number };
  readonly transitions: readonly Transition[];
  readonly noncurrentTransitions: readonly (Transition & { readonly days: number; readonly keep: number })[];
  /** Days after which an upload that was not completed is aborted. */
  readonly abortAfterDays?: number;
  /** Bytes below which an object is not worth a transition into this class. */
  readonly smallestTransition: 'all' | 'varies';
}

/** From warm to cold: a transition goes only forward. */
export const storageClassOrder = [
  'STANDARD',
  'STANDARD_IA',
  'INTELLIGENT_TIERING',
  'ONEZONE_IA',
  'GLACIER_IR',
  'GLACIER',
  'DEEP_ARCHIVE',
];

const ruleProperties = [
  'Id',
  'Status',
  'Prefix',
  'TagFilters',
  'ObjectSizeGreaterThan',
  'ObjectSizeLessThan',
  'ExpirationInDays',
  'ExpirationDate',
  'ExpiredObjectDeleteMarker',
  'NoncurrentVersionExpiration',
  'NoncurrentVersionExpirationInDays',
  'Transition',
  'Transitions',
  'NoncurrentVersionTransition',
  'NoncurrentVersionTransitions',
  'AbortIncompleteMultipartUpload',
];

/** The enabled rules of a template's LifecycleConfiguration. */
export function lifecycleOf(property: any, where: string): LifecycleRule[] {
  if (property === undefined) return [];
  only(property, ['Rules', 'TransitionDefaultMinimumObjectSize'], `${where}, LifecycleConfiguration`);
  const varies = property.TransitionDefaultMinimumObjectSize === 'varies_by_storage_class';
  const rules: any[] = property.Rules ?? [];
  return rules
    .map((rule, index) => ({ rule, place: `${where}, lifecycle rule ${rule.Id ?? index + 1}` }))
    .map(({ rule, place }) => ({ status: statusOf(rule, place), rule: ruleOf(rule, varies, place) }))
    .filter(({ status }) => status === 'Enabled')
    .map(({ rule }) => rule);
}

function statusOf(rule: any, where: string): string {
  if (rule.Status === 'Enabled' || rule.Status === 'Disabled') return rule.Status;
  throw new Error(`${where}: Status ${rule.Status} is neither Enabled nor Disabled`);
}

function ruleOf(rule: any, varies: boolean, where: string): LifecycleRule {
  only(rule, ruleProperties, where);
  const noncurrent =
    rule.NoncurrentVersionExpiration ??
    (rule.NoncurrentVersionExpirationInDays && { NoncurrentDays: rule.NoncurrentVersionExpirationInDays });
  const transitions: any[] = rule.Transitions ?? (rule.Transition ? [rule.Transition] : []);
  const noncurrentTransitions: any[] =
    rule.NoncurrentVersionTransitions ?? (rule.NoncurrentVersionTransition ? [rule.NoncurrentVersionTransition] : []);
  const days = wholeDays(rule.ExpirationInDays, where);
  const date = dateOf(rule.ExpirationDate, where);
  const marker = String(rule.ExpiredObjectDeleteMarker) === 'true';
  if (marker && (days !== undefined || date !== undefined)) {
    throw new Error(`${where}: ExpiredObjectDeleteMarker cannot be used together with an expiration of objects`);
  }
  return {
    id: String(rule.Id ?? ''),
    filter: {
      prefix: rule.Prefix ?? '',
      tags: tagsOf(rule.TagFilters),
      largerThan: rule.ObjectSizeGreaterThan === undefined ? undefined : Number(rule.ObjectSizeGreaterThan),
      smallerThan: rule.ObjectSizeLessThan === undefined ? undefined : Number(rule.ObjectSizeLessThan),
    },
    ...((days !== undefined || date !== undefined || marker) && { expiration: { days, date, marker } }),
    ...(noncurrent && {
      noncurrent: {
        days: wholeDays(noncurrent.NoncurrentDays, where) as number,
        keep: Number(noncurrent.NewerNoncurrentVersions ?? 0),
      },
    }),
    transitions: transitions.map((transition) => ({
      storageClass: storageClassOf(transition.StorageClass, where),
      days: wholeDays(transition.TransitionInDays, where, 0),
      date: dateOf(transition.TransitionDate, where),
    })),
    noncurrentTransitions: noncurrentTransitions.map((transition) => ({
      storageClass: storageClassOf(transition.StorageClass, where),
      days: wholeDays(transition.TransitionInDays, where, 0) as number,
      keep: Number(transition.NewerNoncurrentVersions ?? 0),
    })),
    abortAfterDays: wholeDays(rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation, where),
    smallestTransition: varies ? 'varies' : 'all',
  };
}

function wholeDays(value: unknown, where: string, least = 1): number | undefined {
  if (value === undefined) return undefined;
  const days = Number(value);
  if (Number.isInteger(days) && days >= least) return days;
  throw new Error(`${where}: ${value} is no whole number of days from ${least} on`);
}

function dateOf(value: unknown, where: string): number | undefined {
  if (value === undefined) return undefined;
  const date = Date.parse(String(value));
  if (Number.isNaN(date) || date % 86_400_000 !== 0) throw new Error(`${where}: ${value} is no midnight of UTC`);
  return date;
}

function storageClassOf(value: string, where: string): string {
  if (storageClassOrder.indexOf(value) > 0) return value;
  throw new Error(
    `${where}: ${value} is no storage class to go to. Try one of ${storageClassOrder.slice(1).join(', ')}.`,
  );
}

/** What PutBucketLifecycleConfiguration says, in the words of a template. */
export function lifecycleProperty({ Rule }: Record<string, any>): { Rules: object[] } {
  return {
    Rules: [Rule ?? []].flat().map(({ ID, Filter, Prefix, Expiration, Transition, ...rest }: any) => {
      const { Prefix: prefix, Tag, ...sizes } = Filter?.And ?? Filter ?? { Prefix };
      const { NoncurrentVersionTransition: noncurrent, ...others } = rest;
      const classes = (list: any, days: string) =>
        [list ?? []].flat().map((one: any) => ({
          StorageClass: one.StorageClass,
          TransitionInDays: one[days],
          TransitionDate: one.Date,
          NewerNoncurrentVersions: one.NewerNoncurrentVersions,
        }));
      return {
        ...others,
        ...sizes,
        Id: ID,
        Prefix: prefix || undefined,
        TagFilters: [Tag ?? []].flat(),
        ExpirationInDays: Expiration?.Days,
        ExpirationDate: Expiration?.Date,
        ExpiredObjectDeleteMarker: Expiration?.ExpiredObjectDeleteMarker,
        Transitions: classes(Transition, 'Days'),
        NoncurrentVersionTransitions: classes(noncurrent, 'NoncurrentDays'),
      };
    }),
  };
}

/** A rule as GetBucketLifecycleConfiguration tells it. */
export function lifecycleXml(rule: LifecycleRule): XmlValue {
  const { prefix, tags, largerThan, smallerThan } = rule.filter;
  const conditions = {
    Prefix: prefix,
    Tag: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
    ObjectSizeGreaterThan: largerThan,
    ObjectSizeLessThan: smallerThan,
  };
  const many = conditions.Tag.length > 0 || largerThan !== undefined || smallerThan !== undefined;
  const date = (time: number | undefined) => (time === undefined ? undefined : new Date(time).toISOString());
  return {
    ID: rule.id || undefined,
    Filter: many ? { And: conditions } : { Prefix: prefix },
    Status: 'Enabled',
    Expiration: rule.expiration && {
      Days: rule.expiration.days,
      Date: date(rule.expiration.date),
      ExpiredObjectDeleteMarker: rule.expiration.marker || undefined,
    },
    NoncurrentVersionExpiration: rule.noncurrent && {
      NoncurrentDays: rule.noncurrent.days,
      NewerNoncurrentVersions: rule.noncurrent.keep || undefined,
    },
    Transition: rule.transitions.map(({ storageClass, days, date: on }) => ({
      Days: days,
      Date: date(on),
      StorageClass: storageClass,
    })),
    NoncurrentVersionTransition: rule.noncurrentTransitions.map(({ storageClass, days, keep }) => ({
      NoncurrentDays: days,
      NewerNoncurrentVersions: keep || undefined,
      StorageClass: storageClass,
    })),
    AbortIncompleteMultipartUpload:
      rule.abortAfterDays === undefined ? undefined : { DaysAfterInitiation: rule.abortAfterDays },
  };
}
