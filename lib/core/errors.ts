import { configurationErrors } from './errors/configuration.ts';
import type { CatalogueEntry } from './errors/entry.ts';
import { failoverErrors } from './errors/failover.ts';
import { restoreErrors } from './errors/restore.ts';
import { sourceErrors } from './errors/source.ts';
import { storageErrors } from './errors/storage.ts';
import { taskErrors } from './errors/task.ts';
import { walErrors } from './errors/wal.ts';

/**
 * The one catalogue of errors. A name here is what an operator sees in the Step Functions console, in Slack and
 * on the command line, and what a state machine's `ErrorEquals` may list. Every entry says what was left intact
 * and what to try, so that the message can be pasted into an incident.
 */
export const errorCatalogue = {
  ...configurationErrors,
  ...sourceErrors,
  ...taskErrors,
  ...storageErrors,
  ...restoreErrors,
  ...walErrors,
  ...failoverErrors,
} satisfies Record<string, CatalogueEntry>;

export type ErrorName = keyof typeof errorCatalogue;

export const isErrorName = (name: string): name is ErrorName => Object.hasOwn(errorCatalogue, name);

/** What a failure looks like outside a process: the cause of a failed task, a message, a report. */
export interface Failure {
  readonly error: ErrorName;
  /** What happened, in one line, with the first error of the tool that failed. */
  readonly message: string;
  readonly intact: string;
  readonly tryNext: string;
  /** Path of the runbook in this repository. */
  readonly runbook: string;
}

/** An error of the catalogue. `message` says what happened here; the catalogue adds what is intact and what to try. */
export class PgdrError extends Error {
  override readonly name: ErrorName;

  constructor(name: ErrorName, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = name;
  }
}

/** The catalogue's words around one occurrence. */
export function describeFailure(name: ErrorName, message: string): Failure {
  const { intact, tryNext, runbook } = errorCatalogue[name];
  return { error: name, message: firstLines(message), intact, tryNext, runbook: `docs/runbooks/${runbook}.md` };
}

/** Any thrown value as a failure: catalogue errors keep their name, everything else is `Unexpected`. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof PgdrError) return describeFailure(thrown.name, thrown.message);
  return describeFailure('Unexpected', thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown));
}

/** A state's error is capped by Step Functions (cause: 32,768 characters), and a person reads only the beginning. */
const firstLines = (text: string): string => (text.length > 2000 ? `${text.slice(0, 2000)} …` : text);
