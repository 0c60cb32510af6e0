import { createS3 } from '../local/facades/s3.ts';
import { startHost } from '../local/host.ts';

/** The S3 of the local cloud in a process of its own, for `s3-local.ts`: directory and encryption as arguments. */
const [directory = '', algorithm = 'aws:kms'] = process.argv.slice(2);
const region = 'eu-central-1';

const host = await startHost({ directory, regions: [region], verbose: (line) => process.stderr.write(`${line}\n`) });
const s3 = host.add(createS3(host.world));
const bucket = 'bench';
const rule = { ServerSideEncryptionByDefault: { SSEAlgorithm: algorithm } };
await s3.resources['AWS::S3::Bucket']?.(
  {
    BucketName: bucket,
    VersioningConfiguration: { Status: 'Enabled' },
    BucketEncryption: { ServerSideEncryptionConfiguration: [rule] },
  },
  { region, stack: 'bench', logicalId: 'Bucket', generatedName: bucket, assembly: directory },
);

process.on('message', (message) => {
  if (message === 'usage')
    process.send?.({ maxRssBytes: process.resourceUsage().maxRSS * 1024, cpu: process.cpuUsage() });
});
process.on('disconnect', () => void host.close().then(() => process.exit()));
process.send?.({ bucket, client: host.client(region) });
