import { configPath, loadConfig } from '../lib/config/load.ts';
import { ConfigError } from '../lib/config/schema.ts';
import { buildVaultApp } from '../lib/stacks/build-app.ts';

/**
 * The CDK app of the vault's account, apart from the other so that nothing of pgdr's own account has to be allowed to
 * deploy there: `npx cdk deploy --app 'node bin/vault.ts' --profile …`.
 */
const context: { config?: string } = JSON.parse(process.env.CDK_CONTEXT_JSON ?? '{}');

try {
  buildVaultApp(await loadConfig(configPath(context.config))).synth();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
