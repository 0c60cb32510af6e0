import { isIPv4, isIPv6 } from 'node:net';
import { AwsError } from '../../facade.ts';

export interface RecordSet {
  /** In lower case, with the dot at its end. */
  readonly name: string;
  readonly type: string;
  readonly setIdentifier?: string;
  readonly failover?: 'PRIMARY' | 'SECONDARY';
  /** Seconds. */
  readonly ttl?: number;
  readonly values: readonly string[];
  readonly alias?: { readonly zoneId: string; readonly name: string; readonly evaluateTargetHealth: boolean };
  readonly healthCheckId?: string;
}

export interface Change {
  readonly action: 'CREATE' | 'DELETE' | 'UPSERT';
  readonly record: RecordSet;
}

/** A zone as far as its records are judged by it. */
export interface ZoneName {
  readonly id: string;
  readonly name: string;
}

const MEMBERS = ['AliasTarget', 'Failover', 'HealthCheckId', 'Name', 'ResourceRecords', 'SetIdentifier', 'TTL', 'Type'];
/** SRV is missing: dns2 compresses the target's name, which resolvers refuse (RFC 2782). */
const VALUE: Readonly<Record<string, (value: string) => boolean>> = {
  A: isIPv4,
  AAAA: isIPv6,
  CNAME: isDomain,
  NS: isDomain,
  PTR: isDomain,
  MX: (value) => /^\d+ \S+$/.test(value),
  SOA: (value) => value.split(/\s+/).length === 7,
  TXT: (value) => /^("([^"\\]|\\.){0,255}")(\s+"([^"\\]|\\.){0,255}")*$/.test(value),
};

function isDomain(value: string): boolean {
  return value.length <= 255 && /^([\w-]{1,63}\.)*[\w-]{1,63}\.?$/.test(value);
}

/** Lower case, with a dot at its end; an asterisk may be written by its code. */
export const domainName = (name: string): string =>
  `${name.toLowerCase().replaceAll('\\052', '*').replace(/\.$/, '')}.`;

/** `[name='a.b.', type='A', set identifier='x']`, as Route 53 names a record set in its messages. */
export const label = ({ name, type, setIdentifier }: RecordSet): string =>
  `[name='${name}', type='${type}'${setIdentifier === undefined ? '' : `, set identifier='${setIdentifier}'`}]`;

/**
 * Reads a record set; ResourceRecords is a list of texts.
 *
 * @throws AwsError InvalidChangeBatch, or InvalidInput for what this cloud does not offer
 */
export function readRecordSet(given: any, zone: ZoneName): RecordSet {
  const unknown = Object.keys(given).find((name) => given[name] !== undefined && !MEMBERS.includes(name));
  if (unknown)
    throw new AwsError('InvalidInput', `The local cloud has simple and failover records only, no ${unknown}.`);
  const name = domainName(String(given.Name ?? ''));
  const type = String(given.Type ?? '');
  const values: string[] = given.ResourceRecords ?? [];
  const { AliasTarget: target, Failover: failover } = given;
  const record: RecordSet = {
    name,
    type,
    setIdentifier: given.SetIdentifier,
    failover,
    ttl: given.TTL === undefined || given.TTL === '' ? undefined : Number(given.TTL),
    values,
    alias: target && {
      zoneId: String(target.HostedZoneId),
      name: domainName(String(target.DNSName)),
      evaluateTargetHealth: String(target.EvaluateTargetHealth) === 'true',
    },
    healthCheckId: given.HealthCheckId,
  };
  const problem = problemOf(record, zone);
  if (problem) throw invalidBatch(`Invalid Resource Record Set ${label(record)}: ${problem}`);
  return record;
}

export const invalidBatch = (...messages: string[]): AwsError =>
  new AwsError('InvalidChangeBatch', `[${messages.join(', ')}]`);

