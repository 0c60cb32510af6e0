import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll } from 'vitest';
import { describeWithPeers } from './peers.ts';
import { checksumCases } from './s3-checksum-suite.ts';
import { type Differences, describeCases, type S3Endpoint } from './s3-suites.ts';
import { wormCases } from './s3-worm-suite.ts';

/**
 * The suites on versitygw, which keeps objects as files and what belongs to them in extended attributes. Its known
 * differences from AWS are here and, with their reasons, in README.md.
 */
const lockDifferences: Differences = {
  'a bucket with Object Lock cannot stop keeping versions': 'InvalidBucketState has status 400, not 409',
  'the default retention is told with the object': 'a default is looked up at deletion, not kept with the object',
  "a put's own retention goes before the default": 'a bypass of GOVERNANCE meets a COMPLIANCE that is the default',
  'an object without a lock has none to be told': 'NoSuchObjectLockConfiguration has status 400, not 404',
  'a put that asks for a lock needs a digest': 'none is asked for',
};
const checksumDifferences: Differences = {
  'GetObjectAttributes tells the sizes and checksums of the parts': 'ObjectParts is left out',
};

const region = 'eu-central-1';
const credentials = { accessKeyId: 'judge', secretAccessKey: 'judge-secret' };

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describeWithPeers('versitygw', ['versitygw'], (program) => {
  const folder = mkdtempSync(join(tmpdir(), 's3-judge-'));
  const clients: S3Client[] = [];
  let gateway: ChildProcess;
  let address: string;

  const endpoint = (): S3Endpoint => ({
    region,
    client(options) {
      const client = new S3Client({
        endpoint: address,
        region,
        credentials,
        forcePathStyle: true,
        maxAttempts: 1,
        ...options,
      });
      clients.push(client);
      return client;
    },
  });

  beforeAll(async () => {
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    for (const name of ['objects', 'versions']) mkdirSync(join(folder, name));
    gateway = spawn(
      program,
      [
        ...['--port', `127.0.0.1:${port}`, '--region', region, '--quiet'],
        ...['posix', '--versioning-dir', join(folder, 'versions'), join(folder, 'objects')],
      ],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          ROOT_ACCESS_KEY: credentials.accessKeyId,
          ROOT_SECRET_KEY: credentials.secretAccessKey,
        },
      },
    );
    const gone = once(gateway, 'exit').then(([code]) => {
      throw new Error(`versitygw ended with ${code}: does the file system of ${folder} keep extended attributes?`);
    });
    gone.catch(() => {});
    const answers = async () => {
      for (;;) {
        const there = await fetch(address).then(
          () => true,
          () => false,
        );
        if (there) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await Promise.race([answers(), gone]);
  });

  afterAll(async () => {
    for (const client of clients) client.destroy();
    if (gateway.exitCode === null) {
      const ended = once(gateway, 'exit');
      gateway.kill('SIGKILL');
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  describeCases('Object Lock', wormCases, endpoint, lockDifferences);
  describeCases('checksums', checksumCases, endpoint, checksumDifferences);
});
