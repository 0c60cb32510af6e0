import { PgdrError } from '../lib/core/errors.ts';
import type { DatabaseSettings } from '../lib/core/settings.ts';

export interface JobContext {
  readonly settings: DatabaseSettings;
  /** The rest of the job's input, as the state machine wrote it. */
  readonly input: Readonly<Record<string, unknown>>;
  /** A private folder on the task's ephemeral storage, removed at the end. */
  readonly directory: string;
  /** A random suffix for ids of this attempt. */
  readonly attempt: string;
  /** Aborts when the execution is over or the task is told to stop. */
  readonly signal: AbortSignal;
  /** Keeps a report of this job elsewhere than beside the backups, which it may only read. */
  readonly keepReport?: (name: string, body: Buffer) => Promise<void>;
  /** Proves that the execution still waits for this task; to be called right before anything is committed. */
  stillWanted(): Promise<void>;
}

/** A job gives the output of the state that runs it. */
export type Job = (context: JobContext) => Promise<unknown>;

/** A failure that has more to tell the execution than its words: a proof that did not hold. */
export class JobFailure extends PgdrError {
  readonly details: Readonly<Record<string, unknown>>;
  constructor(name: PgdrError['name'], message: string, details: Record<string, unknown>) {
    super(name, message);
    this.details = details;
  }
}
