import { Interrupted } from './clock.ts';
import { checkSize } from './errors.ts';
import { expressionIn, typeName } from './expressions.ts';
import { evaluateField, evaluationFailed, type Frame, leave, type Step, type Thread } from './frame.ts';
import type { FanOut } from './progress.ts';
import { withRecovery } from './retry.ts';
import type { Json, MapState, ParallelState } from './types.ts';

/** Iterations that AWS runs at the same time where MaxConcurrency is 0 or absent. */
const mostIterations = 40;

export function runParallel(state: ParallelState, frame: Frame): Promise<Step> {
  const { trail, run, progress } = frame.thread;
  const start = async (): Promise<FanOut> => {
    const input =
      state.Arguments === undefined ? frame.input : await evaluateField(frame, 'Arguments', state.Arguments);
    checkSize(input, frame.name);
    return { inputs: state.Branches.map(() => input), eventId: trail.record('ParallelStateStarted'), inner: [] };
  };
  const attempt = async () => {
    progress.fanOut ??= await start();
    const result = await runAll(frame, progress.fanOut, state.Branches.length, (index, input, thread) =>
      run.runBlock(state.Branches[index] as (typeof state.Branches)[number], input, thread),
    );
    trail.note('ParallelStateSucceeded');
    checkSize(result, frame.name);
    return leave(frame, state, result, { result });
  };
  return withRecovery(state, frame, attempt, () => trail.record('ParallelStateFailed'));
}

export function runMap(state: MapState, frame: Frame): Promise<Step> {
  const { trail, progress } = frame.thread;
  const attempt = async () => {
    const inputs = progress.fanOut?.inputs ?? (await itemsOf(state, frame));
    const concurrency = (await wholeNumber(frame, 'MaxConcurrency', state.MaxConcurrency ?? 0)) || mostIterations;
    progress.fanOut ??= { inputs, eventId: trail.record('MapStateStarted', { length: inputs.length }), inner: [] };
    const result = await runAll(frame, progress.fanOut, concurrency, (index, item, thread) =>
      runIteration(state, frame, { Index: index, Value: item }, thread),
    );
    trail.note('MapStateSucceeded');
    checkSize(result, frame.name);
    return leave(frame, state, result, { result });
  };
  return withRecovery(state, frame, attempt, () => trail.record('MapStateFailed'));
}

export async function itemsOf(state: MapState, frame: Frame): Promise<Json[]> {
  const { Items } = state;
  const items = Items === undefined ? frame.input : await evaluateField(frame, 'Items', Items);
  if (Array.isArray(items)) return items;
  const shown = JSON.stringify(items);
  if (Items === undefined) {
    return evaluationFailed(frame, undefined, `Map state input must be an array but was: ${shown}`);
  }
  const subject = `The JSONata expression '${expressionIn(String(Items))}' specified for the field 'Items'`;
  const wanted = `returned an unexpected result type. Expected 'array', but was '${typeName(items)}' for value: ${shown}`;
  return evaluationFailed(frame, 'Items', `${subject} ${wanted}`);
}

/** The value of a field that is a number from 0 on, or an expression of one. */
export async function wholeNumber(frame: Frame, field: string, value: number | string): Promise<number> {
  const evaluated = await evaluateField(frame, field, value);
  if (Number.isInteger(evaluated) && (evaluated as number) >= 0) return evaluated as number;
  const reason = `The field '${field}' must be a non-negative integer but was: ${JSON.stringify(evaluated)}`;
  return evaluationFailed(frame, field, reason);
}

async function runIteration(
  state: MapState,
  frame: Frame,
  item: NonNullable<Thread['item']>,
  thread: Thread,
): Promise<Json> {
  const { trail, run, progress } = thread;
  const details = { name: frame.name, index: item.Index };
  // One that is redriven stands at a state already: its input has been made.
  if (progress.at === undefined) trail.record('MapIterationStarted', details);
  try {
    const selector = state.ItemSelector;
    const selects = selector !== undefined && progress.at === undefined;
    const input = selects ? await selectItem(frame, thread, selector, item) : item.Value;
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

/**
 * Runs the inner threads, at most `concurrency` at a time. The first failure calls the others off and is thrown.
 * Of those that an earlier attempt began, the ones that ended are not run again, and the others go on where they stand.
 */
async function runAll(
  frame: Frame,
  { inputs, eventId, inner }: FanOut,
  concurrency: number,
  start: (index: number, input: Json, thread: Thread) => Promise<Json>,
): Promise<Json[]> {
  const { thread } = frame;
  const count = inputs.length;
  thread.trail.returnTo(eventId);
  const siblings = new AbortController();
  const signal = AbortSignal.any([thread.signal, siblings.signal]);
  const results: Json[] = new Array(count).fill(null);
  let failed: { readonly error: unknown; readonly at: Thread } | undefined;
  let next = 0;
  const work = async () => {
    let before = thread.trail;
    while (next < count && !signal.aborted) {
      const index = next++;
      const progress = inner[index] ?? {};
      inner[index] = progress;
      if (progress.done) {
        results[index] = progress.done.output;
        continue;
      }
      const variables = progress.variables ?? thread.variables;
      const at: Thread = { ...thread, progress, variables, signal, trail: before.fork() };
      try {
        results[index] = await start(index, inputs[index] as Json, at);
      } catch (error) {
        noteAborted(at, error);
        failed ??= { error, at };
        siblings.abort('a sibling failed');
      }
      before = at.trail;
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

/** AWS notes of a branch or an iteration in which state it ended, but not when the whole execution ends. */
function noteAborted({ run, trail, progress }: Thread, error: unknown): void {
  const type = progress.at?.entered?.type;
  if (type === undefined || !['Task', 'Wait', 'Map', 'Parallel'].includes(type) || run.signal.aborted) return;
  if (error instanceof Interrupted || type === 'Task') trail.note(`${type}StateAborted`);
}
