import { Stack } from 'aws-cdk-lib';
import { type Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import {
  clusterName,
  failoverParameterName,
  keyAlias,
  settingsParameterName,
  stateItemId,
  stateTableName,
  taskRoleName,
} from '../config/names.ts';
import { drillPrefix } from '../core/keys.ts';
import {
  bucketArn,
  bucketKey,
  keyByAlias,
  parameterArn,
  secretArn,
  stateMachineArn,
  tableArn,
  taskRoleArn,
} from './arns.ts';
import type { FailoverDatabase } from './failover-settings.ts';
import type { Network } from './network.ts';
import type { OutcomeTopic } from './outcome-topic.ts';
import { allow, type Grant, makeRole } from './permissions.ts';
import { runTasks } from './run-tasks.ts';
import { Workflow } from './workflow.ts';

export interface DrillProps {
  readonly system: string;
  readonly network: Network;
  readonly outcomes: OutcomeTopic;
  readonly recordOutcome: string;
  /** The database that `{}` means; else empty. */
  readonly onlyDatabase: string;
  /** What a machine needs that waits for executions of others. */
  readonly runMachines: (...names: string[]) => readonly Grant[];
  /** The function that keeps the evidence of full drills. */
  readonly fence: string;
}

/** The workflows of drills, in the recovery region. */
export class Drill extends Construct {
  constructor(scope: Construct, id: string, props: DrillProps) {
    super(scope, id);
    const { system, network, outcomes, recordOutcome, onlyDatabase } = props;
    new Workflow(this, 'Full', {
      system,
      name: 'drill-full',
      substitutions: { Failback: stateMachineArn(this, system, 'failback'), FailoverFence: props.fence },
      grants: [...props.runMachines('failback'), { actions: ['lambda:InvokeFunction'], resources: [props.fence] }],
    });
    new Workflow(this, 'Workflow', {
      system,
      name: 'drill',
      substitutions: {
        System: system,
        OnlyDatabase: onlyDatabase,
        Cluster: clusterName(system),
        SubnetIds: network.subnetIds.join(','),
        SecurityGroup: network.securityGroupId,
        AssignPublicIp: network.assignPublicIp ? 'ENABLED' : 'DISABLED',
        StateTable: stateTableName(system),
        DrillRole: taskRoleArn(this, system, '*', 'drill'),
        Failover: stateMachineArn(this, system, 'failover'),
        DrillFull: stateMachineArn(this, system, 'drill-full'),
        RecordOutcome: recordOutcome,
        Topic: outcomes.topic.topicArn,
      },
      grants: [
        {
          actions: ['ssm:GetParameter'],
          resources: [parameterArn(this, settingsParameterName(system, '*'))],
          wildcard: 'Serves every database of the system; a database is added without touching the platform.',
        },
        ...runTasks(this, system, 'drill'),
        ...props.runMachines('failover', 'drill-full'),
        { actions: ['lambda:InvokeFunction'], resources: [recordOutcome] },
        ...outcomes.publish,
      ],
    });
  }
}

export interface DrillRoleProps {
  readonly system: string;
  readonly database: FailoverDatabase;
}

/** What a drill of one database runs as: it may copy the standby, look at the role item, and keep evidence. */
export class DrillRole extends Construct {
  readonly role: Role;

  constructor(scope: Construct, id: string, { system, database }: DrillRoleProps) {
    super(scope, id);
    const { name, lineage, standby } = database;
    const { region, urlSuffix } = Stack.of(this);
    const evidence = drillPrefix({ system, database: name, lineage });
    const items = (...what: string[]) => ({
      'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': what.map((one) => stateItemId(name, one)) },
    });
    const table = [tableArn(this, stateTableName(system))];
    const tableKey = keyByAlias(this, keyAlias(system));
    const roleName = taskRoleName(system, name, 'drill', region);
    this.role = makeRole(this, 'Role', new ServicePrincipal('ecs-tasks.amazonaws.com'), `Drills of ${name}`, roleName);
    allow(
      this.role,
      { actions: ['secretsmanager:GetSecretValue'], resources: [secretArn(this, standby.secret)] },
      { actions: ['ssm:GetParameter'], resources: [parameterArn(this, failoverParameterName(system, name))] },
      {
        actions: ['dynamodb:GetItem'],
        resources: table,
        conditions: items('role', `probe-${region}`, 'drill'),
      },
      { actions: ['dynamodb:UpdateItem'], resources: table, conditions: items('drill') },
      {
        ...tableKey,
        actions: ['kms:Decrypt'],
        conditions: { ...tableKey.conditions, StringEquals: { 'kms:ViaService': `dynamodb.${region}.${urlSuffix}` } },
      },
      {
        actions: ['s3:PutObject', 's3:PutObjectRetention', 's3:GetObject'],
        resources: [bucketArn(this, system, `${evidence}*`)],
        wildcard: 'Keys are made for each drill; the prefix is this database.',
      },
      {
        actions: ['s3:ListBucket'],
        resources: [bucketArn(this, system)],
        conditions: { StringLike: { 's3:prefix': `${evidence}*` } },
      },
      { actions: ['kms:GenerateDataKey', 'kms:Decrypt'], ...bucketKey(this, system) },
      {
        actions: ['states:SendTaskHeartbeat', 'states:SendTaskSuccess', 'states:SendTaskFailure'],
        resources: [stateMachineArn(this, system, 'drill')],
      },
    );
  }
}
