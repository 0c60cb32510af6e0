import { missingObjects } from '../../core/backup-choice.ts';
import { humanBytes } from '../../core/human.ts';
import { inTurns } from '../../core/in-turns.ts';
import { adhocPrefix, logicalPrefix, prefixOfManifest, verificationKey } from '../../core/keys.ts';
import { backupBytes, backupRawBytes, countTables, parseManifest, takenAt } from '../../core/manifest.ts';
import type { ProofLevel } from '../../core/outcome.ts';
import { type ProofReport, proofLevels } from '../../core/proof.ts';
import { describeSelection } from '../../core/selection.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import type { Clients } from '../clients.ts';
import { fromAnyRegion } from '../context.ts';
import { readSettings } from '../deployed.ts';
import { type ExitCode, exitCode } from '../errors.ts';
import { listKeys, proofsPrefix, readObject } from '../evidence.ts';
import { createOutput, formatTable } from '../output.ts';

export interface ListOptions {
  readonly json?: boolean;
  readonly region?: string;
  /** Base backups: commands/list-base.ts. */
  readonly physical?: boolean;
}

/** One element of `pgdr list --json`; documented in docs/cli.md. */
export interface ListedBackup {
  readonly id: string;
  readonly takenAt: string;
  readonly bytes: number;
  readonly rawBytes: number;
  /** Databases of the server. */
  readonly databases: readonly string[];
  /** In words, what the backup is limited to; null: it is of everything. */
  readonly partial: string | null;
  /** Of a selection that somebody asked for: no restore takes it unless it is named. */
  readonly adhoc: boolean;
  readonly tables: number;
  readonly objects: number;
  /** How many of them are not in this region: a copy that is under way, or one that was lost. */
  readonly missing: number;
  /** When every part was read back; null when that has not succeeded. */
  readonly verifiedAt: string | null;
  /** The highest level that a restore test has proven; null when none has. */
  readonly provenLevel: ProofLevel | null;
  readonly provenAt: string | null;
  readonly manifestKey: string;
  /** Set when the manifest cannot be read: such a backup cannot be restored. */
  readonly problem?: string;
}

/** `pgdr list <database>`: the backups of a database, newest first. */
export async function list(database: string, options: ListOptions): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  return fromAnyRegion(options.region, async ({ config, clients }) => {
    const settings = await readSettings(clients, config.name, database);
    const backups = await listBackups(clients, settings);
    output.result(backups, () =>
      backups.length > 0 ? render(backups) : `No backups of ${database} in ${clients.region}.`,
    );
    return exitCode.done;
  });
}

export async function listBackups(clients: Clients, settings: DatabaseSettings): Promise<ListedBackup[]> {
  const prefixes = [logicalPrefix(settings), adhocPrefix(settings)];
  const keys = (await Promise.all(prefixes.map((prefix) => listKeys(clients, settings.bucket, prefix)))).flat();
  const proofs = await readProofs(clients, settings);
  const manifests = keys.filter((key) => key.endsWith('/manifest.json'));
  const here = new Set(keys);
  const backups = await inTurns(manifests, async (key): Promise<ListedBackup> => {
    const prefix = prefixOfManifest(key);
    const id = prefix.split('/').at(-2) as string;
    const best = bestProof(proofs.filter((proof) => proof.backupId === id));
    const common = { manifestKey: key, provenLevel: best?.level ?? null, provenAt: best?.startedAt ?? null };
    try {
      const manifest = parseManifest((await readObject(clients, settings.bucket, key)) ?? '', key);
      const verification = keys.includes(verificationKey(prefix))
        ? await readObject(clients, settings.bucket, verificationKey(prefix))
        : undefined;
      return {
        id,
        takenAt: takenAt(manifest),
        bytes: backupBytes(manifest),
        rawBytes: backupRawBytes(manifest),
        databases: manifest.databases.map(({ name }) => name),
        partial: describeSelection(manifest.databases[0]?.selection ?? null),
        adhoc: manifest.adhoc,
        tables: countTables(manifest),
        objects: manifest.objects.length,
        missing: missingObjects(manifest, here).length,
        verifiedAt: verification === undefined ? null : JSON.parse(verification).verifiedAt,
        ...common,
      };
    } catch (error) {
      const problem = (error as Error).message;
      const nothing = {
        takenAt: '',
        bytes: 0,
        rawBytes: 0,
        databases: [],
        partial: null,
        adhoc: false,
        tables: 0,
        objects: 0,
        missing: 0,
        verifiedAt: null,
      };
      return { id, ...nothing, ...common, problem };
    }
  });
  return backups.sort((a, b) => (a.id < b.id ? 1 : -1));
}

async function readProofs(clients: Clients, settings: DatabaseSettings): Promise<ProofReport[]> {
  const keys = (await listKeys(clients, settings.bucket, proofsPrefix(settings))).filter((key) =>
    key.endsWith('.json'),
  );
  const reports = await inTurns(keys, async (key) => readReport(await readObject(clients, settings.bucket, key)));
  return reports.filter((report) => report !== undefined);
}

/** Undefined for what is no report: it proves nothing, and hides no backup. */
function readReport(text: string | undefined): ProofReport | undefined {
  try {
    const report = JSON.parse(text ?? '') as Partial<ProofReport> | null;
    return typeof report?.backupId === 'string' ? (report as ProofReport) : undefined;
  } catch {
    return undefined;
  }
}

/** The proof of the highest level, the latest among equals. */
function bestProof(proofs: readonly ProofReport[]): ProofReport | undefined {
  const rank = ({ level }: ProofReport) => (level === null ? -1 : proofLevels.indexOf(level));
  return proofs.toSorted((a, b) => rank(b) - rank(a) || (a.startedAt < b.startedAt ? 1 : -1))[0];
}

function render(backups: readonly ListedBackup[]): string {
  const rows = backups.map((backup) => [
    backup.id,
    backup.problem ? 'unreadable manifest' : backup.takenAt.replace(/\.\d+Z$/, 'Z'),
    humanBytes(backup.bytes),
    humanBytes(backup.rawBytes),
    String(backup.tables),
    backup.partial === null ? 'everything' : `${backup.adhoc ? 'as asked: ' : ''}${backup.partial}`,
    backup.missing > 0
      ? `not all here: ${backup.missing} of ${backup.objects} objects missing`
      : (backup.verifiedAt?.replace(/\.\d+Z$/, 'Z') ?? 'no'),
    backup.provenLevel ?? 'no',
  ]);
  return formatTable(['Id', 'Taken', 'Size', 'Raw', 'Tables', 'Of', 'Read back', 'Proven'], rows, [2, 3, 4]);
}
