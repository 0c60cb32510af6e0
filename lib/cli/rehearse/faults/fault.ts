import type { ErrorName } from '../../../core/errors.ts';
import type { Workflow } from '../../../core/outcome.ts';
import type { PostgresBinaries } from '../../setup/postgres-binaries.ts';
import type { Rehearsal } from '../rehearsal.ts';

/** Something that goes wrong, done for real to a running rehearsal. */
export interface Fault {
  readonly name: string;
  /** What is done, in a sentence. */
  readonly summary: string;
  /** The workflow that meets it; a restore test needs a good backup first. */
  readonly workflow: Workflow;
  readonly expectedError: ErrorName;
  /** What the message has to name besides. */
  readonly expectedMessage?: RegExp;
  /** Throws, with exit 2, where the fault cannot be made to happen. */
  requirePossible?(postgres: PostgresBinaries): void;
  inject(rehearsal: Rehearsal): Promise<Injection>;
}

export interface Injection {
  /** What was done so far, for the report; undefined while the fault has not struck. */
  struck(): string | undefined;
  /** Puts everything back, as far as it is not the workflow's own task to do so. */
  undo(): Promise<void>;
}

/** A fault that is in place at once. */
export const inPlace = (what: string, undo: () => Promise<unknown>): Injection => ({
  struck: () => what,
  undo: async () => {
    await undo();
  },
});
