import { Interrupted, sleep } from './clock.ts';
import { dataLimitExceeded, matches, runtimeError, StatesError } from './errors.ts';
import { type Frame, leave, type Step } from './frame.ts';
import { startOver } from './progress.ts';
import type { RecoverableState, Retrier } from './types.ts';

/**
 * Carries a state out, again as its Retry says, and leaves it through its Catch where that fails.
 * @param attempt one attempt, up to leaving the state
 * @param exhausted records the state's failure once no retry is left
 */
export async function withRecovery(
  state: RecoverableState,
  frame: Frame,
  attempt: () => Promise<Step>,
  exhausted: () => void = () => {},
): Promise<Step> {
  const { clock, random } = frame.thread.run;
  const used = new Map<Retrier, number>();
  for (;;) {
    let error: StatesError;
    try {
      return await attempt();
    } catch (thrown) {
      if (thrown instanceof Interrupted) throw thrown;
      error = asStatesError(thrown);
    }
    const delay = delayBeforeRetry(state.Retry ?? [], used, error, random);
    if (delay !== undefined) {
      startOver(frame.thread.progress);
      await sleep(clock, delay, frame.thread.signal);
      frame.retryCount += 1;
      continue;
    }
    // It ends the execution at once: no state fails by it.
    if (error.error === runtimeError) throw error;
    exhausted();
    // A redrive runs all of it again where the data was too large, else only what failed.
    if (error.error === dataLimitExceeded) startOver(frame.thread.progress);
    const catcher = state.Catch?.find(({ ErrorEquals }) => matches(ErrorEquals, error));
    if (!catcher) throw error;
    const errorOutput = { Error: error.error ?? null, Cause: error.cause ?? null };
    return leave(frame, catcher, errorOutput, { errorOutput });
  }
}

/** What is thrown by mistake ends the execution: it must not look like an error that a workflow handles. */
export function asStatesError(thrown: unknown): StatesError {
  if (thrown instanceof StatesError) return thrown;
  return new StatesError(runtimeError, thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
}

/** Milliseconds to wait before the next attempt; undefined when there is none. Counts the retrier as used. */
export function delayBeforeRetry(
  retriers: readonly Retrier[],
  used: Map<Retrier, number>,
  error: StatesError,
  random: () => number,
): number | undefined {
  // Only the first retrier that matches counts: when it is used up, later ones are not asked.
  const retrier = retriers.find(({ ErrorEquals }) => matches(ErrorEquals, error));
  if (!retrier) return undefined;
  const attempts = used.get(retrier) ?? 0;
  if (attempts >= (retrier.MaxAttempts ?? 3)) return undefined;
  used.set(retrier, attempts + 1);
  const { IntervalSeconds = 1, BackoffRate = 2, MaxDelaySeconds = Number.POSITIVE_INFINITY } = retrier;
  const seconds = Math.min(IntervalSeconds * BackoffRate ** attempts, MaxDelaySeconds);
  return seconds * 1000 * (retrier.JitterStrategy === 'FULL' ? random() : 1);
}
