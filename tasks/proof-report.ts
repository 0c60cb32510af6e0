import { type ObjectStore, putOnce } from '../lib/aws/object-store.ts';
import * as keys from '../lib/core/keys.ts';
import type { ProofSummary } from '../lib/core/outcome.ts';
import {
  type DatabaseProof,
  failedChecks,
  lowestLevel,
  type ProofReport,
  tablesOf,
  totalRows,
} from '../lib/core/proof.ts';
import { proofPage } from '../lib/core/proof-page.ts';
import { type JobContext, JobFailure } from './job.ts';

export interface Proven
  extends Pick<
    ProofReport,
    'backupId' | 'manifestKey' | 'sourceVersion' | 'serverVersion' | 'restoreSeconds' | 'proofSeconds'
  > {
  /** When the test began, milliseconds since the epoch. */
  readonly began: number;
  readonly databases: readonly DatabaseProof[];
  /** Where the report is stored. */
  readonly keyOf: typeof keys.proofKey;
}

/** Stores the report, whether or not the proof holds; throws the first check that does not. */
export async function concludeProof(
  { settings, attempt, keepReport }: JobContext,
  store: ObjectStore,
  { began, databases, keyOf, ...proven }: Proven,
): Promise<ProofSummary> {
  const [broken] = databases.flatMap(({ name, checks }) => failedChecks(checks).map((check) => ({ name, check })));
  const level = lowestLevel(databases.map((database) => database.level));
  const tables = tablesOf({ databases });
  const report: ProofReport = {
    schemaVersion: 1,
    id: keys.timeOrderedId(new Date(began), attempt),
    database: settings.database,
    ...proven,
    level,
    holds: broken === undefined,
    databases,
    startedAt: new Date(began).toISOString(),
    rpoSeconds: Math.max(...databases.map((database) => database.rpoSeconds)),
    rtoSeconds: (Date.now() - began) / 1000,
  };
  const reportKey = keyOf(settings, report.id, 'json');
  const keep = keepReport ?? ((key: string, body: Buffer) => putOnce(store, key, body));
  await keep(reportKey, Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
  await keep(keyOf(settings, report.id, 'html'), Buffer.from(proofPage(report)));
  const summary: ProofSummary = {
    id: report.id,
    reportKey,
    backupId: report.backupId,
    level,
    databases: databases.map(({ name }) => name),
    partial: databases[0]?.partial ?? null,
    tables: tables.length,
    rows: totalRows(tables),
    restoreSeconds: report.restoreSeconds,
    proofSeconds: report.proofSeconds,
    rpoSeconds: report.rpoSeconds,
    rtoSeconds: report.rtoSeconds,
  };
  if (broken) {
    const { name, check } = broken;
    const where = databases.length > 1 ? `${name}: ` : '';
    throw new JobFailure(check.error ?? 'Unexpected', `${where}${check.name}: ${check.detail}`, { proof: summary });
  }
  return summary;
}
