import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { platformStackName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { AlarmTopic } from '../constructs/alarm-topic.ts';
import { BackupVault } from '../constructs/backup-vault.ts';
import { BucketReplication } from '../constructs/bucket-replication.ts';
import { FleetDashboard } from '../constructs/dashboard.ts';
import { Failover, failoverWorkflows } from '../constructs/failover.ts';
import { failsOver } from '../constructs/failover-settings.ts';
import { Network } from '../constructs/network.ts';
import { Notifications } from '../constructs/notifications.ts';
import { OutcomeTopic } from '../constructs/outcome-topic.ts';
import { PlatformAlarmSet } from '../constructs/platform-alarm-set.ts';
import { Posture, postureFunction } from '../constructs/posture.ts';
import { ReplicationBack } from '../constructs/replication-back.ts';
import { Retention, retentionWorkflow } from '../constructs/retention.ts';
import { ScheduleGroup } from '../constructs/schedule-group.ts';
import { scheduledRun } from '../constructs/scheduled-run.ts';
import { StateTable } from '../constructs/state-table.ts';
import { WalAudit, walAuditFunction } from '../constructs/wal-audit.ts';
import { WorkerCluster } from '../constructs/worker-cluster.ts';
import { scheduledWorkflows, Workflows } from '../constructs/workflows.ts';

export interface RegionProps {
  readonly config: Config;
  readonly role: 'primary' | 'recovery';
}

/** The region that a role stands for. */
export const regionOf = ({ config, role }: RegionProps): string => config.regions[role];

/** The other one. */
export const peerOf = ({ config, role }: RegionProps): string =>
  config.regions[role === 'primary' ? 'recovery' : 'primary'];

/** Majors whose tools are needed for a database: its own, and those of the servers it is or may be restored to. */
const majorsOf = ({ version, restore, restoreTest }: Config['databases'][number]): number[] => [
  version,
  restoreTest.version ?? version,
  ...restore.targets.map((target) => target.version ?? version),
];

/** What all databases of a region share. It knows none of them but for the majors of PostgreSQL in use. */
export class PlatformStack extends Stack {
  constructor(scope: Construct, props: RegionProps) {
    const { config, role } = props;
    const region = regionOf(props);
    const system = config.name;
    const stackProps: StackProps = {
      env: { region },
      description: `pgdr of ${system} in its ${role} region: backup bucket, tasks, workflows`,
    };
    super(scope, platformStackName(system, region), stackProps);
    // The library orders functions and machines behind the policy of their role, which names the role a second time.
    this.templateOptions.metadata = { 'cfn-lint': { config: { ignore_checks: ['W3005'] } } };

    const vault = new BackupVault(this, 'Vault', {
      system,
      lock: config.retention.lock,
      longestDaily: Math.max(
        config.retention.daily,
        ...config.databases.map(({ retention }) => retention.daily ?? config.retention.daily),
      ),
    });
    new BucketReplication(this, 'Replication', {
      config,
      bucket: vault.bucket,
      key: vault.key,
      // The bucket of the recovery region is made first, and cannot name one that is not there: see build-app.ts.
      enabled: role === 'primary',
    });
    if (role === 'primary') new ReplicationBack(this, 'ReplicationBack', { config, vault });
    new StateTable(this, 'State', { system, key: vault.key });
    const network = new Network(this, 'Network', {
      system,
      network: config.network[role],
      databasePorts: config.network.databasePorts,
    });
    const majors = [...new Set(config.databases.flatMap(majorsOf))].sort((a, b) => a - b);
    new WorkerCluster(this, 'Workers', { system, majors });
    const outcomes = new OutcomeTopic(this, 'Outcomes', { system, key: vault.key });
    const workflows = new Workflows(this, 'Workflows', { system, vault, network, outcomes });
    const failing = config.databases.filter(failsOver).map(({ name }) => name);
    if (failing.length > 0) {
      new Failover(this, 'Failover', {
        system,
        role,
        regions: config.regions,
        vault,
        network,
        outcomes,
        recordOutcome: workflows.recordOutcomeArn,
        onlyDatabase: failing.length === 1 ? (failing[0] as string) : '',
      });
    }
    new Retention(this, 'Retention', { system, vault, outcomes });
    new ScheduleGroup(this, 'Schedules', {
      system,
      key: vault.key,
      workflows: [
        ...scheduledWorkflows,
        retentionWorkflow,
        ...(failing.length > 0 ? ['probe-replication', scheduledRun, ...(role === 'recovery' ? ['drill'] : [])] : []),
      ],
      functions: [postureFunction, walAuditFunction],
    });
    const alarms = new AlarmTopic(this, 'Alarms', { system, key: vault.key });
    new WalAudit(this, 'WalAudit', { system, vault });
    new Posture(this, 'Posture', { system, vault, peerRegion: peerOf(props) });
    const { notifications } = config;
    new Notifications(this, 'Notifications', {
      system,
      key: vault.key,
      topics: [outcomes.topic, alarms.topic],
      notifications,
    });
    const tellsSlack = notifications.slackWebhookSecret !== undefined;
    const own = new PlatformAlarmSet(this, 'PlatformAlarms', {
      system,
      topic: alarms.topic,
      runbooks: notifications.runbooks,
      functions: [postureFunction, walAuditFunction, 'record-outcome', ...(tellsSlack ? ['notify-slack'] : [])],
      machines: [
        ...[...scheduledWorkflows, retentionWorkflow, 'restore', 'verify'],
        ...(failing.length > 0 ? failoverWorkflows(role) : []),
      ],
      tellsSlack,
    });
    new FleetDashboard(this, 'Dashboard', { system, alarms: own.names });
  }
}
