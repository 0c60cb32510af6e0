import { PgdrError } from '../../core/errors.ts';
import { everything, isEverything, parseSelection, type Selection } from '../../core/selection.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { runWorkflow, type WorkflowOptions } from './workflow.ts';

export interface BackupOptions extends WorkflowOptions {
  readonly table: readonly string[];
  readonly schema: readonly string[];
  readonly excludeTable: readonly string[];
  readonly excludeSchema: readonly string[];
  readonly excludeRows: readonly string[];
  readonly schemaOnly?: boolean;
}

/** `pgdr backup`: the backup of the configuration, or of the part that the options name. */
export async function backup(database: string, options: BackupOptions): Promise<ExitCode> {
  const select = selectionOf(options);
  return runWorkflow('backup-logical', database, options, isEverything(select) ? {} : { select });
}

function selectionOf(options: BackupOptions): Selection {
  const { table, schema, excludeTable, excludeSchema, excludeRows, schemaOnly = false } = options;
  const include = table.length + schema.length === 0 ? null : { schemas: [...schema], tables: [...table] };
  try {
    return parseSelection({
      ...everything,
      schemaOnly,
      include,
      exclude: { schemas: excludeSchema, tables: excludeTable, rows: excludeRows },
    });
  } catch (error) {
    if (!(error instanceof PgdrError)) throw error;
    throw new CliError(error.name, error.message, {
      exit: exitCode.usage,
      intact: 'Nothing was started.',
      cause: error,
    });
  }
}
