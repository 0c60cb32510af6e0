import { Duration, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import {
  type FailoverFunction,
  failoverParameterName,
  failoverRoleName,
  keyAlias,
  settingsParameterName,
  stateTableName,
} from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { metricNamespace } from '../core/metrics.ts';
import { keyByAlias, parameterArn, stateMachineArn, tableArn } from './arns.ts';
import type { BackupVault } from './backup-vault.ts';
import { Drill } from './drill.ts';
import { FailoverPeople } from './failover-people.ts';
import type { Network } from './network.ts';
import type { OutcomeTopic } from './outcome-topic.ts';
import type { Grant } from './permissions.ts';
import { protectionGrants } from './protection.ts';
import { ScheduledRun, scheduledRun } from './scheduled-run.ts';
import { WorkerFunction } from './worker-function.ts';
import { Workflow } from './workflow.ts';

export interface FailoverProps {
  readonly system: string;
  readonly role: 'primary' | 'recovery';
  readonly regions: Config['regions'];
  readonly vault: BackupVault;
  readonly network: Network;
  readonly outcomes: OutcomeTopic;
  readonly recordOutcome: string;
  /** The database that `{}` means, where there is only one that fails over; else empty. */
  readonly onlyDatabase: string;
}

/** Those that are started, and start the others. */
export const failoverWorkflows = (role: FailoverProps['role']): readonly string[] =>
  role === 'primary'
    ? [scheduledRun, 'probe-replication']
    : [scheduledRun, 'probe-replication', 'failover', 'failback', 'drill'];

/**
 * The workflows of failovers and their functions: all of them in the recovery region; in both what watches the writer
 * and what follows it.
 */
export class Failover extends Construct {
  private readonly props: FailoverProps;

  constructor(scope: Construct, id: string, props: FailoverProps) {
    super(scope, id);
    this.props = props;
    const { system, role, outcomes, recordOutcome, onlyDatabase } = props;
    const probe = this.makeProbe();
    const follow = this.makeFollow();
    new ScheduledRun(this, 'ScheduledRun', { system, follow });
    if (role === 'primary') {
      this.addProbeMachine(probe, follow, undefined);
      return;
    }
    const state = this.make('failover-state', 'Failovers: the role item, decisions, approvals, outcomes', 1, {
      environment: { TOPIC_ARN: outcomes.topic.topicArn },
      grants: [...this.items('dynamodb:GetItem', 'dynamodb:PutItem'), ...this.primaryItems(), ...outcomes.publish],
    });
    const server = this.make('failover-server', 'Failovers: looks at servers, promotes, verifies', 3, {
      inNetwork: true,
      grants: this.items('dynamodb:GetItem', 'dynamodb:PutItem'),
    });
    const fence = this.make('failover-fence', 'Failovers: stops the old writer and proves it', 10, {
      grants: [...this.items('dynamodb:GetItem', 'dynamodb:PutItem'), ...this.keepEvidence()],
    });
    const traffic = this.make('failover-traffic', 'Failovers: leads the name to the writer', 1, {
      grants: [
        ...this.items('dynamodb:GetItem'),
        {
          actions: ['cloudwatch:PutMetricData'],
          resources: ['*'],
          conditions: { StringEquals: { 'cloudwatch:namespace': metricNamespace } },
          wildcard: 'The API has no resource; the condition names the namespace.',
        },
      ],
    });
    this.addProbeMachine(probe, follow, traffic);

    const invoke = (...functions: string[]): Grant => ({ actions: ['lambda:InvokeFunction'], resources: functions });
    const [FailoverState, FailoverServer, FailoverFence, FailoverTraffic] = [state, server, fence, traffic];
    const childMachines = ['failover-switch', 'failover-verify'];
    new Workflow(this, 'Switch', {
      system,
      name: 'failover-switch',
      substitutions: { FailoverState, FailoverServer, FailoverFence, FailoverTraffic },
      grants: [invoke(state, server, fence, traffic)],
    });
    new Workflow(this, 'Verify', {
      system,
      name: 'failover-verify',
      substitutions: { FailoverState, FailoverServer, FailoverFence, Topic: outcomes.topic.topicArn },
      grants: [invoke(state, server, fence), ...outcomes.publish],
    });
    const machine = {
      System: system,
      OnlyDatabase: onlyDatabase,
      FailoverState,
      FailoverServer,
      FailoverFence,
      FailoverSwitch: stateMachineArn(this, system, 'failover-switch'),
      FailoverVerify: stateMachineArn(this, system, 'failover-verify'),
      RecordOutcome: recordOutcome,
      Topic: outcomes.topic.topicArn,
    };
    const machineGrants = [
      ...this.readSettings(),
      invoke(state, server, fence, recordOutcome),
      ...this.runMachines(childMachines),
      ...outcomes.publish,
    ];
    new Workflow(this, 'Machine', { system, name: 'failover', substitutions: machine, grants: machineGrants });
    new Workflow(this, 'FailbackBackup', {
      system,
      name: 'failback-backup',
      substitutions: { FailoverFollow: follow, BackupLogical: stateMachineArn(this, system, 'backup-logical') },
      grants: [invoke(follow), ...this.runMachines(['backup-logical'])],
    });
    new Workflow(this, 'FailbackPrepare', {
      system,
      name: 'failback-prepare',
      substitutions: { FailoverServer, FailoverFence },
      grants: [invoke(server, fence)],
    });
    const { FailoverServer: _, ...failbackMachine } = machine;
    new Workflow(this, 'Failback', {
      system,
      name: 'failback',
      substitutions: {
        ...failbackMachine,
        FailbackBackup: stateMachineArn(this, system, 'failback-backup'),
        FailbackPrepare: stateMachineArn(this, system, 'failback-prepare'),
      },
      grants: [...machineGrants, ...this.runMachines(['failback-backup', 'failback-prepare'])],
    });
    new Drill(this, 'Drill', {
      ...{ system, network: props.network, outcomes, recordOutcome, onlyDatabase },
      runMachines: (...names) => this.runMachines(names),
      fence,
    });
    new FailoverPeople(this, 'People', { system });
  }

  private makeProbe(): string {
    return this.make('failover-probe', 'Writes heartbeats to the writer and reads them on the standby', 1.4, {
      inNetwork: true,
      grants: this.items('dynamodb:GetItem', 'dynamodb:PutItem'),
    });
  }

  private makeFollow(): string {
    const { system, role } = this.props;
    return this.make('failover-follow', 'Finds the writer, and lets protection follow it', 1, {
      grants: [
        ...this.items('dynamodb:GetItem', 'dynamodb:PutItem'),
        ...(role === 'primary' ? this.roleItems() : []),
        ...protectionGrants(this, system),
      ],
    });
  }

  private addProbeMachine(probe: string, follow: string, traffic: string | undefined): void {
    const { system, onlyDatabase, role } = this.props;
    new Workflow(this, 'Probe', {
      system,
      name: 'probe-replication',
      substitutions: {
        System: system,
        OnlyDatabase: onlyDatabase,
        FailoverProbe: probe,
        FailoverFollow: follow,
        // The primary region only observes: what these would name is in the other one, and is never called here.
        FailoverTraffic: traffic ?? probe,
        Failover: stateMachineArn(this, system, 'failover'),
      },
      grants: [
        ...this.readSettings(),
        { actions: ['lambda:InvokeFunction'], resources: [probe, follow, ...(traffic ? [traffic] : [])] },
        ...(role === 'recovery'
          ? [{ actions: ['states:StartExecution'], resources: [stateMachineArn(this, system, 'failover')] }]
          : []),
      ],
    });
  }

  private make(
    name: FailoverFunction,
    description: string,
    minutes: number,
    options: { grants: Grant[]; inNetwork?: boolean; environment?: Record<string, string> },
  ): string {
    const { system, network } = this.props;
    const { subnetIds, securityGroupId } = network;
    return new WorkerFunction(this, name, {
      system,
      name,
      description,
      timeout: Duration.seconds(Math.round(minutes * 60)),
      memorySize: 512,
      roleName: failoverRoleName(system, name, Stack.of(this).region),
      environment: { STATE_TABLE: stateTableName(system), ...options.environment },
      grants: options.grants,
      ...(options.inNetwork && { network: { subnetIds, securityGroupId } }),
    }).function.functionArn;
  }

  /** Items of the state table of this region. */
  private items(...actions: string[]): Grant[] {
    const { system, vault } = this.props;
    return [
      { actions, resources: [tableArn(this, stateTableName(system))] },
      { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [vault.key.keyArn] },
    ];
  }

  /** The role item is in the recovery region. */
  private roleItems(): Grant[] {
    const { system, regions } = this.props;
    const { resources, ...rest } = keyByAlias(this, keyAlias(system), regions.recovery);
    return [
      { actions: ['dynamodb:GetItem'], resources: [tableArn(this, stateTableName(system), regions.recovery)] },
      { actions: ['kms:Decrypt'], resources, ...rest },
    ];
  }

  /** What the probe of the primary region wrote down is in the table of that region. */
  private primaryItems(): Grant[] {
    const { system, regions } = this.props;
    const { resources, ...rest } = keyByAlias(this, keyAlias(system), regions.primary);
    return [
      { actions: ['dynamodb:GetItem'], resources: [tableArn(this, stateTableName(system), regions.primary)] },
      { actions: ['kms:Decrypt'], resources, ...rest },
    ];
  }

  /** What only an old primary had, and full drills. */
  private keepEvidence(): Grant[] {
    const { system, vault } = this.props;
    const wildcard = 'Serves every database of the system; a database is added without touching the platform.';
    return [
      { actions: ['ssm:GetParameter'], resources: [parameterArn(this, settingsParameterName(system, '*'))], wildcard },
      {
        // Reading is for a write that met an existing object: equal content is success.
        actions: ['s3:PutObject', 's3:PutObjectRetention', 's3:GetObject'],
        resources: ['diverged', 'drills'].map((folder) => vault.bucket.arnForObjects(`*/${folder}/*`)),
        wildcard,
      },
    ];
  }

  private readSettings(): Grant[] {
    return [
      {
        actions: ['ssm:GetParameter'],
        resources: [parameterArn(this, failoverParameterName(this.props.system, '*'))],
        wildcard: 'Serves every database of the system; a database is added without touching the platform.',
      },
    ];
  }

  /** A machine that waits for another starts it, looks at it, stops it, and is told of its end by a rule. */
  private runMachines(names: readonly string[]): Grant[] {
    const { system } = this.props;
    const machines = names.map((name) => stateMachineArn(this, system, name));
    return [
      { actions: ['states:StartExecution'], resources: machines },
      {
        actions: ['states:DescribeExecution', 'states:StopExecution'],
        resources: machines.map((arn) => `${arn.replace(':stateMachine:', ':execution:')}:*`),
        wildcard: 'Executions of the machines that this one starts; Step Functions names them.',
      },
      {
        actions: ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
        resources: [
          Stack.of(this).formatArn({
            service: 'events',
            resource: 'rule',
            resourceName: 'StepFunctionsGetEventsForStepFunctionsExecutionRule',
          }),
        ],
      },
    ];
  }
}
