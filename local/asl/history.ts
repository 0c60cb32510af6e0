import type { Clock } from './clock.ts';
import { runtimeError, StatesError } from './errors.ts';

/** An event in the shape of GetExecutionHistory: `type`, `id`, `previousEventId` and one `…EventDetails`. */
export interface HistoryEvent {
  readonly timestamp: Date;
  readonly type: string;
  readonly id: number;
  readonly previousEventId: number;
  readonly [details: `${string}EventDetails`]: Readonly<Record<string, unknown>>;
}

export type HistorySink = (event: HistoryEvent) => void;

/** AWS's limit; an execution that reaches it fails, which also ends those that loop for ever. */
const mostEvents = 25_000;

/** `taskScheduledEventDetails` for TaskScheduled; entering and leaving have one name for all states. */
function detailsName(type: string): `${string}EventDetails` {
  if (type.endsWith('StateEntered')) return 'stateEnteredEventDetails';
  if (type.endsWith('StateExited')) return 'stateExitedEventDetails';
  return `${type.charAt(0).toLowerCase()}${type.slice(1)}EventDetails`;
}

/** Numbers the events of one execution. Nothing is recorded after the execution's end. */
export class History {
  #clock: Clock;
  #sink: HistorySink;
  #last = 0;
  #closed = false;

  /** @param last the last event of the attempt that is redriven */
  constructor(clock: Clock, sink: HistorySink, last = 0) {
    this.#clock = clock;
    this.#sink = sink;
    this.#last = last;
  }

  record(type: string, previousEventId: number, details?: Readonly<Record<string, unknown>>): number {
    if (this.#closed) return this.#last;
    // One place is kept for the event that ends the execution.
    if (this.#last >= mostEvents - 1 && !type.startsWith('Execution')) {
      throw new StatesError(
        runtimeError,
        `The execution reached the maximum number of history events (${mostEvents}).`,
      );
    }
    this.#last += 1;
    this.#sink({
      timestamp: new Date(this.#clock.now()),
      type,
      id: this.#last,
      previousEventId,
      ...(details && { [detailsName(type)]: details }),
    });
    return this.#last;
  }

  close(): void {
    this.#closed = true;
  }
}

/** The events of one thread (the machine, a branch, an iteration), each pointing to the one before. */
export class Trail {
  readonly #history: History;
  #previous: number;
  #last: number;

  constructor(history: History, previous: number) {
    this.#history = history;
    this.#previous = previous;
    this.#last = previous;
  }

  record(type: string, details?: Readonly<Record<string, unknown>>): number {
    this.#previous = this.#last = this.#history.record(type, this.#previous, details);
    return this.#previous;
  }

  /** Records an event that the next one does not point to. */
  note(type: string, details?: Readonly<Record<string, unknown>>): number {
    this.#last = this.#history.record(type, this.#previous, details);
    return this.#last;
  }

  /** The event to which the next one points. */
  get previous(): number {
    return this.#previous;
  }

  /** Records an event that points to an earlier one than the last. */
  recordAfter(previous: number, type: string, details?: Readonly<Record<string, unknown>>): number {
    this.returnTo(previous);
    return this.record(type, details);
  }

  /** Records an event that points to the very last one, and to which the next one does not point. */
  aside(type: string, details?: Readonly<Record<string, unknown>>): number {
    this.#last = this.#history.record(type, this.#last, details);
    return this.#last;
  }

  /** Goes on after an earlier event: what is redriven points to where it was entered. */
  returnTo(eventId: number): void {
    this.#previous = this.#last = eventId;
  }

  /** A thread that starts here. */
  fork(): Trail {
    return new Trail(this.#history, this.#previous);
  }

  /** Goes on after a thread that succeeded: after its very last event. */
  join(other: Trail): void {
    this.#previous = this.#last = Math.max(this.#previous, other.#last);
  }

  /** Goes on after a thread that failed: after the event that its later ones point to as well. */
  joinFailed(other: Trail): void {
    this.#previous = this.#last = other.#previous;
  }
}

export const payload = (field: 'input' | 'output', value: unknown): Record<string, unknown> => ({
  [field]: JSON.stringify(value),
  [`${field}Details`]: { truncated: false },
});

/** `error` and `cause` of an event; absent ones are left out. */
export const failure = (error: { error: string | undefined; cause: string | undefined }): Record<string, string> => ({
  ...(error.error !== undefined && { error: error.error }),
  ...(error.cause !== undefined && { cause: error.cause }),
});
