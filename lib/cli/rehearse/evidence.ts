import { GetMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { prefixOfManifest, verificationKey } from '../../core/keys.ts';
import { type Manifest, parseManifest } from '../../core/manifest.ts';
import { type MetricName, metricCatalogue, metricNamespace } from '../../core/metrics.ts';
import type { ProofReport } from '../../core/proof.ts';
import type { Verification } from '../../core/verification.ts';
import type { Clients } from '../clients.ts';

/** What the cloud itself shows of a rehearsal, read back through its APIs rather than taken from a task's word. */

export type Metrics = Partial<Record<MetricName, number>>;

/** An object of the bucket as text; undefined when there is none. */
export async function readObject(clients: Clients, bucket: string, key: string): Promise<string | undefined> {
  try {
    const { Body } = await clients.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return await Body?.transformToString();
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return undefined;
    throw error;
  }
}

export interface BackupEvidence {
  readonly manifest: Manifest | undefined;
  readonly verification: Verification | undefined;
}

/** `key` is that of the manifest. */
export async function readBackup(clients: Clients, bucket: string, key: string): Promise<BackupEvidence> {
  const manifest = await readObject(clients, bucket, key);
  const verification = await readObject(clients, bucket, verificationKey(prefixOfManifest(key)));
  return {
    manifest: manifest === undefined ? undefined : parseManifest(manifest, key),
    verification: verification === undefined ? undefined : (JSON.parse(verification) as Verification),
  };
}

export async function readProof(clients: Clients, bucket: string, key: string): Promise<ProofReport | undefined> {
  const text = await readObject(clients, bucket, key);
  return text === undefined ? undefined : (JSON.parse(text) as ProofReport);
}

/** The latest value since `from` of every metric of the catalogue that has one. */
export async function readMetrics(clients: Clients, database: string, from: Date): Promise<Metrics> {
  const names = Object.keys(metricCatalogue) as MetricName[];
  const { MetricDataResults } = await clients.cloudwatch.send(
    new GetMetricDataCommand({
      // Samples are kept by the minute in which they were taken.
      StartTime: new Date(Math.floor(from.getTime() / 60_000) * 60_000),
      EndTime: new Date(Date.now() + 60_000),
      ScanBy: 'TimestampDescending',
      MetricDataQueries: names.map((name, index) => ({
        Id: `m${index}`,
        MetricStat: {
          Metric: { Namespace: metricNamespace, MetricName: name, Dimensions: [{ Name: 'Database', Value: database }] },
          Period: 1,
          Stat: 'Minimum',
        },
      })),
    }),
  );
  const metrics: Metrics = {};
  for (const { Id, Values } of MetricDataResults ?? []) {
    const name = names[Number(Id?.slice(1))];
    if (name !== undefined && Values?.[0] !== undefined) metrics[name] = Values[0];
  }
  return metrics;
}
