import type { MadeResource, ResourceContext, ResourceMaker } from '../../facade.ts';
import { onlyKnown, required } from '../properties.ts';
import type { HealthChecks } from './health.ts';
import { readRecordSet } from './records.ts';
import { nameServersOf, type Zone, type Zones } from './zones.ts';

const RECORD = [
  'AliasTarget',
  'Comment',
  'Failover',
  'HealthCheckId',
  'HostedZoneId',
  'HostedZoneName',
  'Name',
  'ResourceRecords',
  'SetIdentifier',
  'TTL',
  'Type',
];
const REFUSED = Object.fromEntries(
  ['CidrRoutingConfig', 'GeoLocation', 'GeoProximityLocation', 'MultiValueAnswer', 'Region', 'Weight'].map((name) => [
    name,
    'records are simple or failover records here',
  ]),
);

/** Zones, records and health checks as templates make them. */
export function route53Resources(
  zones: Zones,
  checks: HealthChecks,
  /** An id that is always the same for the same resource. */
  zoneId: (context: ResourceContext) => string,
  /** Called before the first zone is there. */
  onZone: () => Promise<unknown>,
): Readonly<Record<string, ResourceMaker>> {
  const zoneOf = (type: string, context: ResourceContext, { HostedZoneId, HostedZoneName }: any): Zone => {
    if (HostedZoneId) return zones.find(String(HostedZoneId));
    const zone = zones.all().find(({ name }) => name === HostedZoneName);
    if (!zone) throw new Error(`${type} ${context.stack}/${context.logicalId}: there is no zone ${HostedZoneName}`);
    return zone;
  };
  const recordOf = (type: string, context: ResourceContext, properties: any, zone: Zone) => {
    onlyKnown(type, context, properties, RECORD, REFUSED);
    const { Comment: _, HostedZoneId: _id, HostedZoneName: _name, ...given } = properties;
    const record = readRecordSet(given, zone);
    if (record.healthCheckId !== undefined) checks.find(record.healthCheckId);
    return record;
  };

  return {
    'AWS::Route53::HostedZone': async (properties, context): Promise<MadeResource> => {
      const type = 'AWS::Route53::HostedZone';
      onlyKnown(type, context, properties, ['HostedZoneConfig', 'HostedZoneTags', 'Name', 'VPCs'], {
        QueryLoggingConfig: 'queries are not logged here',
      });
      await onZone();
      const zone = zones.create({
        id: zoneId(context),
        name: String(required(type, context, properties, 'Name')),
        callerReference: `${context.region} ${context.generatedName}`,
        comment: properties.HostedZoneConfig?.Comment,
        vpcs: [...(properties.VPCs ?? [])],
      });
      return { ref: zone.id, attributes: { Id: zone.id, NameServers: nameServersOf(zone) } };
    },

    'AWS::Route53::RecordSet': (properties, context): MadeResource => {
      const type = 'AWS::Route53::RecordSet';
      const zone = zoneOf(type, context, properties);
      zones.put(zone, [recordOf(type, context, properties, zone)]);
      return { ref: String(properties.Name) };
    },

    'AWS::Route53::RecordSetGroup': (properties, context): MadeResource => {
      const type = 'AWS::Route53::RecordSetGroup';
      onlyKnown(type, context, properties, ['Comment', 'HostedZoneId', 'HostedZoneName', 'RecordSets']);
      const zone = zoneOf(type, context, properties);
      const given = required(type, context, properties, 'RecordSets') as any[];
      zones.put(
        zone,
        given.map((record) => recordOf(`${type} RecordSets`, context, record, zone)),
      );
      return { ref: context.generatedName, attributes: { Id: context.generatedName } };
    },

    'AWS::Route53::HealthCheck': (properties, context): MadeResource => {
      const type = 'AWS::Route53::HealthCheck';
      onlyKnown(type, context, properties, ['HealthCheckConfig', 'HealthCheckTags']);
      const given = required(type, context, properties, 'HealthCheckConfig');
      const { id } = checks.create(`${context.region} ${context.generatedName}`, given);
      return { ref: id, attributes: { HealthCheckId: id } };
    },
  };
}
