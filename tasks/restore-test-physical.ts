import { baseBackupPrefix, manifestKey, recoveryProofKey } from '../lib/core/keys.ts';
import { versionText } from '../lib/core/manifest.ts';
import type { ProofSummary } from '../lib/core/outcome.ts';
import {
  type Check,
  type DatabaseProof,
  highestLevel,
  judgeRecovered,
  judgeUse,
  type MeasuredRpo,
} from '../lib/core/proof.ts';
import type { RecoveryTarget } from '../lib/core/recovery-target.ts';
import { assertionsOf } from '../lib/core/settings.ts';
import { listDatabases } from '../lib/postgres/catalog.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { inspectContent, inspectUse } from '../lib/postgres/inspect.ts';
import { openBackupStore } from './backup-store.ts';
import { type Comparison, compareWithSource } from './compare-recovered.ts';
import type { JobContext } from './job.ts';
import { log } from './log.ts';
import { concludeProof } from './proof-report.ts';
import { prepareRecovery, type Recovered, recoverPrepared } from './recover.ts';

/**
 * Recovers the newest base backup with all WAL that is stored, in a throwaway server inside this task, and proves what
 * can be proven of it. The RPO is measured: how old the last transaction was that came back.
 */
export async function restoreTestPhysical(context: JobContext): Promise<ProofSummary> {
  const { settings, signal } = context;
  const began = Date.now();
  const store = await openBackupStore(settings);
  const options = {
    directory: context.directory,
    concurrency: settings.logical.concurrency,
    timeoutSeconds: settings.tasks.restore.timeoutSeconds,
    signal,
  };
  const target: RecoveryTarget = { kind: 'latest' };
  const prepared = await prepareRecovery(store, settings, target, options);
  const compareBegan = Date.now();
  const comparison = await compareWithSource(prepared, store, settings, options);
  const whole = comparison.resumable ? prepared : await prepareRecovery(store, settings, target, options);
  const compareSeconds = (Date.now() - compareBegan) / 1000 - comparison.replaySeconds;
  const recovered = await recoverPrepared(whole, store, settings, target, options);
  const { clone, backup } = recovered;
  try {
    const restoreSeconds = (Date.now() - began) / 1000 - compareSeconds;
    const proofBegan = Date.now();
    const kept = recovered.lastTransactionAt ?? comparison.lastTransactionAt ?? backup.stoppedAt;
    // Clocks differ: no loss is negative.
    const seconds = Math.max(0, (recovered.listedAt - Date.parse(kept)) / 1000);
    const rpo: MeasuredRpo = { seconds, from: 'last recovered transaction' };
    const databases: DatabaseProof[] = [];
    for (const name of await databasesOf(clone.connection)) {
      const assertions = assertionsOf(settings, name);
      const proof = await proveDatabase({ ...clone.connection, dbname: name }, recovered, rpo, assertions, signal);
      databases.push(withComparison(proof, comparison));
    }
    return await concludeProof(context, store, {
      began,
      keyOf: recoveryProofKey,
      backupId: backup.id,
      manifestKey: manifestKey(baseBackupPrefix(settings, backup.id)),
      sourceVersion: versionText(backup.serverVersionNum),
      serverVersion: clone.version,
      databases,
      restoreSeconds,
      proofSeconds: (Date.now() - proofBegan) / 1000 + compareSeconds,
    });
  } finally {
    await clone.stop();
  }
}

/** What was found on the way, when the server stood where a logical backup's snapshot had been taken. */
function withComparison(proof: DatabaseProof, { databases, why }: Comparison): DatabaseProof {
  const compared = databases.get(proof.name);
  const none: Check = { level: 'L4', name: 'content', held: false, unavailable: true, detail: why };
  const all = [...proof.checks, ...(compared?.checks ?? [none])];
  // What is lowest explains what is above it.
  const checks = all.toSorted((a, b) => (a.level < b.level ? -1 : a.level > b.level ? 1 : 0));
  return { ...proof, checks, tables: compared?.tables ?? [], level: highestLevel(checks) };
}

/** Without `postgres`, which holds nothing on most servers, unless there is no other. */
async function databasesOf(connection: Connection): Promise<string[]> {
  const client = await connect(connection, 'pgdr proof');
  try {
    const all = await listDatabases(client);
    const own = all.filter((name) => name !== 'postgres');
    return own.length > 0 ? own : all;
  } finally {
    await client.end().catch(() => {});
  }
}

async function proveDatabase(
  connection: Connection,
  { backup, lsn, timeline }: Recovered,
  rpo: MeasuredRpo,
  assertions: readonly string[],
  signal: AbortSignal,
): Promise<DatabaseProof> {
  const open = () => connect(connection, 'pgdr proof');
  const [first, second, fresh] = await Promise.all([open(), open(), open()]);
  const clients = [first, second];
  // Ending a connection fails its query: the only way to leave one that takes hours.
  const end = () => Promise.all([...clients, fresh].map((client) => client.end().catch(() => {})));
  signal.addEventListener('abort', end);
  try {
    signal.throwIfAborted();
    const content = await inspectContent(clients, null);
    const recovery = { objects: backup.objects.length, lsn, timeline, checksums: backup.dataChecksums };
    const use = await inspectUse(clients, fresh, assertions);
    const checks = [...judgeRecovered(content, recovery), ...judgeUse(use, rpo)];
    const level = highestLevel(checks);
    log('recovered database examined', { database: connection.dbname, level });
    return {
      name: connection.dbname,
      level,
      partial: null,
      checks,
      tables: [],
      rpoSeconds: rpo.seconds,
      rpoFrom: rpo.from,
    };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', end);
    await end();
  }
}
