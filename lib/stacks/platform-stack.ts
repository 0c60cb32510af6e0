import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { platformStackName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { BackupVault } from '../constructs/backup-vault.ts';
import { Network } from '../constructs/network.ts';
import { OutcomeTopic } from '../constructs/outcome-topic.ts';
import { ScheduleGroup } from '../constructs/schedule-group.ts';
import { Slack } from '../constructs/slack.ts';
import { StateTable } from '../constructs/state-table.ts';
import { WorkerCluster } from '../constructs/worker-cluster.ts';
import { scheduledWorkflows, Workflows } from '../constructs/workflows.ts';

export interface RegionProps {
  readonly config: Config;
  readonly role: 'primary' | 'recovery';
}

/** The region that a role stands for. */
export const regionOf = ({ config, role }: RegionProps): string => config.regions[role];

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

    const vault = new BackupVault(this, 'Vault', { system, lock: config.retention.lock });
    new StateTable(this, 'State', { system, key: vault.key });
    const network = new Network(this, 'Network', {
      system,
      network: config.network[role],
      databasePorts: config.network.databasePorts,
    });
    const majors = [...new Set(config.databases.flatMap(majorsOf))].sort((a, b) => a - b);
    new WorkerCluster(this, 'Workers', { system, majors });
    const outcomes = new OutcomeTopic(this, 'Outcomes', { system, key: vault.key });
    new Workflows(this, 'Workflows', { system, vault, network, outcomes });
    new ScheduleGroup(this, 'Schedules', { system, key: vault.key, workflows: scheduledWorkflows });
    const { slackWebhookSecret } = config.notifications;
    if (slackWebhookSecret) {
      new Slack(this, 'Slack', { system, topic: outcomes.topic, webhookSecret: slackWebhookSecret });
    }
  }
}