function problemOf(record: RecordSet, zone: ZoneName): string | undefined {
  const { name, type, ttl, values, alias, failover, setIdentifier, healthCheckId } = record;
  if (name !== zone.name && !name.endsWith(`.${zone.name}`))
    return `RRSet with DNS name ${name} is not permitted in zone ${zone.name}`;
  const isValid = VALUE[type];
  if (isValid === undefined) return `the local cloud does not know the type ${type}`;
  if (type === 'CNAME' && name === zone.name)
    return `RRSet of type CNAME with DNS name ${name} is not permitted at apex in zone ${zone.name}`;
  if (alias) {
    if (values.length > 0 || ttl !== undefined) return 'an alias has neither TTL nor ResourceRecords';
    if (alias.zoneId !== zone.id) return 'the local cloud has aliases to records of the same zone only';
  } else {
    if (ttl === undefined || !(Number.isInteger(ttl) && ttl >= 0 && ttl < 2 ** 31))
      return 'Missing or invalid field TTL: it must be 0 to 2147483647';
    if (values.length === 0) return 'Missing field ResourceRecords';
    const wrong = values.find((value) => !isValid(value));
    if (wrong !== undefined) return `Value ${JSON.stringify(wrong)} is not valid for the type ${type}`;
    if (new Set(values).size < values.length) return 'Duplicate Resource Record';
    if (type === 'CNAME' && values.length > 1) return 'a CNAME has one value';
  }
  if (failover !== undefined && failover !== 'PRIMARY' && failover !== 'SECONDARY')
    return `Failover must be PRIMARY or SECONDARY, not ${failover}`;
  if ((failover === undefined) !== (setIdentifier === undefined)) return 'Failover and SetIdentifier belong together';
  if (failover === undefined && healthCheckId !== undefined) return 'a simple record has no health check';
  if (failover === 'PRIMARY' && healthCheckId === undefined && !alias?.evaluateTargetHealth)
    return 'a PRIMARY failover record must have a HealthCheckId';
  return undefined;
}

const isSame = (a: RecordSet, b: RecordSet): boolean =>
  a.name === b.name && a.type === b.type && a.setIdentifier === b.setIdentifier;

const content = ({ ttl, values, alias, failover, healthCheckId }: RecordSet): string =>
  JSON.stringify([ttl, [...values].sort(), alias, failover, healthCheckId]);

/** The records after all changes. @throws AwsError InvalidChangeBatch, with every reason; then nothing has changed */
export function applyChanges(before: readonly RecordSet[], changes: readonly Change[], zone: ZoneName): RecordSet[] {
  let records = [...before];
  const problems: string[] = [];
  for (const { action, record } of changes) {
    const existing = records.find((one) => isSame(one, record));
    const isOwn = record.name === zone.name && (record.type === 'SOA' || record.type === 'NS');
    if (action === 'CREATE' && existing)
      problems.push(`Tried to create resource record set ${label(record)} but it already exists`);
    else if (action === 'DELETE' && isOwn)
      problems.push(`A HostedZone must contain at least one NS record and exactly one SOA record`);
    else if (action === 'DELETE' && !existing)
      problems.push(`Tried to delete resource record set ${label(record)} but it was not found`);
    else if (action === 'DELETE' && existing && content(existing) !== content(record))
      problems.push(
        `Tried to delete resource record set ${label(record)} but the values provided do not match the current values`,
      );
    else {
      records = records.filter((one) => one !== existing);
      if (action !== 'DELETE') records.push(record);
    }
  }
  problems.push(...new Set(conflicts(records, zone)));
  if (problems.length > 0) throw invalidBatch(...problems);
  return records;
}

function conflicts(records: readonly RecordSet[], zone: ZoneName): string[] {
  return records.flatMap((record) => {
    const others = records.filter((one) => one !== record && one.name === record.name);
    const ofType = others.filter(({ type }) => type === record.type);
    if (record.type !== 'CNAME' && others.some(({ type }) => type === 'CNAME'))
      return [
        `RRSet of type ${record.type} with DNS name ${record.name} is not permitted because a conflicting RRSet of ` +
          `type CNAME with the same DNS name already exists in zone ${zone.name}`,
      ];
    if (ofType.some(({ failover }) => (failover === undefined) !== (record.failover === undefined)))
      return [
        `RRSet with DNS name ${record.name}, type ${record.type} cannot be created as other RRSets exist with the ` +
          'same name and type and another routing policy',
      ];
    const twin = ofType.find(({ failover }) => failover !== undefined && failover === record.failover);
    if (twin)
      return [
        `Tried to create resource record set ${label(record)} but a conflicting resource record set with failover ` +
          `type ${record.failover} already exists: a name and type have one PRIMARY and one SECONDARY`,
      ];
    return [];
  });
}
