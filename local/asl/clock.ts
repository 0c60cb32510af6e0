/** Time as an execution sees it: Wait, retries, timeouts and heartbeats all run on it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fire` after `ms` milliseconds of this clock, unless the returned function is called before. */
  timer(ms: number, fire: () => void): () => void;
  /** The same for timeouts and heartbeats, where the work lives by another clock than the waits. @default timer */
  limit?(ms: number, fire: () => void): () => void;
}

/** setTimeout fires at once for longer delays, so they are made of several. */
const longestTimer = 2 ** 31 - 1;

/** The computer's clock. With `speed` 100, a Wait of 10 seconds takes a tenth of one: for tests of workflows. */
export function createClock(speed = 1, now: () => number = Date.now): Clock {
  return {
    now,
    timer(ms, fire) {
      let remaining = Math.max(0, ms / speed);
      let handle: NodeJS.Timeout;
      const arm = () => {
        const part = Math.min(remaining, longestTimer);
        remaining -= part;
        handle = setTimeout(() => (remaining > 0 ? arm() : fire()), part);
      };
      arm();
      return () => clearTimeout(handle);
    },
  };
}

/** The rejection of whatever waits when its execution, branch or attempt is called off. */
export class Interrupted extends Error {
  readonly reason: unknown;
  constructor(reason: unknown) {
    super('interrupted');
    this.name = 'Interrupted';
    this.reason = reason;
  }
}

/** The promise's result, or {@link Interrupted} as soon as the signal aborts; the promise itself is left to itself. */
export function interruptible<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const interrupt = () => reject(new Interrupted(signal.reason));
    if (signal.aborted) interrupt();
    signal.addEventListener('abort', interrupt, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', interrupt));
  });
}

/** Waits on the clock; rejects with {@link Interrupted} when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let cancel = () => {};
  const elapsed = new Promise<void>((resolve) => {
    cancel = clock.timer(ms, resolve);
  });
  return interruptible(elapsed, signal).finally(() => cancel());
}
