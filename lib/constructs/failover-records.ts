import { Stack } from 'aws-cdk-lib';
import { CfnAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { CfnHealthCheck, CfnHostedZone, CfnRecordSet } from 'aws-cdk-lib/aws-route53';
import { Construct } from 'constructs';
import { writerAlarmName } from '../config/names.ts';
import { metricNamespace } from '../core/metrics.ts';
import type { FailoverDatabase } from './failover-settings.ts';

export interface FailoverRecordsProps {
  readonly system: string;
  readonly database: FailoverDatabase;
}

/**
 * The name of a database. By default a failover pair: PRIMARY is healthy while the metric SecondaryIsWriter of this
 * region is not above zero, and SECONDARY answers otherwise. The metric is published by decision alone, so that a dead
 * primary does not move its name, and one that comes back does not take it back. With `record-update` it is one record
 * that a failover changes through Route 53's control plane.
 */
export class FailoverRecords extends Construct {
  readonly zoneId: string;

  constructor(scope: Construct, id: string, { system, database }: FailoverRecordsProps) {
    super(scope, id);
    const { endpoint } = database;
    this.zoneId = endpoint.zoneId ?? this.makeZone(endpoint);
    const record = {
      hostedZoneId: this.zoneId,
      name: `${endpoint.name}.${endpoint.zone}`,
      type: 'CNAME',
      ttl: String(endpoint.ttl),
    };
    if (endpoint.mode === 'record-update') {
      new CfnRecordSet(this, 'Record', { ...record, resourceRecords: [endpoint.primary] });
      return;
    }
    const healthCheck = this.makeHealthCheck(system, database.name);
    new CfnRecordSet(this, 'Primary', {
      ...record,
      resourceRecords: [endpoint.primary],
      setIdentifier: 'primary',
      failover: 'PRIMARY',
      healthCheckId: healthCheck.attrHealthCheckId,
    });
    new CfnRecordSet(this, 'Secondary', {
      ...record,
      resourceRecords: [endpoint.standby],
      setIdentifier: 'secondary',
      failover: 'SECONDARY',
    });
  }

  private makeZone({ zone, vpcs }: FailoverDatabase['endpoint']): string {
    return new CfnHostedZone(this, 'Zone', {
      name: zone,
      vpcs: vpcs.map(({ id, region }) => ({ vpcId: id, vpcRegion: region })),
    }).attrId;
  }

  private makeHealthCheck(system: string, database: string): CfnHealthCheck {
    const alarm = new CfnAlarm(this, 'Alarm', {
      alarmName: writerAlarmName(system, database),
      alarmDescription: `In alarm while the standby of ${database} is its writer: its name leads there. Not a problem by itself.`,
      namespace: metricNamespace,
      metricName: 'SecondaryIsWriter',
      dimensions: [{ name: 'Database', value: database }],
      // The sum of a minute, in which a flip outweighs what was said before it: lib/core/failover/traffic.ts.
      statistic: 'Sum',
      period: 60,
      evaluationPeriods: 1,
      threshold: 0,
      comparisonOperator: 'GreaterThanThreshold',
      treatMissingData: 'ignore',
      actionsEnabled: false,
    });
    const healthCheck = new CfnHealthCheck(this, 'HealthCheck', {
      healthCheckConfig: {
        type: 'CLOUDWATCH_METRIC',
        alarmIdentifier: { name: writerAlarmName(system, database), region: Stack.of(this).region },
        insufficientDataHealthStatus: 'LastKnownStatus',
      },
    });
    healthCheck.addResourceDependency(alarm);
    return healthCheck;
  }
}
