import { applies, type Filter, only, tagsOf } from './filters.ts';
import type { Bucket, BucketConfiguration, Buckets, Version } from './model.ts';
import type { XmlValue } from './xml.ts';

/** ReplicationConfiguration of AWS::S3::Bucket and of PutBucketReplication, which differ in the names `Id` and `ID` only. */

export interface ReplicationRule {
  readonly id: string;
  readonly priority: number;
  readonly filter: Filter;
  readonly deleteMarkers: boolean;
  /** Whether objects under KMS are copied; others always are. */
  readonly kmsObjects: boolean;
  /** The name of the bucket to copy to. */
  readonly destination: string;
  /** The account that the bucket has to belong to. */
  readonly account?: string;
  /** Whether copies belong to the destination's account, which needs a permission. */
  readonly overridesOwner: boolean;
  readonly storageClass?: string;
  readonly replicaKey?: string;
  /** Whether CloudWatch is told how far it is. */
  readonly metrics: boolean;
}

export interface ReplicationConfiguration {
  /** The ARN of the role as which S3 reads here and writes there. */
  readonly role: string;
  /** The enabled ones, highest priority first. */
  readonly rules: readonly ReplicationRule[];
  /** As it was given, to be told. */
  readonly document: Readonly<Record<string, unknown>>;
}

const ruleProperties = [
  'Id',
  'ID',
  'Status',
  'Priority',
  'Prefix',
  'Filter',
  'DeleteMarkerReplication',
  'SourceSelectionCriteria',
  'Destination',
];

/** Throws an Error for what is not carried out. ReplicationTime is accepted: copies are always made soon. */
export function replicationOf(property: any, where: string): ReplicationConfiguration | undefined {
  if (property === undefined) return undefined;
  const here = `${where}, ReplicationConfiguration`;
  only(property, ['Role', 'Rules'], here);
  if (!/^arn:[\w-]+:iam::\d{12}:role\/./.test(property.Role ?? '')) {
    throw new Error(`${here}: Role ${property.Role} is no role's ARN`);
  }
  const rules: any[] = property.Rules ?? [];
  if (rules.length === 0) throw new Error(`${here}: there is no rule`);
  const parsed = rules.map((rule, index) => ruleOf(rule, `${here}, rule ${rule.Id ?? rule.ID ?? index + 1}`));
  const priorities = parsed.filter((_, index) => rules[index].Filter !== undefined).map(({ priority }) => priority);
  if (new Set(priorities).size < priorities.length) throw new Error(`${here}: two rules have the same Priority`);
  return {
    role: property.Role,
    rules: parsed.filter((_, index) => rules[index].Status === 'Enabled').sort((a, b) => b.priority - a.priority),
    document: property,
  };
}

