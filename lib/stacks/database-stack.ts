import { Stack, Tags } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { alarmSubjectOf, capabilitiesOf } from '../config/capabilities.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { drillSchedule } from '../config/drill-schedule.ts';
import type { Schedule } from '../config/fields.ts';
import { databaseStackName, physicalRestoreTest } from '../config/names.ts';
import { serverSecrets } from '../config/server-secrets.ts';
import { startWindowMinutes } from '../config/start-window.ts';
import { AlarmSet } from '../constructs/alarm-set.ts';
import { DatabaseDashboard } from '../constructs/dashboard.ts';
import { DatabaseRoles } from '../constructs/database-roles.ts';
import { DatabaseSchedule } from '../constructs/database-schedule.ts';
import { DatabaseSettingsParameter } from '../constructs/database-settings.ts';
import { DrillRole } from '../constructs/drill.ts';
import { FailoverGrants } from '../constructs/failover-grants.ts';
import { FailoverRecords } from '../constructs/failover-records.ts';
import { FailoverSettingsParameter, failsOver } from '../constructs/failover-settings.ts';
import { PhysicalSettingsParameter } from '../constructs/physical-settings.ts';
import { postureFunction, postureSchedule } from '../constructs/posture.ts';
import { Protection } from '../constructs/protection.ts';
import { RetentionSettingsParameter, retentionSchedule, retentionWorkflow } from '../constructs/retention.ts';
import { walAuditFunction, walAuditSchedule } from '../constructs/wal-audit.ts';
import { WalReceiver } from '../constructs/wal-receiver.ts';
import { type RegionProps, regionOf } from './platform-stack.ts';

export interface DatabaseStackProps extends RegionProps {
  readonly database: DatabaseConfig;
}

/** What AWS makes for each database and region: settings, the roles of its tasks, its schedules. */
export class DatabaseStack extends Stack {
  constructor(scope: Construct, props: DatabaseStackProps) {
    const { config, role, database } = props;
    const region = regionOf(props);
    const system = config.name;
    super(scope, databaseStackName(system, database.name, region), {
      env: { region },
      description: `pgdr of ${system}: ${database.name} (${database.engine} ${database.version}) in the ${role} region`,
    });
    Tags.of(this).add('pgdr:database', database.name);

    const { physical } = database;
    const { lock } = config.retention;
    const secrets = serverSecrets(database, role);
    const roles = new DatabaseRoles(this, 'Roles', { system, database, secrets });
    new DatabaseSettingsParameter(this, 'Settings', { config, database, roles, secret: secrets.logical });
    // Both regions hold the same. What is for the region of the writer alone is on in the primary region; where the
    // writer may move, its schedules are on in both and ask the role item, and Protection switches the rest.
    const enabled = role === 'primary';
    const followsWriter = failsOver(database);
    if (physical) {
      const { settings } = new PhysicalSettingsParameter(this, 'Physical', {
        system,
        database,
        physical,
        secret: secrets.physical,
      });
      const network = config.network[role];
      new WalReceiver(this, 'WalReceiver', {
        system,
        database,
        physical,
        settings,
        lock,
        assignPublicIp: network.kind === 'imported' && network.assignPublicIp,
        running: enabled,
      });
    }
    const common = { system, database: database.name, enabled, kind: 'workflow' as const };
    const ofWriter = { ...common, enabled: enabled || followsWriter, followsWriter };
    const timed = ({ expression, longestIntervalSeconds }: Schedule) => ({
      expression,
      windowMinutes: startWindowMinutes(config, longestIntervalSeconds),
    });
    new DatabaseSchedule(this, 'BackupLogical', {
      ...ofWriter,
      starts: 'backup-logical',
      ...timed(database.logical.schedule),
    });
    if (physical) {
      new DatabaseSchedule(this, 'RestoreTestPhysical', {
        ...ofWriter,
        starts: 'restore-test',
        name: physicalRestoreTest,
        input: { kind: 'physical' },
        ...timed(database.restoreTest.schedule),
      });
      new DatabaseSchedule(this, 'BackupPhysical', {
        ...ofWriter,
        starts: 'backup-physical',
        ...timed(physical.base.schedule),
      });
    }
    if (physical) {
      // In both regions: each looks at the WAL that it holds itself.
      new DatabaseSchedule(this, 'AuditWal', {
        ...common,
        starts: walAuditFunction,
        kind: 'function',
        expression: walAuditSchedule,
        enabled: true,
      });
    }
    new DatabaseSchedule(this, 'RestoreTest', {
      ...ofWriter,
      starts: 'restore-test',
      ...timed(database.restoreTest.schedule),
    });
    new RetentionSettingsParameter(this, 'RetentionRules', { system, database, retention: config.retention });
    // In both regions, since a removal is not replicated: each thins out, and looks through, what it holds itself.
    new DatabaseSchedule(this, 'Retention', {
      ...common,
      starts: retentionWorkflow,
      expression: retentionSchedule,
      windowMinutes: startWindowMinutes(config, 24 * 3600),
      enabled: true,
    });
    // In both regions: each looks at what it holds itself, and tells the other that it lives.
    new DatabaseSchedule(this, 'Posture', {
      ...common,
      starts: postureFunction,
      kind: 'function',
      expression: postureSchedule,
      enabled: true,
    });
    const signals = {
      system,
      database: database.name,
      subject: alarmSubjectOf(database),
      capabilities: capabilitiesOf(database),
    };
    const alarms = new AlarmSet(this, 'Alarms', {
      ...signals,
      watching: enabled,
      runbooks: config.notifications.runbooks,
    });
    new DatabaseDashboard(this, 'Dashboard', signals);
    if (failsOver(database)) {
      new Protection(this, 'Protection', {
        system,
        database: database.name,
        alarms: alarms.names,
        receivesWal: physical !== undefined,
      });
      const { regions } = config;
      // The name is kept from the recovery region: it must not need the lost one.
      const zoneId = role === 'recovery' ? new FailoverRecords(this, 'Records', { system, database }).zoneId : null;
      new FailoverSettingsParameter(this, 'FailoverSettings', { system, database, regions, zoneId });
      new FailoverGrants(this, 'FailoverGrants', { system, database, regions, role, zoneId });
      if (role === 'recovery') {
        new DrillRole(this, 'Drill', { system, database });
        new DatabaseSchedule(this, 'DrillSchedule', {
          ...common,
          enabled: true,
          starts: 'drill',
          expression: drillSchedule(database),
        });
      }
      new DatabaseSchedule(this, 'Probe', {
        ...common,
        // Both regions look at the servers, wherever the writer is.
        enabled: true,
        starts: 'probe-replication',
        expression: 'rate(1 minute)',
        maximumAgeSeconds: 60,
      });
    }
  }
}
