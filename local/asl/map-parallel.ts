import { Interrupted } from './clock.ts';
import { checkSize } from './errors.ts';
import { evaluateField, evaluationFailed, type Frame, leave, type Step, type Thread } from './frame.ts';
import { withRecovery } from './retry.ts';
import type { Json, MapState, ParallelState } from './types.ts';

/** Iterations that AWS runs at the same time where MaxConcurrency is 0 or absent. */
const mostIterations = 40;

export function runParallel(state: ParallelState, frame: Frame): Promise<Step> {
  const { trail, run } = frame.thread;
  const attempt = async () => {
    const input =
      state.Arguments === undefined ? frame.input : await evaluateField(frame, 'Arguments', state.Arguments);
    checkSize(input, frame.name);
    trail.record('ParallelStateStarted');
    const result = await runAll(frame, state.Branches.length, state.Branches.length, (index, thread) =>
      run.runBlock(state.Branches[index] as (typeof state.Branches)[number], input, thread),
    );
    trail.note('ParallelStateSucceeded');
    checkSize(result, frame.name);
    return leave(frame, state, result, { result });
  };
  return withRecovery(state, frame, attempt, () => trail.record('ParallelStateFailed'));
}

export function runMap(state: MapState, frame: Frame): Promise<Step> {
  const { trail } = frame.thread;
  const attempt = async () => {
    const items = await itemsOf(state, frame);
    const concurrency = await concurrencyOf(state, frame);
    trail.record('MapStateStarted', { length: items.length });
    const result = await runAll(frame, items.length, concurrency, (index, thread) =>
      runIteration(state, frame, { Index: index, Value: items[index] as Json }, thread),
    );
    trail.note('MapStateSucceeded');
    checkSize(result, frame.name);
    return leave(frame, state, result, { result });
  };
  return withRecovery(state, frame, attempt, () => trail.record('MapStateFailed'));
}

async function itemsOf(state: MapState, frame: Frame): Promise<Json[]> {
  const items = state.Items === undefined ? frame.input : await evaluateField(frame, 'Items', state.Items);
  if (Array.isArray(items)) return items;
  return evaluationFailed(frame, 'Items', `Map state input must be an array but was: ${JSON.stringify(items)}`);
}

async function concurrencyOf(state: MapState, frame: Frame): Promise<number> {
  const most = await evaluateField(frame, 'MaxConcurrency', state.MaxConcurrency ?? 0);
  if (!Number.isInteger(most) || (most as number) < 0) {
    const reason = `The field 'MaxConcurrency' must be a non-negative integer but was: ${JSON.stringify(most)}`;
    return evaluationFailed(frame, 'MaxConcurrency', reason);
  }
  return most === 0 ? mostIterations : (most as number);
}

async function runIteration(
  state: MapState,
  frame: Frame,
  item: NonNullable<Thread['item']>,
  thread: Thread,
): Promise<Json> {
  const { trail, run } = thread;
  const details = { name: frame.name, index: item.Index };
  trail.record('MapIterationStarted', details);
  try {
    const selector = state.ItemSelector;
    const input = selector === undefined ? item.Value : await selectItem(frame, thread, selector, item);
    const output = await run.runBlock(state.ItemProcessor, input, { ...thread, item });
    trail.note('MapIterationSucceeded', details);
    return output;
  } catch (error) {
    if (!run.signal.aborted) {
      trail.note(error instanceof Interrupted ? 'MapIterationAborted' : 'MapIterationFailed', details);
    }
    throw error;
  }
}

/** ItemSelector belongs to the Map state, but what it records belongs to the iteration. */
const selectItem = (frame: Frame, thread: Thread, selector: Json, item: NonNullable<Thread['item']>) =>
  evaluateField({ ...frame, thread }, 'ItemSelector', selector, {}, { item });

/** Runs the inner threads, at most `concurrency` at a time. The first failure calls the others off and is thrown. */
async function runAll(
  frame: Frame,
  count: number,
  concurrency: number,
  start: (index: number, thread: Thread) => Promise<Json>,
): Promise<Json[]> {
  const { thread } = frame;
  const siblings = new AbortController();
  const signal = AbortSignal.any([thread.signal, siblings.signal]);
  const results: Json[] = new Array(count).fill(null);
  let failed: { readonly error: unknown; readonly at: Thread } | undefined;
  let next = 0;
  const work = async () => {
    let before = thread.trail;
    while (next < count && !signal.aborted) {
      const index = next++;
      const inner: Thread = { ...thread, nested: true, signal, trail: before.fork() };
      try {
        results[index] = await start(index, inner);
      } catch (error) {
        failed ??= { error, at: inner };
        siblings.abort('a sibling failed');
      }
      before = inner.trail;
    }
    return before;
  };
  const trails = await Promise.all(Array.from({ length: Math.min(count, concurrency) }, work));
  if (failed) {
    thread.trail.joinFailed(failed.at.trail);
    throw failed.error;
  }
  if (thread.signal.aborted) throw new Interrupted(thread.signal.reason);
  for (const trail of trails) thread.trail.join(trail);
  return results;
}
