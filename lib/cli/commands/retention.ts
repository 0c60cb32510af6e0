import type { ExitCode } from '../errors.ts';
import { runWorkflow, type WorkflowOptions } from './workflow.ts';

export interface RetentionOptions extends WorkflowOptions {
  readonly dryRun?: boolean;
}

/** `pgdr retention <database>`: what the daily schedule does, now; with `--dry-run` the plan alone. */
export const retention = (database: string, options: RetentionOptions): Promise<ExitCode> =>
  runWorkflow('retention', database, options, { dryRun: options.dryRun ?? false });
