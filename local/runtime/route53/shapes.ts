import type { Xml } from '../xml.ts';
import { listOf } from '../xml.ts';
import { describeConfig, type HealthCheck } from './health.ts';
import type { RecordSet } from './records.ts';
import { type ChangeInfo, nameServersOf, type Zone } from './zones.ts';

/** Things as Route 53's XML has them. */

export const hostedZone = (zone: Zone): Xml => ({
  Id: `/hostedzone/${zone.id}`,
  Name: zone.name,
  CallerReference: zone.callerReference,
  Config: { Comment: zone.comment, PrivateZone: zone.vpcs.length > 0 },
  ResourceRecordSetCount: zone.records.length,
});

export const vpc = ({ VPCRegion, VPCId }: Zone['vpcs'][number]): Xml => ({ VPCRegion, VPCId });

/** A private zone has networks, a public one is delegated to. */
export const delegationOrVpcs = (zone: Zone): { [name: string]: Xml } =>
  zone.vpcs.length > 0
    ? { VPCs: { VPC: zone.vpcs.map(vpc) } }
    : { DelegationSet: { NameServers: { NameServer: nameServersOf(zone) } } };

export const changeInfo = ({ id, status, submitted, comment }: ChangeInfo): Xml => ({
  Id: `/change/${id}`,
  Status: status,
  SubmittedAt: submitted,
  Comment: comment,
});

export const recordSet = (record: RecordSet): Xml => ({
  Name: record.name.replaceAll('*', '\\052'),
  Type: record.type,
  SetIdentifier: record.setIdentifier,
  Failover: record.failover,
  TTL: record.ttl,
  ResourceRecords: record.alias ? undefined : { ResourceRecord: record.values.map((Value) => ({ Value })) },
  AliasTarget: record.alias && {
    HostedZoneId: record.alias.zoneId,
    DNSName: record.alias.name,
    EvaluateTargetHealth: record.alias.evaluateTargetHealth,
  },
  HealthCheckId: record.healthCheckId,
});

export function healthCheck(check: HealthCheck): Xml {
  const { ChildHealthChecks, ...config } = describeConfig(check);
  const { metric } = check;
  return {
    Id: check.id,
    CallerReference: check.callerReference,
    HealthCheckConfig: { ...config, ChildHealthChecks: ChildHealthChecks && { ChildHealthCheck: ChildHealthChecks } },
    HealthCheckVersion: check.version,
    CloudWatchAlarmConfiguration: metric && {
      EvaluationPeriods: metric.evaluationPeriods,
      Threshold: metric.threshold,
      ComparisonOperator: metric.comparison,
      Period: metric.period / 1000,
      MetricName: metric.metricName,
      Namespace: metric.namespace,
      Statistic: metric.statistic,
      Dimensions: { Dimension: Object.entries(metric.dimensions).map(([Name, Value]) => ({ Name, Value })) },
    },
  };
}

/** A record set as it is read from XML, its lists made plain. */
export const plainRecordSet = (given: any): any => ({
  ...given,
  ResourceRecords: given.ResourceRecords && listOf(given.ResourceRecords, 'ResourceRecord').map(({ Value }) => Value),
});

/** A health check's configuration as it is read from XML. */
export const plainConfig = (given: any): any => ({
  ...given,
  ...(given.ChildHealthChecks !== undefined && {
    ChildHealthChecks: listOf(given.ChildHealthChecks, 'ChildHealthCheck'),
  }),
});
