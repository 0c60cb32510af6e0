import { configPath, loadConfig } from '../lib/config/load.ts';
import { ConfigError } from '../lib/config/schema.ts';
import { buildApp } from '../lib/stacks/build-app.ts';

/** The CDK app. `cdk synth -c config=other.config.ts`, or PGDR_CONFIG, names another configuration. */
const context: { config?: string } = JSON.parse(process.env.CDK_CONTEXT_JSON ?? '{}');

try {
  buildApp(await loadConfig(configPath(context.config))).synth();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
