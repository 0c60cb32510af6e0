import type { ErrorName } from './errors.ts';
import type { DatabaseBackup, Defects, SequenceState, TableFingerprint } from './manifest.ts';
import type { ProofLevel } from './outcome.ts';
import * as differences from './proof-differences.ts';

/**
 * The judgement over a restore: what the manifest says the source had, against what the restored server shows.
 * A level holds when all its checks hold; the proof's level is the highest that holds with every one below it.
 */

export interface Check {
  readonly level: ProofLevel;
  readonly name: string;
  readonly held: boolean;
  /** It could not be made here: no failure, but its level is not reached. */
  readonly unavailable?: true;
  /** What was compared, or what differs, for a person to read. */
  readonly detail: string;
  /** The catalogue's name of the failure. */
  readonly error?: ErrorName;
}

export interface TableProof {
  readonly relation: string;
  readonly expectedRows: string;
  /** null: the table is not there. */
  readonly rows: string | null;
  readonly hashesEqual: boolean;
}

/** What one database of the backup came to. */
export interface DatabaseProof {
  readonly name: string;
  readonly level: ProofLevel | null;
  /** In words, what the backup is limited to, and so the proof; null: it is of everything. */
  readonly partial: string | null;
  readonly checks: readonly Check[];
  readonly tables: readonly TableProof[];
  readonly rpoSeconds: number;
  /** What the RPO was measured by. */
  readonly rpoFrom: MeasuredRpo['from'];
}

/** `proofs/{proofId}.json`. */
export interface ProofReport {
  readonly schemaVersion: 1;
  readonly id: string;
  /** As the configuration calls it; `databases` are those of the server. */
  readonly database: string;
  readonly backupId: string;
  readonly manifestKey: string;
  /** PostgreSQL of the source, and of the server that it was restored into: of the same or a newer major. */
  readonly sourceVersion: string;
  readonly serverVersion: string;
  /** The lowest of the databases. */
  readonly level: ProofLevel | null;
  readonly holds: boolean;
  readonly databases: readonly DatabaseProof[];
  readonly startedAt: string;
  readonly restoreSeconds: number;
  readonly proofSeconds: number;
  /** The worst of the databases. */
  readonly rpoSeconds: number;
  readonly rtoSeconds: number;
}

/** What the restored database holds: for L3 and L4. */
export interface Restored
  extends Pick<DatabaseBackup, 'serverVersionNum' | 'inventory' | 'roles' | 'grants' | 'owners' | 'settings'> {
  readonly tables: readonly TableFingerprint[];
  readonly sequences: readonly SequenceState[];
  readonly extensions: readonly { name: string; version: string }[];
  /** Foreign keys with the number of rows that point nowhere. */
  readonly foreignKeys: readonly { name: string; table: string; orphans: string }[];
  readonly ownedSequences: readonly { sequence: string; column: string; reached: boolean }[];
  readonly defects: Defects;
}

/** How it stands use: for L5. */
export interface Usable {
  readonly storage: {
    /** Version of amcheck; null where the server does not have it. */
    readonly amcheck: string | null;
    readonly indexes: number;
    /** 0 where amcheck knows indexes only, before PostgreSQL 14. */
    readonly tables: number;
    readonly damaged: readonly string[];
    readonly reindexed: number;
    readonly reindexFailures: readonly string[];
  };
  readonly assertions: readonly { sql: string; problem: string | null }[];
  /** RFC 3339; null where the database has no heartbeat. */
  readonly heartbeatAt: string | null;
}

export const proofLevels: readonly ProofLevel[] = ['L0', 'L1', 'L2', 'L3', 'L4', 'L5'];

/** The catalogue error of a failing check, where the check has none of its own. */
const errorOfLevel: Readonly<Record<ProofLevel, ErrorName>> = {
  L0: 'ObjectAltered',
  L1: 'ArchiveUnreadable',
  L2: 'RestoreFailed',
  L3: 'StructureDiffers',
  L4: 'ContentDiffers',
  L5: 'IndexCorrupt',
};

/** What makes a proof fail; a check that could not be made does not. */
export const failedChecks = (checks: readonly Check[]): Check[] => checks.filter((c) => !c.held && !c.unavailable);

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
      hashesEqual: now !== undefined && now.hash1 === table.hash1 && now.hash2 === table.hash2,
    };
  });
}

