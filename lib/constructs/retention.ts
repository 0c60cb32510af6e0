import { Duration } from 'aws-cdk-lib';
import { ParameterTier, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { retentionSettingsParameterName, settingsParameterName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import type { RetentionSettings } from '../core/retention/settings.ts';
import { functionArn, parameterArn } from './arns.ts';
import type { BackupVault } from './backup-vault.ts';
import type { OutcomeTopic } from './outcome-topic.ts';
import type { Grant } from './permissions.ts';
import { WorkerFunction } from './worker-function.ts';
import { Workflow } from './workflow.ts';

export const retentionWorkflow = 'retention';
/** After the night's backups, and once their copies have arrived in the other region. */
export const retentionSchedule = 'cron(30 6 * * ? *)';

export interface RetentionProps {
  readonly system: string;
  readonly vault: BackupVault;
  readonly outcomes: OutcomeTopic;
}

/** The machine that removes what no rule keeps, in each region by what that region's bucket holds. */
export class Retention extends Construct {
  constructor(scope: Construct, id: string, { system, vault, outcomes }: RetentionProps) {
    super(scope, id);
    const { bucket, key } = vault;
    const everyDatabase = 'Serves every database of the system; a database is added without touching the platform.';
    const readSettings: Grant = {
      actions: ['ssm:GetParameter'],
      resources: [parameterArn(this, settingsParameterName(system, '*'))],
      wildcard: everyDatabase,
    };
    const listing: Grant = { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] };
    const below = (...keys: readonly string[]) => keys.map((pattern) => bucket.arnForObjects(pattern));
    const plan = new WorkerFunction(this, 'Plan', {
      system,
      name: 'plan-retention',
      description: 'Decides which backups and WAL no rule keeps, and writes the decision down',
      timeout: Duration.minutes(15),
      memorySize: 1769,
      grants: [
        readSettings,
        listing,
        {
          actions: ['s3:GetObject'],
          resources: below('*/manifest.json', '*/wal/*.history', '*/wal/archive.json'),
          wildcard: everyDatabase,
        },
        { actions: ['s3:PutObject'], resources: below('*/retention/*'), wildcard: everyDatabase },
        { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources: [key.keyArn] },
      ],
    });
    const remove = new WorkerFunction(this, 'Remove', {
      system,
      name: 'remove-expired',
      description: 'Marks as deleted what a plan of retention lists',
      timeout: Duration.minutes(5),
      memorySize: 512,
      grants: [
        { actions: ['s3:GetObject'], resources: below('*/retention/*'), wildcard: everyDatabase },
        // Of the current version alone: without s3:DeleteObjectVersion nothing is gone for good by its hand.
        {
          actions: ['s3:DeleteObject'],
          resources: below('*/logical/*', '*/base/*', '*/wal/*'),
          wildcard: everyDatabase,
        },
        { actions: ['kms:Decrypt'], resources: [key.keyArn] },
      ],
    });
    const recordOutcome = functionArn(this, system, 'record-outcome');
    new Workflow(this, 'Workflow', {
      system,
      name: retentionWorkflow,
      substitutions: {
        System: system,
        Topic: outcomes.topic.topicArn,
        PlanRetention: plan.function.functionArn,
        RemoveExpired: remove.function.functionArn,
        RecordOutcome: recordOutcome,
      },
      grants: [
        readSettings,
        {
          actions: ['lambda:InvokeFunction'],
          resources: [plan.function.functionArn, remove.function.functionArn, recordOutcome],
        },
        ...outcomes.publish,
      ],
    });
  }
}

const day = 86_400;

export interface RetentionSettingsProps {
  readonly system: string;
  readonly database: DatabaseConfig;
  readonly retention: Config['retention'];
}

/** The parameter with the rules of one database: its own, else those of all. */
export class RetentionSettingsParameter extends Construct {
  constructor(scope: Construct, id: string, { system, database, retention }: RetentionSettingsProps) {
    super(scope, id);
    const { daily, monthly } = { ...retention, ...database.retention };
    const settings: RetentionSettings = {
      schemaVersion: 1,
      dailySeconds: daily,
      monthlySeconds: monthly,
      windowSeconds: database.physical?.pitrWindow ?? 0,
      // Longer than any task may take.
      orphanSeconds: 2 * day,
    };
    new StringParameter(this, 'Parameter', {
      parameterName: retentionSettingsParameterName(system, database.name),
      description: `How long backups of ${database.name} stay in ${system}`,
      stringValue: JSON.stringify(settings),
      tier: ParameterTier.STANDARD,
    });
  }
}
