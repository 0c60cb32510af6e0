import type { RecordSet } from './records.ts';

/** A zone as it is served. */
export interface ServedZone {
  readonly name: string;
  readonly records: readonly RecordSet[];
}

/** One record of an answer. `value` is written as in a zone file. */
export interface AnswerRecord {
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  readonly value: string;
}

export interface Answer {
  readonly code: 'NOERROR' | 'NXDOMAIN' | 'REFUSED' | 'SERVFAIL';
  readonly answers: readonly AnswerRecord[];
  /** The SOA of the zone where there is nothing. */
  readonly authorities: readonly AnswerRecord[];
}

/** So many CNAMEs are followed; more are taken for a circle. */
const LONGEST_CHAIN = 8;

/**
 * What is known of a name, with CNAMEs followed as far as the zones reach.
 *
 * @param isHealthy of a health check, by its id
 */
export function resolve(
  zones: readonly ServedZone[],
  name: string,
  type: string,
  isHealthy: (healthCheckId: string) => boolean,
): Answer {
  const answers: AnswerRecord[] = [];
  let wanted = name;
  for (let step = 0; step < LONGEST_CHAIN; step++) {
    const zone = zoneOf(zones, wanted);
    if (zone === undefined) return { code: answers.length > 0 ? 'NOERROR' : 'REFUSED', answers, authorities: [] };
    const at = recordsAt(zone, wanted);
    const direct = chosen(zone, at, type, isHealthy);
    if (direct.length > 0) {
      answers.push(...direct.map((record) => ({ ...record, name: wanted })));
      return { code: 'NOERROR', answers, authorities: [] };
    }
    const [alias] = type === 'CNAME' ? [] : chosen(zone, at, 'CNAME', isHealthy);
    if (alias === undefined) {
      const soa = chosen(zone, recordsAt(zone, zone.name), 'SOA', isHealthy);
      return { code: at.length > 0 || hasBelow(zone, wanted) ? 'NOERROR' : 'NXDOMAIN', answers, authorities: soa };
    }
    answers.push({ ...alias, name: wanted });
    wanted = `${alias.value.toLowerCase().replace(/\.$/, '')}.`;
  }
  return { code: 'SERVFAIL', answers: [], authorities: [] };
}

/** The zone with the longest name that the name is in. */
function zoneOf(zones: readonly ServedZone[], name: string): ServedZone | undefined {
  return zones
    .filter((zone) => name === zone.name || name.endsWith(`.${zone.name}`))
    .toSorted((a, b) => b.name.length - a.name.length)[0];
}

/** Records of the name itself, or of the nearest asterisk above it when nothing has the name. */
function recordsAt(zone: ServedZone, name: string): readonly RecordSet[] {
  const own = zone.records.filter((record) => record.name === name);
  if (own.length > 0 || hasBelow(zone, name)) return own;
  const labels = name.split('.');
  for (let cut = 1; cut < labels.length; cut++) {
    const parent = labels.slice(cut).join('.');
    const wild = zone.records.filter((record) => record.name === `*.${parent}`);
    if (wild.length > 0) return wild;
    if (parent === zone.name || zone.records.some((record) => record.name === parent)) return [];
  }
  return [];
}

const hasBelow = (zone: ServedZone, name: string): boolean =>
  zone.records.some((record) => record.name.endsWith(`.${name}`));

/** The records of a type after failover: PRIMARY while it is healthy, else SECONDARY, and PRIMARY if neither is. */
function chosen(
  zone: ServedZone,
  at: readonly RecordSet[],
  type: string,
  isHealthy: (healthCheckId: string) => boolean,
): AnswerRecord[] {
  const candidates = at.filter((record) => record.type === type);
  const of = (failover: RecordSet['failover']) => candidates.find((record) => record.failover === failover);
  const [primary, secondary, simple] = [of('PRIMARY'), of('SECONDARY'), of(undefined)];
  const healthy = (record: RecordSet | undefined): boolean =>
    record !== undefined &&
    (record.healthCheckId === undefined || isHealthy(record.healthCheckId)) &&
    (!record.alias?.evaluateTargetHealth || targetIsHealthy(zone, record, isHealthy));
  const record = simple ?? (healthy(primary) ? primary : healthy(secondary) ? secondary : (primary ?? secondary));
  if (record === undefined) return [];
  if (record.alias) {
    const { name } = record.alias;
    // An alias to itself would go round for ever.
    return name === record.name ? [] : chosen(zone, recordsAt(zone, name), type, isHealthy);
  }
  return record.values.map((value) => ({ name: record.name, type, ttl: record.ttl ?? 0, value }));
}

/** Healthy while one of the target's records is, or has nothing that says otherwise. */
function targetIsHealthy(zone: ServedZone, record: RecordSet, isHealthy: (id: string) => boolean): boolean {
  const targets = recordsAt(zone, record.alias?.name ?? '').filter(({ type }) => type === record.type);
  return targets.some(({ healthCheckId }) => healthCheckId === undefined || isHealthy(healthCheckId));
}
