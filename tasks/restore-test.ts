import { getText, list, type ObjectStore, openStore, putOnce } from '../lib/aws/object-store.ts';
import { PgdrError } from '../lib/core/errors.ts';
import * as keys from '../lib/core/keys.ts';
import { type Manifest, parseManifest } from '../lib/core/manifest.ts';
import type { ProofSummary } from '../lib/core/outcome.ts';
import {
  type Check,
  compareTables,
  errorOfLevel,
  highestLevel,
  judge,
  type ProofReport,
  type Restored,
  totalRows,
} from '../lib/core/proof.ts';
import { proofPage } from '../lib/core/proof-page.ts';
import * as catalog from '../lib/postgres/catalog.ts';
import { connect } from '../lib/postgres/connection.ts';
import { type EphemeralServer, startEphemeralServer } from '../lib/postgres/ephemeral.ts';
import { takeFingerprint } from '../lib/postgres/fingerprint.ts';
import { checkMajors } from '../lib/postgres/preflight.ts';
import { toolVersion } from '../lib/postgres/tools.ts';
import { type JobContext, JobFailure } from './job.ts';
import { log } from './log.ts';
import { restore } from './restore.ts';

/**
 * Restores a backup (the latest, or the one asked for) into a throwaway server inside this task and proves it to L4:
 * proof levels are in docs/architecture.md. The report is stored whether or not the proof holds.
 */
export async function restoreTest(context: JobContext): Promise<ProofSummary> {
  const { settings, signal, attempt, directory } = context;
  const began = Date.now();
  const seconds = (since: number) => (Date.now() - since) / 1000;
  const store = openStore(settings.bucket);
  const key = await chooseManifest(store, context);
  const manifest = parseManifest(await getText(store, key, 'BackupNotFound'), key);
  log('backup chosen', { backup: manifest.id, objects: manifest.objects.length });

  const server = await startEphemeralServer(directory, signal);
  try {
    const version = await toolVersion(server.tools);
    checkMajors(version.major, version.text, manifest.serverVersionNum);
    await restore(manifest, store, server, { directory, concurrency: settings.logical.concurrency, signal });
    const restoreSeconds = seconds(began);

    const proofBegan = Date.now();
    const restored = await inspect(server, manifest);
    const tables = compareTables(manifest.tables, restored.tables);
    const checks = [...heldOnTheWay(manifest), ...judge(manifest, restored, tables)];
    const level = highestLevel(checks);
    const report: ProofReport = {
      schemaVersion: 1,
      id: keys.timeOrderedId(new Date(began), attempt),
      database: settings.database,
      backupId: manifest.id,
      manifestKey: key,
      serverVersion: server.version,
      level,
      holds: checks.every((check) => check.held),
      checks,
      tables,
      startedAt: new Date(began).toISOString(),
      restoreSeconds,
      proofSeconds: seconds(proofBegan),
      rpoSeconds: (began - Date.parse(manifest.snapshot.takenAt)) / 1000,
      rtoSeconds: seconds(began),
    };
    const reportKey = keys.proofKey(settings, report.id, 'json');
    await putOnce(store, reportKey, Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
    await putOnce(store, keys.proofKey(settings, report.id, 'html'), Buffer.from(proofPage(report)));
    const summary: ProofSummary = {
      id: report.id,
      reportKey,
      backupId: manifest.id,
      level,
      tables: tables.length,
      rows: totalRows(tables),
      restoreSeconds,
      proofSeconds: report.proofSeconds,
      rpoSeconds: report.rpoSeconds,
      rtoSeconds: report.rtoSeconds,
    };
    const broken = checks.find((check) => !check.held);
    if (broken)
      throw new JobFailure(errorOfLevel[broken.level], `${broken.name}: ${broken.detail}`, { proof: summary });
    return summary;
  } finally {
    await server.stop();
  }
}

/** The manifest of the backup that was asked for, or of the newest one: ids sort by time. */
async function chooseManifest(store: ObjectStore, { settings, input }: JobContext): Promise<string> {
  const { backupId } = input;
  const folder = typeof backupId === 'string' ? keys.backupPrefix(settings, backupId) : keys.logicalPrefix(settings);
  let newest: string | undefined;
  // Listed rather than read: without the right to list a whole bucket, S3 answers 403 for what does not exist.
  for await (const key of list(store, folder)) if (key.endsWith('/manifest.json')) newest = key;
  if (newest) return newest;
  throw new PgdrError('BackupNotFound', `nothing with a manifest below s3://${settings.bucket}/${folder}`);
}

/** Looks at the restored database with two connections: nobody writes to it, so no snapshot is shared. */
async function inspect(server: EphemeralServer, manifest: Manifest): Promise<Restored> {
  const connection = { ...server.connection, dbname: manifest.databases[0]?.name ?? 'postgres' };
  const clients = await Promise.all([0, 1].map(() => connect(connection, 'pgdr proof')));
  try {
    const client = clients[0] as (typeof clients)[number];
    const foreignKeys: Restored['foreignKeys'][number][] = [];
    for (const { name, table, orphanQuery } of await catalog.listForeignKeys(client)) {
      const { rows } = await client.query(orphanQuery);
      foreignKeys.push({ name, table, orphans: rows[0].orphans });
    }
    const ownedSequences: Restored['ownedSequences'][number][] = [];
    for (const { sequence, column, reachedQuery } of await catalog.listOwnedSequences(client)) {
      const { rows } = await client.query(reachedQuery);
      ownedSequences.push({ sequence, column, reached: rows[0].reached });
    }
    return {
      sequences: await catalog.listSequences(client),
      inventory: await catalog.takeInventory(client),
      extensions: (await catalog.describeDatabase(client)).extensions,
      foreignKeys,
      ownedSequences,
      tables: await takeFingerprint(clients),
    };
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

/** The restore would have thrown had one of these failed; the report says what was shown. */
function heldOnTheWay(manifest: Manifest): Check[] {
  const objects = manifest.objects.length;
  const archives = manifest.objects.filter((o) => o.role !== 'fingerprint').length;
  return [
    { level: 'L0', name: 'object hashes', held: true, detail: `${objects} objects have the SHA-256 of the manifest` },
    { level: 'L1', name: 'archives', held: true, detail: `${archives} archives were read to their end` },
    { level: 'L2', name: 'restore', held: true, detail: 'no error outside the allow-list' },
  ];
}
