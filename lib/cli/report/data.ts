import type { DatabaseConfig } from '../../config/database-schema.ts';
import type { Config } from '../../config/schema.ts';
import type { CostLine } from '../../core/cost.ts';
import { standardPrices } from '../../core/prices.ts';
import type { ProofReport } from '../../core/proof.ts';
import type { RestoreTestFact } from '../../core/recoverability.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import type { Clients } from '../clients.ts';
import { type ListedBackup, listBackups } from '../commands/list.ts';
import type { DatabaseStatus } from '../commands/status.ts';
import { readSettings } from '../deployed.ts';
import { listKeys, proofsPrefix, readObject } from '../evidence.ts';
import { costLines, measuredOf, measuredWal } from '../measured.ts';

/** Everything that the report of one database is drawn from. */
export interface ReportData {
  readonly status: DatabaseStatus;
  readonly settings: DatabaseSettings;
  /** Newest first. */
  readonly backups: readonly ListedBackup[];
  /** Newest first. */
  readonly tests: readonly (RestoreTestFact & { readonly restoreSeconds: number; readonly proofSeconds: number })[];
  /** The newest report of a restore test. */
  readonly proof: ProofReport | undefined;
  readonly cost: readonly CostLine[];
  readonly schedules: { readonly backup: string; readonly restoreTest: string };
}

/** A year of weekly restore tests. */
const mostTests = 52;

export async function readReportData(
  clients: Clients,
  config: Config,
  database: DatabaseConfig,
  status: DatabaseStatus,
): Promise<ReportData> {
  const settings = await readSettings(clients, config.name, database.name);
  const backups = await listBackups(clients, settings);
  const reports = await readProofs(clients, settings);
  const tests = reports.map(
    ({ id, backupId, startedAt, holds, level, rtoSeconds, rpoSeconds, restoreSeconds, proofSeconds }) => ({
      id,
      backupId,
      at: startedAt,
      holds,
      level,
      rtoSeconds,
      rpoSeconds,
      restoreSeconds,
      proofSeconds,
    }),
  );
  const logical = measuredOf(backups, tests);
  const measured = logical && { ...logical, ...(database.physical && (await measuredWal(clients, settings))) };
  return {
    status,
    settings,
    backups,
    tests,
    proof: reports[0],
    cost: measured ? costLines(config, database, measured, standardPrices) : [],
    schedules: {
      backup: database.logical.schedule.expression,
      restoreTest: database.restoreTest.schedule.expression,
    },
  };
}

async function readProofs(clients: Clients, settings: DatabaseSettings): Promise<ProofReport[]> {
  const keys = (await listKeys(clients, settings.bucket, proofsPrefix(settings))).filter((key) =>
    key.endsWith('.json'),
  );
  const texts = await Promise.all(
    keys
      .slice(-mostTests)
      .reverse()
      .map((key) => readObject(clients, settings.bucket, key)),
  );
  return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as ProofReport);
}
