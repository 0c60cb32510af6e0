import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { settingsParameterName, stateItemId, stateTableName } from '../config/names.ts';
import { walAuditItem } from '../core/wal-audit.ts';
import { parameterArn, tableArn } from './arns.ts';
import type { BackupVault } from './backup-vault.ts';
import { WorkerFunction } from './worker-function.ts';

export const walAuditFunction = 'audit-wal';
export const walAuditSchedule = 'rate(1 hour)';

/** The function that looks, every hour and for each database with physical backups, whether its WAL is whole. */
export class WalAudit extends Construct {
  constructor(scope: Construct, id: string, { system, vault }: { system: string; vault: BackupVault }) {
    super(scope, id);
    const { bucket, key } = vault;
    const everyDatabase = 'Audits the WAL of every database of the system.';
    new WorkerFunction(this, 'Function', {
      system,
      name: walAuditFunction,
      description: 'Looks whether the stored WAL is complete, unaltered and readable',
      timeout: Duration.minutes(15),
      memorySize: 1769,
      environment: { SYSTEM: system, STATE_TABLE: stateTableName(system) },
      grants: [
        {
          actions: ['ssm:GetParameter'],
          resources: [parameterArn(this, settingsParameterName(system, '*'))],
          wildcard: everyDatabase,
        },
        {
          actions: ['s3:GetObject'],
          resources: [bucket.arnForObjects('*/wal/*'), bucket.arnForObjects('*/base/*')],
          wildcard: everyDatabase,
        },
        { actions: ['s3:ListBucket', 's3:ListBucketVersions'], resources: [bucket.bucketArn] },
        {
          // What one run leaves for the next.
          actions: ['dynamodb:GetItem', 'dynamodb:PutItem'],
          resources: [tableArn(this, stateTableName(system))],
          conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [stateItemId('*', walAuditItem)] } },
        },
        { actions: ['kms:Decrypt'], resources: [key.keyArn] },
      ],
    });
  }
}
