import { afterAll, beforeAll } from 'vitest';
import { type S3Server, startS3 } from '../local/s3-server.ts';
import { checksumCases } from './s3-checksum-suite.ts';
import { describeCases, type S3Endpoint } from './s3-suites.ts';
import { wormCases } from './s3-worm-suite.ts';

/** The suites on the S3 of the local cloud, in which nothing may differ from AWS. */
let server: S3Server;
const endpoint = (): S3Endpoint => ({ region: 'eu-central-1', client: server.client });

beforeAll(async () => {
  server = await startS3();
});
afterAll(() => server.close());

describeCases('local S3, Object Lock', wormCases, endpoint);
describeCases('local S3, checksums', checksumCases, endpoint);
