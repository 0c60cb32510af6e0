import { App, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import cdk from '../../cdk.json' with { type: 'json' };
import { type Config, ConfigError } from '../config/schema.ts';
import { AwsBackupStack } from './aws-backup-stack.ts';
import { DatabaseStack } from './database-stack.ts';
import { KeyStack } from './key-stack.ts';
import { PlatformStack } from './platform-stack.ts';
import { VaultStack } from './vault-stack.ts';

export interface BuildOptions {
  /** Where the cloud assembly is written; `cdk` says it in the environment. */
  readonly outdir?: string;
  readonly context?: Readonly<Record<string, unknown>>;
}

function emptyApp(config: Config, options: BuildOptions): App {
  // The context of cdk.json holds the library's feature flags, for a synthesis that is not started by `cdk` too.
  const context = { ...cdk.context, ...options.context };
  const app = new App({ outdir: options.outdir, context, analyticsReporting: false });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { verbose: true }));
  Tags.of(app).add('pgdr:system', config.name);
  for (const [key, value] of Object.entries(config.tags)) Tags.of(app).add(key, value);
  return app;
}

/** What is deployed in the vault's account; throws `ConfigError` where none is configured. */
export function buildVaultApp(config: Config, options: BuildOptions = {}): App {
  const { vault } = config;
  if (!vault) throw new ConfigError('The configuration has no vault. Write one, as docs/vault.md says.');
  const app = emptyApp(config, options);
  new VaultStack(app, { config, vault });
  return app;
}

/** The whole app: for each region a platform stack, and a stack for each database. No account is asked for. */
export function buildApp(config: Config, options: BuildOptions = {}): App {
  const app = emptyApp(config, options);
  if (config.databases.some(({ logical }) => logical.clientEncryption)) {
    const [primary, recovery] = (['primary', 'recovery'] as const).map((role) => new KeyStack(app, { config, role }));
    recovery?.addStackDependency(primary as KeyStack);
  }
  const recovery = new PlatformStack(app, { config, role: 'recovery' });
  const primary = new PlatformStack(app, { config, role: 'primary' });
  // S3 copies to a bucket that exists alone.
  primary.addStackDependency(recovery);
  const { awsBackup } = config;
  if (awsBackup) {
    const copies = new AwsBackupStack(app, { config, role: 'recovery', awsBackup });
    const plans = new AwsBackupStack(app, { config, role: 'primary', awsBackup });
    // A copy goes to a vault that exists; the checks of what was restored run in the platform's network.
    plans.addStackDependency(copies);
    plans.addStackDependency(primary);
  }
  for (const platform of [primary, recovery]) {
    for (const database of config.databases) {
      new DatabaseStack(app, {
        config,
        role: platform === primary ? 'primary' : 'recovery',
        database,
      }).addStackDependency(platform);
    }
  }
  return app;
}
