import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { AwsBackupConfig } from '../config/aws-backup-schema.ts';
import { awsBackupStackName, awsBackupVaultName } from '../config/names.ts';
import { AwsBackup, BackupVaultOfAws } from '../constructs/aws-backup.ts';
import { RestoreValidation } from '../constructs/restore-validation.ts';
import { type RegionProps, regionOf } from './platform-stack.ts';

export interface AwsBackupStackProps extends RegionProps {
  readonly awsBackup: AwsBackupConfig;
}

/** AWS Backup in a region: a locked vault, and in the primary region what fills it and tests it. */
export class AwsBackupStack extends Stack {
  constructor(scope: Construct, props: AwsBackupStackProps) {
    const { config, role, awsBackup } = props;
    const { name: system, regions, vault: elsewhere } = config;
    const region = regionOf(props);
    super(scope, awsBackupStackName(system, region), {
      env: { region },
      description: `pgdr of ${system} in its ${role} region: AWS Backup of what carries the tag BackupPolicy`,
    });
    // As in platform-stack.ts.
    this.templateOptions.metadata = { 'cfn-lint': { config: { ignore_checks: ['W3005'] } } };
    const vault = new BackupVaultOfAws(this, 'Vault', {
      system,
      mode: awsBackup.lock.mode,
      least: Math.min(awsBackup.hourly.keep, awsBackup.daily.keep),
      most: Math.max(awsBackup.hourly.keep, awsBackup.daily.keep),
    });
    if (role === 'recovery') return;
    const vaultIn = (where: string, account: string) =>
      `arn:${this.partition}:backup:${where}:${account}:backup-vault:${awsBackupVaultName(system)}`;
    new AwsBackup(this, 'Plans', {
      system,
      config: awsBackup,
      vault,
      copiesTo: [
        vaultIn(regions.recovery, this.account),
        ...(elsewhere ? [vaultIn(elsewhere.region, elsewhere.account)] : []),
      ],
    });
    if (config.databases.some(({ engine }) => engine === 'rds'))
      new RestoreValidation(this, 'Validation', { config, vault });
  }
}