/** A restore throws where one of these fails; what comes to be proven has passed them, and the report says so. */
export function heldOnTheWay({ objects }: DatabaseBackup): Check[] {
  const archives = objects.filter((o) => o.role !== 'fingerprint').length;
  return [
    check('L0', 'object hashes', [], `${objects.length} objects have the SHA-256 of the manifest`),
    check('L1', 'archives', [], `${archives} archives were read to their end`),
    check('L2', 'restore', [], 'psql and pg_restore met no error'),
  ];
}

/**
 * Checks of L3 and L4; the levels below were held or the restore would not have come this far. Of a partial backup,
 * `manifest` is what its restore has to show, and `known` are all tables of the source.
 */
export function judge(
  manifest: DatabaseBackup,
  restored: Restored,
  tables: readonly TableProof[],
  known: readonly TableFingerprint[] = manifest.tables,
): Check[] {
  const extensions = differences.ofExtensions(manifest.extensions, restored.extensions);
  const kinds = Object.values(manifest.inventory);
  const waived = new Set(manifest.defects.sequencesBehind);
  return [
    check('L3', 'tables', differences.ofTables(manifest.tables, restored.tables, known), `${tables.length} tables`),
    check(
      'L3',
      'row counts',
      tables
        .filter((t) => t.rows !== null && t.rows !== t.expectedRows)
        .map((t) => `${t.relation} has ${t.rows} rows, not ${t.expectedRows}`),
      `${totalRows(tables)} rows`,
    ),
    check(
      'L3',
      'constraints validated',
      added(manifest.defects.constraintsNotValidated, restored.defects.constraintsNotValidated).map(
        (name) => `${name} is not validated`,
      ),
      exceptions('every constraint', manifest.defects.constraintsNotValidated),
    ),
    check(
      'L3',
      'foreign keys',
      restored.foreignKeys
        .filter((key) => key.orphans !== '0')
        .map((key) => `${key.name} on ${key.table} has ${key.orphans} orphans`),
      `${restored.foreignKeys.length} keys without orphans`,
    ),
    check(
      'L3',
      'indexes valid',
      added(manifest.defects.indexesInvalid, restored.defects.indexesInvalid).map((name) => `${name} is not valid`),
      exceptions('every index', restored.defects.indexesInvalid),
    ),
    check(
      'L3',
      'sequences',
      differences.ofSequences(manifest.sequences, restored.sequences),
      `${manifest.sequences.length} sequences`,
    ),
    check(
      'L3',
      'sequences cover their columns',
      restored.ownedSequences
        .filter((s) => !s.reached && !waived.has(s.sequence))
        .map((s) => `${s.sequence} is behind ${s.column}`),
      exceptions(`${restored.ownedSequences.length} columns`, manifest.defects.sequencesBehind),
    ),
    check(
      'L3',
      'extensions',
      extensions.problems,
      [`${restored.extensions.length} extensions`, ...extensions.newer].join('; '),
    ),
    check('L3', 'roles', differences.ofRoles(manifest.roles, restored.roles), `${manifest.roles.length} roles`),
    check(
      'L3',
      'grants',
      differences.ofGrants(manifest.grants, restored.grants, sameMajor(manifest, restored)),
      `on ${manifest.grants.length} objects`,
    ),
    check(
      'L3',
      'owners',
      differences.ofCounts(manifest.owners, restored.owners, (role) => `objects of ${role}`),
      `${sum(Object.values(manifest.owners))} objects`,
    ),
    check(
      'L3',
      'settings',
      differences.ofSettings(manifest.settings, restored.settings),
      `${manifest.settings.length} of the database and of roles`,
    ),
    check(
      'L3',
      'inventory',
      differences.ofCounts(manifest.inventory, restored.inventory, (kind) => kind),
      `${sum(kinds)} objects of ${kinds.length} kinds`,
    ),
    check(
      'L4',
      'content',
      tables.filter((t) => t.rows !== null && !t.hashesEqual).map((t) => `${t.relation} differs from the snapshot`),
      `${tables.length} content hashes equal those of the snapshot`,
    ),
  ];
}

