import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { vaultStackName } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import type { VaultConfig } from '../config/vault-schema.ts';
import { BackupVaultOfAws } from '../constructs/aws-backup.ts';
import { Vault } from '../constructs/vault.ts';

/** The whole of what pgdr makes in the vault's account. */
export class VaultStack extends Stack {
  constructor(scope: Construct, { config, vault }: { readonly config: Config; readonly vault: VaultConfig }) {
    const { account, region } = vault;
    super(scope, vaultStackName(config.name, region), {
      env: { account, region },
      description: `pgdr of ${config.name}: the vault, which copies of its backups come into`,
    });
    new Vault(this, 'Vault', { config, vault });
    const { awsBackup } = config;
    if (!awsBackup) return;
    new BackupVaultOfAws(this, 'AwsBackup', {
      system: config.name,
      mode: awsBackup.lock.mode,
      least: awsBackup.daily.keep,
      most: awsBackup.daily.keep,
      copiesFrom: vault.sourceAccount,
    });
  }
}
