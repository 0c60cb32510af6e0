import type { HistoryEvent } from '@aws-sdk/client-sfn';

/** The states that an execution went through, made from its history. */

export interface StateStep {
  readonly name: string;
  /** False when an error was caught in it or ended the execution in it. */
  readonly ok: boolean;
  readonly seconds: number;
  readonly startedAt: string;
  /** True for states inside a Map or Parallel. */
  readonly inner: boolean;
  /** The first error of the state, when there was one. */
  readonly error?: string;
}

export interface StateWatcher {
  entered?(name: string, at: Date, inner: boolean): void;
  left?(step: StateStep): void;
  /** How far the state that runs now is. */
  progress?(text: string): void;
}

interface OpenState {
  readonly id: number;
  readonly name: string;
  readonly at: Date;
  readonly inner: boolean;
  /** A Map or Parallel, whose branches hold states of their own. */
  readonly container: boolean;
  error?: string;
}

export interface StateTracker {
  /** Events in the order of their ids. */
  take(event: HistoryEvent): void;
  /** Closes what the end of the execution left open, and gives all steps in the order in which they were left. */
  finish(at: Date): readonly StateStep[];
}

/** An event belongs to the state that its chain of previous events leads to. */
export function trackStates(watcher: StateWatcher): StateTracker {
  const open = new Map<number, OpenState>();
  const stateOf = new Map<number, OpenState | undefined>();
  const steps: StateStep[] = [];

  const leave = (state: OpenState, at: Date): void => {
    // A Map that fails leaves its branches where they were.
    if (state.container) for (const other of [...open.values()].reverse()) if (other.id > state.id) leave(other, at);
    if (!open.delete(state.id)) return;
    const step: StateStep = {
      name: state.name,
      ok: state.error === undefined,
      seconds: (at.getTime() - state.at.getTime()) / 1000,
      startedAt: state.at.toISOString(),
      inner: state.inner,
      ...(state.error !== undefined && { error: state.error }),
    };
    steps.push(step);
    watcher.left?.(step);
  };

  const enter = (event: HistoryEvent, type: string, at: Date): OpenState => {
    const name = event.stateEnteredEventDetails?.name ?? type;
    const inner = [...open.values()].some((state) => state.container);
    const state: OpenState = { id: event.id as number, name, at, inner, container: /^(Map|Parallel)/.test(type) };
    open.set(state.id, state);
    watcher.entered?.(name, at, inner);
    return state;
  };

  return {
    take(event) {
      const type = event.type ?? '';
      const at = event.timestamp ?? new Date();
      const current = stateOf.get(event.previousEventId ?? 0);
      if (type.endsWith('StateEntered')) {
        stateOf.set(event.id as number, enter(event, type, at));
      } else if (type.endsWith('StateExited')) {
        const name = event.stateExitedEventDetails?.name;
        const state = current?.name === name ? current : [...open.values()].findLast((other) => other.name === name);
        if (state) leave(state, at);
      } else {
        stateOf.set(event.id as number, current);
        if (/^(Map|Parallel).*Failed$/.test(type)) blameContainer(open, event);
        else if (current) note(current, event, type);
      }
    },
    finish(at) {
      for (const state of [...open.values()].reverse()) leave(state, at);
      return steps;
    },
  };
}

/** Keeps the error of a state until an attempt of it succeeds; an abort that follows an error does not hide it. */
function note(state: OpenState, event: HistoryEvent, type: string): void {
  if (/(Failed|TimedOut|Aborted)$/.test(type)) state.error = errorOf(event) ?? state.error ?? type;
  else if (/(Task|LambdaFunction|Activity)Succeeded$/.test(type)) delete state.error;
}

/** A Map's own failure event names no error: it is that of the branch that failed. */
function blameContainer(open: ReadonlyMap<number, OpenState>, event: HistoryEvent): void {
  const container = [...open.values()].findLast((state) => state.container);
  const branch = [...open.values()].findLast((state) => state.inner && state.error !== undefined);
  if (container) container.error = errorOf(event) ?? branch?.error ?? 'States.BranchFailed';
}

/** The error an event carries, whichever of its detail fields holds it. */
function errorOf(event: HistoryEvent): string | undefined {
  for (const details of Object.values(event)) {
    if (typeof details !== 'object' || details === null || !('error' in details)) continue;
    if (typeof details.error === 'string') return details.error;
  }
  return event.type?.endsWith('TimedOut') ? 'States.Timeout' : undefined;
}
