import { GetMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { GetObjectCommand, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { prefixOfManifest, proofKey, verificationKey } from '../core/keys.ts';
import { type Manifest, parseManifest } from '../core/manifest.ts';
import { type MetricName, metricCatalogue, metricNamespace } from '../core/metrics.ts';
import type { ProofReport } from '../core/proof.ts';
import type { DatabaseSettings } from '../core/settings.ts';
import type { Verification } from '../core/verification.ts';
import type { Clients } from './clients.ts';

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

/** The newest report of a restore test, if it was begun after `from`: one that failed leaves its report too. */
export async function latestProof(
  clients: Clients,
  settings: DatabaseSettings,
  from: Date,
): Promise<{ key: string; report: ProofReport } | undefined> {
  const keys = await listKeys(clients, settings.bucket, proofsPrefix(settings));
  const key = keys.filter((one) => one.endsWith('.json')).at(-1);
  const text = key && (await readObject(clients, settings.bucket, key));
  if (!key || !text) return undefined;
  const report = JSON.parse(text) as ProofReport;
  return Date.parse(report.startedAt) >= from.getTime() ? { key, report } : undefined;
}

/** Where the reports of a database's restore tests lie. */
export const proofsPrefix = (settings: DatabaseSettings): string =>
  proofKey(settings, '', 'json').replace(/\.json$/, '');

/** All keys below a prefix, in S3's order. */
export async function listKeys(clients: Clients, bucket: string, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { Contents } of paginateListObjectsV2({ client: clients.s3 }, { Bucket: bucket, Prefix: prefix })) {
    for (const { Key } of Contents ?? []) if (Key !== undefined) keys.push(Key);
  }
  return keys;
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
