import { Stack } from 'aws-cdk-lib';
import { Policy, Role } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { type FailoverFunction, failoverRoleName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { secretArn } from './arns.ts';
import type { FailoverDatabase } from './failover-settings.ts';
import { allow, type Grant } from './permissions.ts';

export interface FailoverGrantsProps {
  readonly system: string;
  readonly database: FailoverDatabase;
  readonly regions: Config['regions'];
  readonly role: 'primary' | 'recovery';
  readonly zoneId: string | null;
}

/**
 * What the functions of the platform may do to this database: its secrets, its machines, its record. They are policies
 * of this stack on the functions' roles, so that a function can touch the databases that are deployed and no others.
 */
export class FailoverGrants extends Construct {
  private readonly system: string;

  constructor(scope: Construct, id: string, { system, database, regions, role, zoneId }: FailoverGrantsProps) {
    super(scope, id);
    this.system = system;
    const secrets: Grant = {
      actions: ['secretsmanager:GetSecretValue'],
      resources: [...new Set([database.failover.secret, database.standby.secret])].map((name) => secretArn(this, name)),
    };
    this.permit('failover-probe', secrets);
    if (role === 'primary') return;
    this.permit('failover-server', secrets);
    const fence = [...this.machines(database, regions), ...this.applications(database, regions)];
    if (fence.length > 0) this.permit('failover-fence', ...fence);
    if (database.endpoint.mode === 'record-update' && zoneId !== null) {
      const zone = Stack.of(this).formatArn({
        service: 'route53',
        region: '',
        account: '',
        resource: 'hostedzone',
        resourceName: zoneId,
      });
      this.permit('failover-traffic', {
        actions: ['route53:ChangeResourceRecordSets'],
        resources: [zone],
      });
    }
  }

  private machines({ failover }: FailoverDatabase, regions: Config['regions']): Grant[] {
    const found = [
      { region: regions.primary, compute: failover.primary },
      { region: regions.recovery, compute: failover.standby },
    ];
    return found.flatMap(({ region, compute }) => {
      if (compute === undefined) return [];
      const arn = (service: string, resource: string, resourceName: string) =>
        Stack.of(this).formatArn({ service, region, resource, resourceName });
      if (compute.kind === 'ec2') {
        return [
          {
            actions: ['ec2:StopInstances', 'ec2:StartInstances'],
            resources: [arn('ec2', 'instance', compute.instanceId)],
          },
          { actions: ['ec2:DescribeInstances'], resources: ['*'], wildcard: 'The API has no resource.' },
        ];
      }
      const cluster = arn('ecs', 'cluster', compute.cluster);
      const inCluster = { ArnEquals: { 'ecs:cluster': cluster } };
      return [
        {
          actions: ['ecs:UpdateService', 'ecs:DescribeServices'],
          resources: [arn('ecs', 'service', `${compute.cluster}/${compute.service}`)],
        },
        {
          actions: ['ecs:ListTasks'],
          resources: ['*'],
          conditions: inCluster,
          wildcard: 'The API has no resource but container instances; the condition names the cluster.',
        },
        {
          actions: ['ecs:StopTask', 'ecs:DescribeTasks'],
          resources: [arn('ecs', 'task', `${compute.cluster}/*`)],
          conditions: inCluster,
          wildcard: 'ECS names the tasks of a service; the cluster is that of the database.',
        },
      ];
    });
  }

  private applications({ failover }: FailoverDatabase, regions: Config['regions']): Grant[] {
    if (failover.applications.length === 0) return [];
    return [
      {
        actions: ['ecs:UpdateService'],
        resources: failover.applications.map(({ region = regions.recovery, cluster, service }) =>
          Stack.of(this).formatArn({
            service: 'ecs',
            region,
            resource: 'service',
            resourceName: `${cluster}/${service}`,
          }),
        ),
      },
    ];
  }

  private permit(name: FailoverFunction, ...grants: readonly Grant[]): void {
    const roleName = failoverRoleName(this.system, name, Stack.of(this).region);
    allow(new Policy(this, name, { roles: [Role.fromRoleName(this, `${name}-role`, roleName)] }), ...grants);
  }
}
