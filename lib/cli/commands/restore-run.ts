import { PgdrError } from '../../core/errors.ts';
import type { RestoreRequest } from '../../core/restore-request.ts';
import type { DatabaseSettings } from '../../core/settings.ts';
import type { Clients } from '../clients.ts';
import { openDeployment } from '../context.ts';
import { readSettings } from '../deployed.ts';
import { CliError, type ExitCode, exitCode } from '../errors.ts';
import { createOutput } from '../output.ts';
import { runWorkflow } from './workflow.ts';

export interface RestoreOptions {
  readonly json?: boolean;
  readonly region?: string;
  readonly wait: boolean;
  readonly dryRun?: boolean;
  readonly backup?: string;
  readonly toTime?: string;
  readonly toLsn?: string;
  readonly toName?: string;
  readonly toXid?: string;
  readonly latest?: boolean;
  readonly timeline?: string;
  /** Which database of the backup. */
  readonly database?: string;
  readonly table: readonly string[];
  readonly schema: readonly string[];
  readonly schemaOnly?: boolean;
  readonly toDatabase?: string;
  readonly toSchema?: string;
  readonly targetSecret?: string;
  readonly overwrite?: string;
  readonly fromBucket?: string;
}

/** What a restore will do, and the input of the workflow, beside the database, by which it will do just that. */
export interface PlannedRestore<Description> {
  readonly description: Description;
  readonly input: Partial<RestoreRequest>;
}

/** Shows the plan of a restore, and unless that was all that was wanted, starts the workflow and follows it. */
export async function showAndRun<Description>(
  database: string,
  options: RestoreOptions,
  plan: (clients: Clients, settings: DatabaseSettings) => Promise<PlannedRestore<Description>>,
  render: (description: Description) => string,
): Promise<ExitCode> {
  const output = createOutput(options.json ?? false);
  const { config, clients } = await openDeployment(options.region);
  let planned: PlannedRestore<Description>;
  try {
    planned = await plan(clients, await readSettings(clients, config.name, database));
    const { description } = planned;
    if (options.dryRun) {
      output.result(description, () => render(description));
      return exitCode.done;
    }
    output.line(render(description));
    output.line();
  } catch (error) {
    throw worded(error);
  } finally {
    clients.close();
  }
  return runWorkflow('restore', database, options, planned.input);
}

/** Only what was asked for. */
export const givenOf = (request: RestoreRequest): Partial<RestoreRequest> =>
  Object.fromEntries(Object.entries(request).filter(([, value]) => !isAbsent(value)));

const isAbsent = (value: unknown): boolean =>
  value === null || value === false || (Array.isArray(value) && value.length === 0);

const exits: Readonly<Record<string, ExitCode>> = {
  RequestInvalid: exitCode.usage,
  RestoreTargetUnknown: exitCode.refused,
  TableNotInBackup: exitCode.notFound,
  DatabaseNotInBackup: exitCode.notFound,
  BackupNotFound: exitCode.notFound,
  RecoveryTargetUnreachable: exitCode.refused,
};

export const worded = (error: unknown): unknown =>
  error instanceof PgdrError
    ? new CliError(error.name, error.message, { exit: exits[error.name], intact: 'Nothing was started.', cause: error })
    : error;
