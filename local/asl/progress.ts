import type { Child } from './children.ts';
import type { Json, State } from './types.ts';

/**
 * Where a sequence of states stands. The run keeps it up to date, so that a redrive can go on from there: what was left
 * is not run again, what was entered and not left is.
 */
export interface Progress {
  /** The state it is at; `entered` once that is in the history. */
  at?: {
    readonly name: string;
    readonly input: Json;
    readonly entered?: { readonly eventId: number; readonly time: string; readonly type: State['Type'] };
  };
  /** Variables as that state finds them; absent where nothing was assigned here. */
  variables?: Readonly<Record<string, Json>>;
  /** Set once the sequence came to its end. */
  done?: { readonly output: Json };
  /** The branches or iterations of the state it is at, once they were started. */
  fanOut?: FanOut | undefined;
  /** The Map Run of the state it is at, once it was started. */
  mapRun?: MapRunProgress | undefined;
}

export interface FanOut {
  /** What each branch is given, or each iteration before ItemSelector. */
  readonly inputs: readonly Json[];
  /** ParallelStateStarted or MapStateStarted. */
  readonly eventId: number;
  /** By index; those not yet begun are absent. */
  readonly inner: Progress[];
}

export interface MapRunProgress {
  readonly arn: string;
  readonly label: string;
  redriveCount: number;
  /** Inputs of the child executions, and how many items each has; absent until they were read. */
  work?: readonly { readonly input: Json; readonly items: number }[];
  /** By index; those not yet begun are absent. */
  readonly children: (Child | undefined)[];
}

/** Forgets what the state's branches, iterations or children did: they are to run again. */
export function startOver(progress: Progress): void {
  progress.fanOut = undefined;
  progress.mapRun = undefined;
}
