import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import {
  CfnBackupPlan,
  CfnBackupSelection,
  CfnBackupVault,
  CfnRestoreTestingPlan,
  CfnRestoreTestingSelection,
} from 'aws-cdk-lib/aws-backup';
import {
  AnyPrincipal,
  Effect,
  ManagedPolicy,
  PolicyDocument,
  PolicyStatement,
  Role,
  ServicePrincipal,
} from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import type { AwsBackupConfig } from '../config/aws-backup-schema.ts';
import { awsBackupVaultName } from '../config/names.ts';
import { acknowledge } from './permissions.ts';

const day = 86_400;

/** Resources that carry this tag are taken: `hourly` every hour and every day, `daily` every day. */
export const policyTag = 'BackupPolicy';

/** What would take recovery points away, or let somebody do it. */
const destroying = [
  'backup:DeleteRecoveryPoint',
  'backup:DeleteBackupVault',
  'backup:DeleteBackupVaultLockConfiguration',
  'backup:UpdateRecoveryPointLifecycle',
  'backup:DisassociateRecoveryPoint',
];

export interface BackupVaultOfAwsProps {
  readonly system: string;
  readonly mode: AwsBackupConfig['lock']['mode'];
  /** Seconds. What is taken stays for so long at the least, whatever its plan says. */
  readonly least: number;
  readonly most: number;
  /** Another account whose recovery points may be copied here. */
  readonly copiesFrom?: string;
}

/** A vault of AWS Backup, locked, under a key of its own. */
export class BackupVaultOfAws extends Construct {
  readonly name: string;
  readonly vault: CfnBackupVault;

  constructor(scope: Construct, id: string, { system, mode, least, most, copiesFrom }: BackupVaultOfAwsProps) {
    super(scope, id);
    const { partition } = Stack.of(this);
    this.name = awsBackupVaultName(system);
    const key = new Key(this, 'Key', {
      description: `Recovery points of AWS Backup for ${system}`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const statements = [
      new PolicyStatement({
        effect: Effect.DENY,
        principals: [new AnyPrincipal()],
        actions: destroying,
        resources: ['*'],
      }),
    ];
    if (copiesFrom !== undefined) {
      const source = `arn:${partition}:iam::${copiesFrom}:root`;
      statements.push(
        PolicyStatement.fromJson({
          Effect: 'Allow',
          Principal: { AWS: source },
          Action: 'backup:CopyIntoBackupVault',
          Resource: '*',
        }),
      );
    }
    this.vault = new CfnBackupVault(this, 'Vault', {
      backupVaultName: this.name,
      encryptionKeyArn: key.keyArn,
      accessPolicy: new PolicyDocument({ statements }),
      lockConfiguration: {
        minRetentionDays: least / day,
        maxRetentionDays: most / day,
        // Three days are the least that AWS leaves for second thoughts; without the key the lock can be lifted.
        ...(mode === 'COMPLIANCE' && { changeableForDays: 3 }),
      },
    });
    this.vault.applyRemovalPolicy(RemovalPolicy.RETAIN);
  }
}

export interface AwsBackupProps {
  readonly system: string;
  readonly config: AwsBackupConfig;
  readonly vault: BackupVaultOfAws;
  /** ARNs of the vaults that every daily recovery point is copied to. */
  readonly copiesTo: readonly string[];
}

/** Plans, what they take, and the test that restores it. */
export class AwsBackup extends Construct {
  constructor(scope: Construct, id: string, { system, config, vault, copiesTo }: AwsBackupProps) {
    super(scope, id);
    const { hourly, daily, restoreTest } = config;
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('backup.amazonaws.com'),
      description: 'AWS Backup itself: takes recovery points, copies them and restores them for tests',
      managedPolicies: ['ForBackup', 'ForRestores'].map((what) =>
        ManagedPolicy.fromAwsManagedPolicyName(`service-role/AWSBackupServiceRolePolicy${what}`),
      ),
    });
    for (const what of ['ForBackup', 'ForRestores']) {
      acknowledge(
        role,
        `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSBackupServiceRolePolicy${what}]`,
        'Which actions each type of resource takes is known to AWS alone, and grows with AWS Backup.',
      );
    }
    const lifecycle = {
      deleteAfterDays: daily.keep / day,
      moveToColdStorageAfterDays: daily.coldAfter / day,
      // EBS has cold storage of another kind, which has to be asked for.
      optInToArchiveForSupportedResources: true,
    };
    const plan = (name: 'hourly' | 'daily', rule: CfnBackupPlan.BackupRuleResourceTypeProperty, tags: string[]) => {
      const made = new CfnBackupPlan(this, `Plan-${name}`, {
        backupPlan: { backupPlanName: `${system}-${name}`, backupPlanRule: [rule] },
      });
      made.addResourceDependency(vault.vault);
      new CfnBackupSelection(this, `Selection-${name}`, {
        backupPlanId: made.attrBackupPlanId,
        backupSelection: {
          selectionName: `${system}-${name}`,
          iamRoleArn: role.roleArn,
          listOfTags: tags.map((conditionValue) => ({
            conditionType: 'STRINGEQUALS',
            conditionKey: policyTag,
            conditionValue,
          })),
        },
      });
    };
    plan(
      'hourly',
      {
        ruleName: 'hourly',
        targetBackupVault: vault.name,
        scheduleExpression: 'cron(0 * * * ? *)',
        startWindowMinutes: 60,
        completionWindowMinutes: 180,
        lifecycle: { deleteAfterDays: hourly.keep / day },
      },
      ['hourly'],
    );
    plan(
      'daily',
      {
        ruleName: 'daily',
        targetBackupVault: vault.name,
        scheduleExpression: daily.schedule.expression,
        startWindowMinutes: 60,
        completionWindowMinutes: 720,
        lifecycle,
        copyActions: copiesTo.map((destinationBackupVaultArn) => ({ destinationBackupVaultArn, lifecycle })),
      },
      ['hourly', 'daily'],
    );

    // Names of restore testing take letters, digits and underscores.
    const name = `${system}_restores`;
    const testing = new CfnRestoreTestingPlan(this, 'RestoreTesting', {
      restoreTestingPlanName: name,
      scheduleExpression: restoreTest.schedule.expression,
      startWindowHours: 4,
      recoveryPointSelection: {
        algorithm: 'LATEST_WITHIN_WINDOW',
        includeVaults: [vault.vault.attrBackupVaultArn],
        recoveryPointTypes: ['SNAPSHOT', 'CONTINUOUS'],
        selectionWindowDays: 7,
      },
    });
    for (const type of ['RDS', 'EBS']) {
      const selection = new CfnRestoreTestingSelection(this, `Restore-${type}`, {
        restoreTestingPlanName: name,
        restoreTestingSelectionName: `${system}_${type.toLowerCase()}`,
        protectedResourceType: type,
        iamRoleArn: role.roleArn,
        protectedResourceConditions: {
          stringEquals: ['hourly', 'daily'].map((value) => ({ key: `aws:ResourceTag/${policyTag}`, value })),
        },
        // What is restored stays for so long, for the validation to look at it.
        validationWindowHours: 4,
      });
      selection.addResourceDependency(testing);
    }
  }
}