function ruleOf(rule: any, where: string): ReplicationRule {
  only(rule, ruleProperties, where);
  if (rule.Status !== 'Enabled' && rule.Status !== 'Disabled') {
    throw new Error(`${where}: Status ${rule.Status} is neither Enabled nor Disabled`);
  }
  const { Filter: filter, Destination: destination = {}, SourceSelectionCriteria: criteria = {} } = rule;
  only(
    destination,
    [
      'Bucket',
      'Account',
      'StorageClass',
      'EncryptionConfiguration',
      'AccessControlTranslation',
      'ReplicationTime',
      'Metrics',
    ],
    `${where}, Destination`,
  );
  only(criteria, ['SseKmsEncryptedObjects', 'ReplicaModifications'], `${where}, SourceSelectionCriteria`);
  if (criteria.ReplicaModifications?.Status === 'Enabled') {
    throw new Error(`${where}: ReplicaModifications is not carried out here. Leave it out or Disabled.`);
  }
  const bucket = /^arn:[\w-]+:s3:::([^/]+)$/.exec(destination.Bucket ?? '')?.[1];
  if (bucket === undefined) throw new Error(`${where}: Destination.Bucket ${destination.Bucket} is no bucket's ARN`);
  const overridesOwner = destination.AccessControlTranslation !== undefined;
  if (overridesOwner && (destination.AccessControlTranslation.Owner !== 'Destination' || !destination.Account)) {
    throw new Error(`${where}: AccessControlTranslation takes Owner: Destination, and needs Destination.Account`);
  }
  const markers = rule.DeleteMarkerReplication?.Status;
  // The first generation of rules has a prefix and no filter, and copies delete markers.
  if (filter === undefined && markers !== undefined)
    throw new Error(`${where}: DeleteMarkerReplication needs a Filter`);
  if (filter !== undefined && (markers === undefined || rule.Priority === undefined)) {
    throw new Error(`${where}: a rule with a Filter needs DeleteMarkerReplication and Priority`);
  }
  const tags = filter?.And?.TagFilters ?? filter?.And?.Tag ?? filter?.TagFilter ?? filter?.Tag ?? [];
  const kmsObjects = criteria.SseKmsEncryptedObjects?.Status === 'Enabled';
  const replicaKey = destination.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (kmsObjects !== (replicaKey !== undefined)) {
    throw new Error(`${where}: SseKmsEncryptedObjects and EncryptionConfiguration.ReplicaKmsKeyID need each other`);
  }
  return {
    id: String(rule.Id ?? rule.ID ?? ''),
    priority: Number(rule.Priority ?? 0),
    filter: { prefix: filter?.And?.Prefix ?? filter?.Prefix ?? rule.Prefix ?? '', tags: tagsOf([tags].flat()) },
    deleteMarkers: filter === undefined || markers === 'Enabled',
    kmsObjects,
    destination: bucket,
    account: destination.Account,
    overridesOwner,
    storageClass: destination.StorageClass,
    replicaKey,
    metrics: destination.Metrics?.Status === 'Enabled',
  };
}

/** Where a version is to be copied to: per destination the rule of the highest priority. */
export function targetsOf(
  bucket: Bucket,
  version: Pick<Version, 'key' | 'tags' | 'encryption' | 'deleteMarker'>,
): ReplicationRule[] {
  const targets = new Map<string, ReplicationRule>();
  for (const rule of bucket.configuration.replication?.rules ?? []) {
    if (!targets.has(rule.destination) && applies(rule.filter, version)) targets.set(rule.destination, rule);
  }
  const kms = version.encryption.algorithm.startsWith('aws:kms');
  return [...targets.values()].filter((rule) => (version.deleteMarker ? rule.deleteMarkers : !kms || rule.kmsObjects));
}

/** AWS refuses a configuration whose destination is not there, or could not keep versions or locks. */
export function assertDestinations(
  name: string,
  { replication, objectLock }: BucketConfiguration,
  buckets: Pick<Buckets, 'destination'>,
): void {
  for (const { destination, account } of replication?.rules ?? []) {
    const { bucket: found, world } = buckets.destination(destination) ?? {};
    if (!found) {
      throw new Error(
        `Destination bucket must exist: ${name} is to replicate to ${destination}. Try to make that one first.`,
      );
    }
    if (account !== undefined && account !== world?.account) {
      throw new Error(`The destination bucket ${destination} does not belong to account ${account}`);
    }
    if (found.configuration.versioning !== 'Enabled') {
      throw new Error(`Destination bucket must have versioning enabled: ${destination}`);
    }
    if (objectLock && !found.configuration.objectLock) {
      throw new Error(`Object Lock must be enabled on the destination bucket, as it is on the source: ${destination}`);
    }
  }
}

/** A configuration as GetBucketReplication tells it. */
export function replicationXml({ document }: ReplicationConfiguration): XmlValue {
  const { Role, Rules } = document as { Role: string; Rules: Record<string, any>[] };
  return {
    Role,
    Rule: Rules.map(({ Id, ID, Filter, ...rest }) => ({
      ID: Id ?? ID,
      ...(Filter && { Filter: filterXml(Filter) }),
      ...rest,
    })),
  };
}

function filterXml({ And, TagFilter, TagFilters: _, ...rest }: Record<string, any>): XmlValue {
  return {
    ...rest,
    ...(TagFilter && { Tag: TagFilter }),
    ...(And && { And: { Prefix: And.Prefix, Tag: And.TagFilters ?? And.Tag } }),
  };
}
