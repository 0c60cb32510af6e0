import type { ErrorName } from './errors.ts';
import type { Manifest, SequenceState, TableFingerprint } from './manifest.ts';
import type { ProofLevel } from './outcome.ts';

/**
 * The judgement over a restore: what the manifest says the source had, against what the restored server shows.
 * A level holds when all its checks hold; the proof's level is the highest that holds with every one below it.
 */

export interface Check {
  readonly level: ProofLevel;
  readonly name: string;
  readonly held: boolean;
  /** What was compared, or what differs, for a person to read. */
  readonly detail: string;
}

export interface TableProof {
  readonly relation: string;
  readonly expectedRows: string;
  /** null: the table is not there. */
  readonly rows: string | null;
  readonly hashesEqual: boolean;
}

/** `proofs/{proofId}.json`. */
export interface ProofReport {
  readonly schemaVersion: 1;
  readonly id: string;
  readonly database: string;
  readonly backupId: string;
  readonly manifestKey: string;
  readonly serverVersion: string;
  readonly level: ProofLevel | null;
  readonly holds: boolean;
  readonly checks: readonly Check[];
  readonly tables: readonly TableProof[];
  readonly startedAt: string;
  readonly restoreSeconds: number;
  readonly proofSeconds: number;
  readonly rpoSeconds: number;
  readonly rtoSeconds: number;
}

/** What was seen on the restored server. */
export interface Restored {
  readonly tables: readonly TableFingerprint[];
  readonly sequences: readonly SequenceState[];
  readonly inventory: Readonly<Record<string, number>>;
  readonly extensions: readonly { name: string; version: string }[];
  /** Foreign keys with the number of rows that point nowhere. */
  readonly foreignKeys: readonly { name: string; table: string; orphans: string }[];
  readonly ownedSequences: readonly { sequence: string; column: string; reached: boolean }[];
}

export const proofLevels: readonly ProofLevel[] = ['L0', 'L1', 'L2', 'L3', 'L4'];

/** The catalogue error of a proof whose lowest failing level is this one. */
export const errorOfLevel: Readonly<Record<ProofLevel, ErrorName>> = {
  L0: 'ObjectAltered',
  L1: 'ArchiveUnreadable',
  L2: 'RestoreFailed',
  L3: 'StructureDiffers',
  L4: 'ContentDiffers',
};

export function compareTables(
  expected: readonly TableFingerprint[],
  restored: readonly TableFingerprint[],
): TableProof[] {
  const found = new Map(restored.map((table) => [table.relation, table]));
  return expected.map((table) => {
    const now = found.get(table.relation);
    return {
      relation: table.relation,
      expectedRows: table.rows,
      rows: now?.rows ?? null,
      hashesEqual: now?.hash1 === table.hash1 && now.hash2 === table.hash2,
    };
  });
}

/** L3 and L4; the levels below were held or the restore would not have come this far. */
export function judge(manifest: Manifest, restored: Restored, tables: readonly TableProof[]): Check[] {
  const extra = restored.tables.filter((table) => !manifest.tables.some((t) => t.relation === table.relation));
  return [
    check(
      'L3',
      'tables',
      tables
        .filter((t) => t.rows === null)
        .map((t) => `${t.relation} is missing`)
        .concat(extra.map((t) => `${t.relation} was not in the source`)),
      `${tables.length} tables`,
    ),
    check(
      'L3',
      'row counts',
      tables
        .filter((t) => t.rows !== null && t.rows !== t.expectedRows)
        .map((t) => `${t.relation} has ${t.rows} rows, not ${t.expectedRows}`),
      `${totalRows(tables)} rows`,
    ),
    check('L3', 'sequences', behind(manifest.sequences, restored.sequences), `${manifest.sequences.length} sequences`),
    check(
      'L3',
      'sequences cover their columns',
      restored.ownedSequences.filter((s) => !s.reached).map((s) => `${s.sequence} is behind ${s.column}`),
      `${restored.ownedSequences.length} columns`,
    ),
    check(
      'L3',
      'foreign keys',
      restored.foreignKeys
        .filter((key) => key.orphans !== '0')
        .map((key) => `${key.name} on ${key.table} has ${key.orphans} orphans`),
      `${restored.foreignKeys.length} keys without orphans`,
    ),
    check('L3', 'extensions', extensionsMissing(manifest, restored), `${restored.extensions.length} extensions`),
    check(
      'L3',
      'inventory',
      inventoryDiffers(manifest.inventory, restored.inventory),
      `${Object.values(manifest.inventory).reduce((a, b) => a + b, 0)} objects of ${Object.keys(manifest.inventory).length} kinds`,
    ),
    check(
      'L4',
      'content',
      tables.filter((t) => t.rows !== null && !t.hashesEqual).map((t) => `${t.relation} differs from the snapshot`),
      `${tables.length} content hashes equal those of the snapshot`,
    ),
  ];
}

export function highestLevel(checks: readonly Check[]): ProofLevel | null {
  let highest: ProofLevel | null = null;
  for (const level of proofLevels) {
    const own = checks.filter((c) => c.level === level);
    if (own.length === 0 || own.some((c) => !c.held)) break;
    highest = level;
  }
  return highest;
}

export const totalRows = (tables: readonly TableProof[]): string =>
  tables.reduce((sum, table) => sum + BigInt(table.rows ?? 0), 0n).toString();

function check(level: ProofLevel, name: string, problems: readonly string[], held: string): Check {
  if (problems.length === 0) return { level, name, held: true, detail: held };
  const shown = problems.slice(0, 20).join('; ');
  const detail = problems.length > 20 ? `${shown}; and ${problems.length - 20} more` : shown;
  return { level, name, held: false, detail };
}

/** Sequences advance outside of snapshots, so the restored value may be ahead of the recorded one, never behind. */
function behind(expected: readonly SequenceState[], restored: readonly SequenceState[]): string[] {
  const found = new Map(restored.map((s) => [s.sequence, s]));
  return expected.flatMap((before) => {
    const now = found.get(before.sequence);
    if (!now) return [`${before.sequence} is missing`];
    const [was, is] = [BigInt(before.lastValue), BigInt(now.lastValue)];
    const wentBack = before.direction === 'up' ? is < was : before.direction === 'down' ? is > was : false;
    const lostCall = is === was && before.isCalled && !now.isCalled;
    return wentBack || lostCall ? [`${before.sequence} is at ${is}, behind ${was}`] : [];
  });
}

function extensionsMissing(manifest: Manifest, restored: Restored): string[] {
  const wanted = manifest.databases.flatMap((database) => database.extensions);
  return wanted.flatMap(({ name }) => (restored.extensions.some((e) => e.name === name) ? [] : [`${name} is missing`]));
}

function inventoryDiffers(
  expected: Readonly<Record<string, number>>,
  restored: Readonly<Record<string, number>>,
): string[] {
  return Object.entries(expected).flatMap(([kind, count]) =>
    restored[kind] === count ? [] : [`${kind}: ${restored[kind] ?? 0}, not ${count}`],
  );
}
