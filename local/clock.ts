/**
 * The clock of a cloud: what schedules, alarms, lifecycles and workflow waits run on. It starts as the machine's own,
 * may run faster, and may be moved forward. Processes (tasks, functions, servers) stay on the machine's clock.
 */
export interface CloudClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fire` after `ms` milliseconds of this clock, unless the returned function is called before. */
  timer(ms: number, fire: () => void): () => void;
  /** Settles after `ms` milliseconds of this clock; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Moves the clock forward by `ms` milliseconds. What comes due on the way is called in order, each at its own time;
   * what it begins by way of the network goes on meanwhile. Settles when the new time has been reached.
   */
  advance(ms: number): Promise<void>;
  /** How many times faster than the machine's clock it runs. */
  readonly rate: number;
  /** Cancels every timer, for good. */
  stop(): void;
}

export interface ClockOptions {
  /** @default 1 */
  readonly rate?: number;
  /** Milliseconds since the epoch at which it starts. @default the machine's time */
  readonly start?: number;
}

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly fire: () => void;
}

/** setTimeout fires at once for longer delays. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

export function createCloudClock(options: ClockOptions = {}): CloudClock {
  const rate = options.rate ?? 1;
  if (!(rate > 0 && rate <= 1e6))
    throw new RangeError(`A clock's rate is a number from above 0 to 1000000, not ${rate}.`);
  const began = Date.now();
  /** Cloud time at `began`, moved by every advance. */
  let origin = options.start ?? began;
  const timers = new Set<Timer>();
  let order = 0;
  let handle: NodeJS.Timeout | undefined;
  let stopped = false;
  let advancing: Promise<void> = Promise.resolve();

  const now = (): number => Math.floor(origin + (Date.now() - began) * rate);

  const earliest = (): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) {
      if (first === undefined || timer.due < first.due || (timer.due === first.due && timer.order < first.order))
        first = timer;
    }
    return first;
  };

  const wake = (): void => {
    clearTimeout(handle);
    const next = earliest();
    if (next === undefined || stopped) return;
    const wait = Math.min(Math.max(Math.ceil((next.due - now()) / rate), 0), LONGEST_TIMEOUT);
    // It keeps no process alive: a cloud that runs has a server that listens.
    handle = setTimeout(fireDue, wait).unref();
  };

  const fireDue = (): void => {
    for (let next = earliest(); next !== undefined && next.due <= now() && !stopped; next = earliest()) {
      timers.delete(next);
      next.fire();
    }
    wake();
  };

  const timer = (ms: number, fire: () => void): (() => void) => {
    const entry: Timer = { due: now() + Math.max(0, ms), order: order++, fire };
    if (!stopped) timers.add(entry);
    wake();
    return () => {
      if (timers.delete(entry)) wake();
    };
  };

  const move = async (ms: number): Promise<void> => {
    const target = now() + ms;
    for (let next = earliest(); next !== undefined && next.due <= target && !stopped; next = earliest()) {
      origin += Math.max(0, next.due - now());
      timers.delete(next);
      next.fire();
      // What was waiting for this timer sets its next ones before the clock moves on.
      await new Promise(setImmediate);
    }
    origin += Math.max(0, target - now());
    wake();
  };

  return {
    now,
    timer,
    rate,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const abort = () => {
          cancel();
          reject(signal?.reason);
        };
        const cancel = timer(ms, () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        });
        signal?.addEventListener('abort', abort, { once: true });
      }),
    advance: (ms) => {
      if (!(ms >= 0)) throw new RangeError(`A clock goes forward only, not by ${ms} ms.`);
      advancing = advancing.then(() => move(ms));
      return advancing;
    },
    stop: () => {
      stopped = true;
      clearTimeout(handle);
      timers.clear();
    },
  };
}
