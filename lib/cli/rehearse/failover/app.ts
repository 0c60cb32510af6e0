import { loadConfig } from '../../../config/load.ts';
import { buildApp } from '../../../stacks/build-app.ts';
import { SampleServersStack } from '../../../stacks/sample-servers-stack.ts';

/** pgdr as it is deployed, beside the servers that it protects: their owner would have stacks like these. */
const config = await loadConfig();
const app = buildApp(config, { context: JSON.parse(process.env.CDK_CONTEXT_JSON ?? '{}') });
for (const server of ['primary', 'standby'] as const) new SampleServersStack(app, { config, server });
app.synth();
