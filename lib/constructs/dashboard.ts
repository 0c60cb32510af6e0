import { Stack } from 'aws-cdk-lib';
import { CfnDashboard } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { alarmName, dashboardName } from '../config/names.ts';
import { type AlarmSubject, alarmsFor, type Capability } from '../core/alarms.ts';
import { databaseDashboard, fleetDashboard, panelsFor } from '../core/dashboard.ts';
import { alarmArn } from './arns.ts';

export interface DatabaseDashboardProps {
  readonly system: string;
  readonly database: string;
  readonly subject: AlarmSubject;
  readonly capabilities: ReadonlySet<Capability>;
}

/** What the metrics of a database show, and which of its alarms are on. */
export class DatabaseDashboard extends Construct {
  constructor(scope: Construct, id: string, { system, database, subject, capabilities }: DatabaseDashboardProps) {
    super(scope, id);
    const { region } = Stack.of(this);
    const alarms = alarmsFor(subject, capabilities).map(({ id }) => alarmArn(this, alarmName(system, database, id)));
    new CfnDashboard(this, 'Dashboard', {
      dashboardName: dashboardName(system, database, region),
      dashboardBody: Stack.of(this).toJsonString(
        databaseDashboard(database, region, panelsFor(subject, capabilities), alarms),
      ),
    });
  }
}

export interface FleetDashboardProps {
  readonly system: string;
  /** Names of the alarms of the region's pgdr itself. */
  readonly alarms: readonly string[];
}

/** All databases of a system side by side, as one region sees them. */
export class FleetDashboard extends Construct {
  constructor(scope: Construct, id: string, { system, alarms }: FleetDashboardProps) {
    super(scope, id);
    const { region } = Stack.of(this);
    new CfnDashboard(this, 'Dashboard', {
      dashboardName: dashboardName(system, undefined, region),
      dashboardBody: Stack.of(this).toJsonString(
        fleetDashboard(
          system,
          region,
          alarms.map((name) => alarmArn(this, name)),
        ),
      ),
    });
  }
}
