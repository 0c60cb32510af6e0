import type { DatabaseBackup } from './manifest.ts';
import { type Check, compareTables, judge, type Restored, type TableProof } from './proof.ts';

/**
 * The judgement over a physically recovered server that stands at the very point of a logical backup's snapshot: it has
 * to show what the manifest of that backup says the source had.
 */

/** What is asked of a server that is paused in its recovery, where nothing can be written and unlogged tables not read. */
export interface Captured
  extends Pick<
    Restored,
    'serverVersionNum' | 'inventory' | 'roles' | 'grants' | 'owners' | 'settings' | 'extensions' | 'tables'
  > {
  /** Not in the WAL: empty after every recovery. */
  readonly unlogged: readonly string[];
}

/** Tables whose content can be compared: whose rows are in the backup, and whose rows the WAL holds. */
export function comparable(database: DatabaseBackup, unlogged: readonly string[]): string[] {
  if (database.selection?.asked.schemaOnly) return [];
  const without = new Set([...unlogged, ...(database.selection?.withoutRows ?? [])]);
  return database.tables.map(({ relation }) => relation).filter((relation) => !without.has(relation));
}

/** Of a partial backup, only the content of its tables is compared: its lists are not those of the whole database. */
const ofContent = ['row counts', 'content'];
/** Left out are sequences, which are read after the snapshot, and what is asked once more at the end of the recovery. */
const ofStructure = ['tables', 'extensions', 'roles', 'grants', 'owners', 'settings', 'inventory'];

export function judgeCaptured(
  database: DatabaseBackup,
  captured: Captured,
): { readonly checks: readonly Check[]; readonly tables: readonly TableProof[] } {
  const relations = new Set(comparable(database, captured.unlogged));
  const expected = { ...database, tables: database.tables.filter(({ relation }) => relations.has(relation)) };
  const tables = compareTables(expected.tables, captured.tables);
  const unasked = { sequences: [], foreignKeys: [], ownedSequences: [], defects: database.defects };
  const missing = tables.filter(({ rows }) => rows === null).map(({ relation }) => relation);
  const names = database.selection === null ? [...ofContent, ...ofStructure] : ofContent;
  const checks = judge(expected, { ...captured, ...unasked }, tables, database.tables)
    .filter(({ name }) => names.includes(name))
    .map((check) => ({ ...check, name: `${check.name} as in ${database.id}` }));
  if (database.selection === null || missing.length === 0) return { checks, tables };
  const detail = missing.map((relation) => `${relation} is missing`).join('; ');
  const check: Check = {
    level: 'L3',
    name: `tables as in ${database.id}`,
    held: false,
    detail,
    error: 'StructureDiffers',
  };
  return { checks: [check, ...checks], tables };
}
