import { ParameterTier, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { failoverParameterName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import type { FailoverSettings } from '../core/failover-settings.ts';

export interface FailoverSettingsProps {
  readonly system: string;
  readonly database: DatabaseConfig;
  readonly regions: Config['regions'];
  /** Of the zone that pgdr made, or that the configuration names; null in the region that does not need it. */
  readonly zoneId: string | null;
}

/** The keys of a database that fails over, all there. */
export type FailoverDatabase = DatabaseConfig & Required<Pick<DatabaseConfig, 'standby' | 'endpoint' | 'failover'>>;

export const failsOver = (database: DatabaseConfig): database is FailoverDatabase => database.failover !== undefined;

/** The parameter from which the workflows of a failover learn of a database. */
export class FailoverSettingsParameter extends Construct {
  constructor(scope: Construct, id: string, props: FailoverSettingsProps & { readonly database: FailoverDatabase }) {
    super(scope, id);
    const { system, database, regions, zoneId } = props;
    const { failover, endpoint } = database;
    const settings: FailoverSettings = {
      schemaVersion: 1,
      system,
      database: database.name,
      region: regions.recovery,
      primaryRegion: regions.primary,
      servers: {
        primary: { region: regions.primary, secret: failover.secret, compute: failover.primary ?? null },
        standby: { region: regions.recovery, secret: database.standby.secret, compute: failover.standby ?? null },
      },
      endpoint: {
        name: `${endpoint.name}.${endpoint.zone}`,
        mode: endpoint.mode,
        ttlSeconds: endpoint.ttl,
        zoneId,
        primaryTarget: endpoint.primary,
        standbyTarget: endpoint.standby,
      },
      automatic: failover.automatic,
      maxLossSeconds: failover.maxLoss,
      probeSeconds: failover.probeInterval,
      approvalSeconds: failover.approvalTimeout,
      leaseSeconds: failover.lease,
      fences: failover.fences,
      sequenceBump: failover.sequenceBump,
      applications: failover.applications.map((one) => ({ ...one, region: one.region ?? regions.recovery })),
      objectives: { rpoSeconds: database.objectives.rpo, rtoSeconds: database.objectives.rto },
    };
    new StringParameter(this, 'Parameter', {
      parameterName: failoverParameterName(system, database.name),
      description: `Failovers of ${database.name} in ${system}`,
      stringValue: JSON.stringify(settings),
      tier: ParameterTier.STANDARD,
    });
  }
}
