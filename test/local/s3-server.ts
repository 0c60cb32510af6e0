import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { type CloudClock, createCloudClock } from '../../local/clock.ts';
import type { ApiCall, Interceptor, MadeResource, World } from '../../local/facade.ts';
import { createS3, type S3 } from '../../local/facades/s3.ts';
import { createOutages, type Outages } from '../../local/outages.ts';
import type { MetricSample } from '../../local/runtime/metric.ts';

/** The S3 facade alone behind an HTTP server, for tests: every caller is the administrator of the region it signs for. */
export interface S3Server {
  readonly endpoint: string;
  readonly directory: string;
  readonly facade: S3;
  readonly calls: ApiCall[];
  readonly notes: string[];
  /** Of the replication's metrics. */
  readonly samples: readonly MetricSample[];
  /** Runs in place of the cloud's interceptors. */
  intercept: Interceptor | undefined;
  /** Added to the clock, in milliseconds, for what looks at the time but waits for no timer. */
  elapsed: number;
  readonly clock: CloudClock;
  readonly outages: Outages;
  client(options?: Partial<S3ClientConfig>): S3Client;
  bucket(name: string, properties?: object, region?: string): MadeResource;
  /** Stops the server; the directory stays for another one. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export async function startS3(directory = mkdtempSync(join(tmpdir(), 's3-'))): Promise<S3Server> {
  const clients: S3Client[] = [];
  const clock = createCloudClock();
  const outages = createOutages();
  const world: World = {
    account: '111122223333',
    regions: ['eu-central-1', 'eu-west-1'],
    get endpoint() {
      return server.endpoint;
    },
    directory,
    now: () => clock.now() + server.elapsed,
    clock,
    outages,
    credentialsFor: () => ({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'token' }),
    async authorize(call) {
      server.calls.push(call);
      await server.intercept?.(call);
    },
    refusal: () => undefined,
    assertTrusted() {},
    log() {},
    note: (message) => void server.notes.push(message),
  };
  const samples: MetricSample[] = [];
  const facade = createS3(world, { onMetric: (sample) => samples.push(sample) });
  const listener = createServer((request, response) => {
    const region =
      /\/(\w+-\w+-\d)\/s3\//.exec(request.headers.authorization ?? request.url ?? '')?.[1] ?? 'eu-central-1';
    const principal = { arn: 'arn:aws:iam::111122223333:root' };
    void facade.http(request, response, { region, principal, requestId: randomUUID() });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const server: S3Server = {
    endpoint,
    directory,
    facade,
    calls: [],
    notes: [],
    samples,
    intercept: undefined,
    elapsed: 0,
    clock,
    outages,
    client(options) {
      const client = new S3Client({
        endpoint,
        region: 'eu-central-1',
        credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
        maxAttempts: 1,
        ...options,
      });
      clients.push(client);
      return client;
    },
    bucket(name, properties = {}, region = 'eu-central-1') {
      const maker = facade.resources['AWS::S3::Bucket'];
      return maker?.(
        { BucketName: name, ...properties },
        { region, stack: 'test', logicalId: 'Bucket', generatedName: `test-bucket-${name}`, assembly: directory },
      ) as MadeResource;
    },
    async stop() {
      for (const client of clients) client.destroy();
      clock.stop();
      await facade.close();
      listener.closeAllConnections();
      await new Promise((resolve) => listener.close(resolve));
    },
    async close() {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return server;
}
