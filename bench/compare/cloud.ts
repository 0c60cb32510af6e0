import type { Facade } from '../../local/facade.ts';
import { createS3 } from '../../local/facades/s3.ts';
import { createSecretsManager } from '../../local/facades/secrets-manager.ts';
import { startHost } from '../../local/host.ts';

/**
 * The cloud that everything is compared on, in a process of its own: the local cloud's S3 and Secrets Manager, and the
 * part of Step Functions that a task speaks with. Argument: a directory for the objects. The parent is sent the
 * environment of its clients, and how tasks ended.
 */
const [directory = ''] = process.argv.slice(2);
const region = 'eu-central-1';
const host = await startHost({ directory, regions: [region], verbose: (line) => process.stderr.write(`${line}\n`) });
const s3 = host.add(createS3(host.world));
await s3.resources['AWS::S3::Bucket']?.(
  {
    BucketName: 'bench',
    VersioningConfiguration: { Status: 'Enabled' },
    ObjectLockEnabled: true,
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' } }],
    },
  },
  { region, stack: 'bench', logicalId: 'Bucket', generatedName: 'bench', assembly: directory },
);
host.add(createSecretsManager(host.world));
/** A task's line to the execution that waits for it. */
const tokens: Facade = {
  service: 'states',
  operations: {
    SendTaskHeartbeat: async () => ({}),
    SendTaskSuccess: async (input) => {
      process.send?.({ output: JSON.parse((input as { output: string }).output) });
      return {};
    },
    SendTaskFailure: async (input) => {
      process.send?.({ failure: (input as { cause: string }).cause });
      return {};
    },
  },
};
host.add(tokens);
process.send?.({ environment: host.environment(region) });
process.on('disconnect', () => void host.close().then(() => process.exit()));
