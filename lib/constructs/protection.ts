import { ArnFormat, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import {
  alarmName,
  clusterName,
  protectionParameterName,
  receiverName,
  settingsParameterName,
} from '../config/names.ts';
import type { ProtectionSettings } from '../core/protection-settings.ts';
import { parameterArn } from './arns.ts';
import type { Grant } from './permissions.ts';
import { SettingsParameter } from './settings-parameter.ts';

export interface ProtectionProps {
  readonly system: string;
  readonly database: string;
  /** Of the database, in this region. */
  readonly alarms: readonly string[];
  readonly receivesWal: boolean;
}

/**
 * What protects a database in the region that holds its writer. The templates switch it on in the primary region; from
 * then on lambdas/failover-follow.ts does, by the role item.
 */
export class Protection extends Construct {
  constructor(scope: Construct, id: string, { system, database, alarms, receivesWal }: ProtectionProps) {
    super(scope, id);
    const settings: ProtectionSettings = {
      schemaVersion: 1,
      alarms: [...alarms],
      receiver: receivesWal ? { cluster: clusterName(system), service: receiverName(system, database) } : null,
    };
    new SettingsParameter(this, 'Settings', {
      parameterName: protectionParameterName(system, database),
      description: `What protects ${database} of ${system} where its writer is`,
      database,
      settings,
    });
  }
}

/** What the function that lets protection follow the writers may do about it, in its own region. */
export function protectionGrants(scope: Construct, system: string): Grant[] {
  const wildcard = 'Serves every database of the system; a database is added without touching the platform.';
  const arn = (service: string, resource: string, resourceName: string, format: ArnFormat) =>
    Stack.of(scope).formatArn({ service, resource, resourceName, arnFormat: format });
  return [
    { actions: ['ssm:GetParameter'], resources: [parameterArn(scope, settingsParameterName(system, '*'))], wildcard },
    {
      actions: ['cloudwatch:EnableAlarmActions', 'cloudwatch:DisableAlarmActions', 'cloudwatch:SetAlarmState'],
      resources: [arn('cloudwatch', 'alarm', alarmName(system, '*', '*'), ArnFormat.COLON_RESOURCE_NAME)],
      wildcard,
    },
    {
      actions: ['cloudwatch:DescribeAlarms'],
      resources: [arn('cloudwatch', 'alarm', '*', ArnFormat.COLON_RESOURCE_NAME)],
      wildcard: 'The API lists: it knows no single alarm.',
    },
    {
      actions: ['ecs:DescribeServices', 'ecs:UpdateService'],
      resources: [
        arn('ecs', 'service', `${clusterName(system)}/${receiverName(system, '*')}`, ArnFormat.SLASH_RESOURCE_NAME),
      ],
      wildcard,
    },
  ];
}
