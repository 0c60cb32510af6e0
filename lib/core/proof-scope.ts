import type { DatabaseBackup } from './manifest.ts';
import type { RestorePlan } from './restore-plan.ts';
import { parseRelation, relationKey } from './sql-statements.ts';

/**
 * What a restore of a partial backup has to show: of the lists in the manifest, what the plan brings. Without a
 * selection it is the manifest itself.
 */
export function expectedOf(
  database: DatabaseBackup,
  plan: Pick<RestorePlan, 'selection' | 'schemaOnly'>,
): DatabaseBackup {
  const { selection } = plan;
  if (selection === null && !plan.schemaOnly) return database;
  const among = (keys: ReadonlySet<string>) => (name: string) => {
    const relation = parseRelation(name);
    return relation !== undefined && keys.has(relationKey(relation));
  };
  const isTable = selection ? among(selection.tables) : () => true;
  const isSequence = selection ? among(selection.sequences) : () => true;
  return {
    ...database,
    tables: database.tables.filter(({ relation }) => isTable(relation)),
    // Definitions alone make a sequence begin anew.
    sequences: plan.schemaOnly ? [] : database.sequences.filter(({ sequence }) => isSequence(sequence)),
  };
}
