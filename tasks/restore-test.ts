import { proofKey } from '../lib/core/keys.ts';
import { versionText } from '../lib/core/manifest.ts';
import type { ProofSummary } from '../lib/core/outcome.ts';
import { type DatabaseProof, highestLevel } from '../lib/core/proof.ts';
import { assertionsOf } from '../lib/core/settings.ts';
import { startEphemeralServer } from '../lib/postgres/ephemeral.ts';
import { checkNotOlder } from '../lib/postgres/preflight.ts';
import { toolVersion } from '../lib/postgres/tools.ts';
import { openBackupStore } from './backup-store.ts';
import { chooseBackup } from './choose-backup.ts';
import type { JobContext } from './job.ts';
import { log } from './log.ts';
import { concludeProof } from './proof-report.ts';
import { prove } from './prove.ts';
import { restore } from './restore.ts';

/**
 * Restores a backup (the latest, or the one asked for) into a throwaway server inside this task and proves it: the
 * levels are in docs/architecture.md. The report is stored whether or not the proof holds.
 */
export async function restoreTest(context: JobContext): Promise<ProofSummary> {
  const { settings, signal, directory } = context;
  const began = Date.now();
  const seconds = (since: number) => (Date.now() - since) / 1000;
  const store = await openBackupStore(settings);
  const { backupId } = context.input;
  const { key, manifest } = await chooseBackup(store, settings, typeof backupId === 'string' ? backupId : null);
  log('backup chosen', { backup: manifest.id, objects: manifest.objects.length });

  const server = await startEphemeralServer(directory, signal);
  try {
    const version = await toolVersion(server.tools);
    checkNotOlder(version.major, manifest.serverVersionNum);
    const restored = await restore(manifest, store, server, {
      directory,
      concurrency: settings.logical.concurrency,
      signal,
    });
    const restoreSeconds = seconds(began);

    const proofBegan = Date.now();
    const databases: DatabaseProof[] = [];
    for (const each of restored) {
      const { database, plan } = each;
      const connection = { ...server.connection, dbname: database.name };
      const assertions = assertionsOf(settings, database.name);
      const { checks, tables, rpo } = await prove(connection, each, { assertions, diedAt: began, signal });
      const { name } = database;
      const { partial } = plan;
      const level = highestLevel(checks);
      databases.push({ name, level, partial, checks, tables, rpoSeconds: rpo.seconds, rpoFrom: rpo.from });
    }
    return await concludeProof(context, store, {
      began,
      keyOf: proofKey,
      backupId: manifest.id,
      manifestKey: key,
      sourceVersion: versionText(manifest.serverVersionNum),
      serverVersion: server.version,
      databases,
      restoreSeconds,
      proofSeconds: seconds(proofBegan),
    });
  } catch (error) {
    throw server.explain(error);
  } finally {
    await server.stop();
  }
}
