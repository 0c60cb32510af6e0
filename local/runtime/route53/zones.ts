import { createHash, randomBytes } from 'node:crypto';
import { AwsError, type World } from '../../facade.ts';
import { applyChanges, type Change, domainName, type RecordSet } from './records.ts';

export interface Vpc {
  readonly VPCId: string;
  readonly VPCRegion: string;
}

export interface Zone {
  /** `Z…`, without `/hostedzone/`. */
  readonly id: string;
  /** With its dot. */
  readonly name: string;
  readonly callerReference: string;
  readonly comment?: string;
  /** A private zone's; none for a public one. */
  readonly vpcs: Vpc[];
  /** What the API shows. */
  records: readonly RecordSet[];
  /** What is answered: a change gets there later. */
  served: readonly RecordSet[];
}

export interface ChangeInfo {
  readonly id: string;
  readonly submitted: Date;
  readonly comment?: string;
  status: 'PENDING' | 'INSYNC';
}

export interface Zones {
  create(given: { name: string; callerReference: string; comment?: string; vpcs: Vpc[]; id?: string }): Zone;
  find(id: string): Zone;
  all(): readonly Zone[];
  remove(id: string): ChangeInfo;
  /** @throws AwsError InvalidChangeBatch */
  change(zone: Zone, changes: readonly Change[], comment?: string): ChangeInfo;
  /** Makes records at once, as a template's are when its stack is done. */
  put(zone: Zone, records: readonly RecordSet[]): void;
  findChange(id: string): ChangeInfo;
}

/** Milliseconds until every name server knows a change; AWS needs up to a minute. */
const PROPAGATION = 1000;
const NEGATIVE_TTL = 900;

export const nameServersOf = ({ id }: Pick<Zone, 'id'>): string[] =>
  [1, 2, 3, 4].map((n) => `ns-${n}.${id.toLowerCase()}.invalid`);

export function createZones(world: World): Zones {
  const zones = new Map<string, Zone>();
  const changes = new Map<string, ChangeInfo>();

  const find = (id: string): Zone => {
    const zone = zones.get(id.replace(/^\/?hostedzone\//, ''));
    if (zone) return zone;
    throw new AwsError('NoSuchHostedZone', `No hosted zone found with ID: ${id}`, 404);
  };

  const submit = (comment: string | undefined, done: () => void): ChangeInfo => {
    const id = `C${randomBytes(10).toString('hex').toUpperCase()}`;
    const change: ChangeInfo = { id, submitted: new Date(world.now()), comment, status: 'PENDING' };
    changes.set(id, change);
    world.clock.timer(PROPAGATION, () => {
      change.status = 'INSYNC';
      done();
    });
    return change;
  };

  return {
    create: ({ name: given, callerReference, comment, vpcs, id }) => {
      const name = domainName(given);
      if (!/^([\w*-]{1,63}\.)+$/.test(name)) throw new AwsError('InvalidDomainName', `${given} is not a domain name.`);
      if ([...zones.values()].some((zone) => zone.callerReference === callerReference))
        throw new AwsError('HostedZoneAlreadyExists', 'The CallerReference was used for another zone.', 409);
      // One name server answers for all networks: it could not tell which of two zones is asked for.
      if ([...zones.values()].some((zone) => zone.name === name))
        throw new AwsError('ConflictingDomainExists', `There is a zone ${name} in this cloud already.`);
      const made = id ?? `Z${createHash('sha256').update(callerReference).digest('hex').slice(0, 20).toUpperCase()}`;
      const servers = nameServersOf({ id: made });
      const soa = `${servers[0]}. hostmaster.${name} 1 7200 900 1209600 86400`;
      const records: RecordSet[] = [
        { name, type: 'NS', ttl: 172_800, values: servers.map((server) => `${server}.`) },
        { name, type: 'SOA', ttl: NEGATIVE_TTL, values: [soa] },
      ];
      const zone: Zone = { id: made, name, callerReference, comment, vpcs, records, served: records };
      zones.set(made, zone);
      return zone;
    },
    find,
    all: () => [...zones.values()],
    remove: (id) => {
      const zone = find(id);
      if (zone.records.some(({ name, type }) => name !== zone.name || !['NS', 'SOA'].includes(type)))
        throw new AwsError(
          'HostedZoneNotEmpty',
          'The specified hosted zone contains non-required resource record sets.',
        );
      zones.delete(zone.id);
      return submit(undefined, () => {});
    },
    change: (zone, wanted, comment) => {
      const records = applyChanges(zone.records, wanted, zone);
      zone.records = records;
      // Later changes have been submitted by then, perhaps: each serves its own state, in order.
      return submit(comment, () => {
        zone.served = records;
      });
    },
    put: (zone, added) => {
      const wanted = added.map((record) => ({ action: 'CREATE' as const, record }));
      zone.records = applyChanges(zone.records, wanted, zone);
      zone.served = zone.records;
    },
    findChange: (id) => {
      const change = changes.get(id.replace(/^\/?change\//, ''));
      if (change) return change;
      throw new AwsError('NoSuchChange', `Could not find resource with ID: ${id}`, 404);
    },
  };
}