/** Checks of L5. `rpo` is what {@link measureRpo} gave. */
export function judgeUse({ storage, assertions }: Usable, rpo: MeasuredRpo): Check[] {
  const looked = `amcheck ${storage.amcheck}: ${storage.indexes} B-trees hold every row, ${storage.tables} tables`;
  const unmet = assertions.flatMap(({ sql, problem }, i) =>
    problem === null ? [] : [`assertion ${i + 1} ${problem}: ${shorten(sql)}`],
  );
  return [
    storage.amcheck === null
      ? {
          level: 'L5',
          name: 'amcheck',
          held: false,
          unavailable: true,
          detail: 'the restoring server does not have the extension amcheck (in the package of contrib)',
        }
      : check('L5', 'amcheck', storage.damaged, looked),
    check('L5', 'reindex', storage.reindexFailures, `${storage.reindexed} tables`),
    check(
      'L5',
      'assertions',
      unmet,
      assertions.length === 0 ? 'none are configured' : `${assertions.length} hold`,
      'AssertionFailed',
    ),
    check('L5', 'recovery point', [], `${rpo.seconds.toFixed(0)} s before the restore, by the ${rpo.from}`),
  ];
}

/**
 * Checks of a server that was recovered from a base backup and WAL: a copy of the source's own files, so that there is
 * nothing to compare structure and rows with but themselves.
 */
export function judgeRecovered(
  restored: Restored,
  recovery: { readonly objects: number; readonly lsn: string; readonly timeline: number; readonly checksums: boolean },
): Check[] {
  const rows = restored.tables.reduce((total, { rows }) => total + BigInt(rows), 0n);
  const pages = recovery.checksums ? 'every page had its checksum' : 'the server has no page checksums';
  return [
    check('L0', 'object hashes', [], `${recovery.objects} objects have the SHA-256 of the manifest`),
    check('L1', 'pg_verifybackup', [], 'every file is as the server sent it'),
    check(
      'L2',
      'recovery',
      [],
      `replayed to ${recovery.lsn} on timeline ${recovery.timeline}, the end of what is stored`,
    ),
    check(
      'L3',
      'foreign keys',
      restored.foreignKeys
        .filter((key) => key.orphans !== '0')
        .map((key) => `${key.name} on ${key.table} has ${key.orphans} orphans`),
      `${restored.foreignKeys.length} keys without orphans`,
    ),
    check('L4', 'every row read', [], `${rows} rows of ${restored.tables.length} tables; ${pages}`),
  ];
}

export interface MeasuredRpo {
  /** How old the newest kept write was. */
  readonly seconds: number;
  readonly from: 'newest heartbeat' | 'snapshot of the backup' | 'last recovered transaction';
}

/** What would be lost had the source died at `at` (milliseconds since the epoch). */
export function measureRpo(manifest: DatabaseBackup, heartbeatAt: string | null, at: number): MeasuredRpo {
  return {
    seconds: (at - Date.parse(heartbeatAt ?? manifest.snapshot.takenAt)) / 1000,
    from: heartbeatAt === null ? 'snapshot of the backup' : 'newest heartbeat',
  };
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

/** The level that all of them reach; null when one reaches none. */
export function lowestLevel(levels: readonly (ProofLevel | null)[]): ProofLevel | null {
  const ranks = levels.map((level) => (level === null ? -1 : proofLevels.indexOf(level)));
  return proofLevels[Math.min(...ranks)] ?? null;
}

export const tablesOf = ({ databases }: Pick<ProofReport, 'databases'>): TableProof[] =>
  databases.flatMap(({ tables }) => [...tables]);

export const checksOf = ({ databases }: Pick<ProofReport, 'databases'>): Check[] =>
  databases.flatMap(({ checks }) => [...checks]);

export const totalRows = (tables: readonly TableProof[]): string =>
  tables.reduce((total, table) => total + BigInt(table.rows ?? 0), 0n).toString();

function check(
  level: ProofLevel,
  name: string,
  problems: readonly string[],
  held: string,
  error = errorOfLevel[level],
): Check {
  if (problems.length === 0) return { level, name, held: true, detail: held };
  const shown = problems.slice(0, 20).join('; ');
  const detail = problems.length > 20 ? `${shown}; and ${problems.length - 20} more` : shown;
  return { level, name, held: false, detail, error };
}

const added = (before: readonly string[], now: readonly string[]) => now.filter((name) => !before.includes(name));
const exceptions = (what: string, names: readonly string[]) =>
  names.length === 0 ? what : `${what} but ${names.join(', ')}, as in the source`;
const sameMajor = (a: { serverVersionNum: number }, b: { serverVersionNum: number }) =>
  Math.floor(a.serverVersionNum / 10_000) === Math.floor(b.serverVersionNum / 10_000);
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const shorten = (sql: string) => {
  const line = sql.replace(/\s+/g, ' ').trim();
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
};
