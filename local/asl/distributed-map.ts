import { randomUUID } from 'node:crypto';
import type { Child } from './children.ts';
import { Interrupted } from './clock.ts';
import { checkSize, StatesError } from './errors.ts';
import { evaluateField, evaluationFailed, type Frame, leave, type Step } from './frame.ts';
import { failure } from './history.ts';
import { readItems } from './item-reader.ts';
import { itemsOf, wholeNumber } from './map-parallel.ts';
import type { MapRunProgress } from './progress.ts';
import { asStatesError, withRecovery } from './retry.ts';
import type { Json, MapState, Outcome } from './types.ts';

/** Child executions at the same time where MaxConcurrency is 0 or absent; AWS's 10,000 are more than one machine has. */
const mostChildren = 40;

export const isDistributed = (state: MapState): boolean => state.ItemProcessor.ProcessorConfig?.Mode === 'DISTRIBUTED';

/**
 * A Map whose items are executions of their own. Its events are recorded in the order of AWS:
 * https://github.com/localstack/localstack/blob/main/tests/aws/services/stepfunctions/v2/scenarios/test_base_scenarios.snapshot.json
 */
export function runDistributedMap(state: MapState, frame: Frame): Promise<Step> {
  const { trail, progress } = frame.thread;
  const attempt = async () => {
    const mapRun = await begin(state, frame, progress.mapRun);
    progress.mapRun = mapRun;
    const result = await mapItems(state, frame, mapRun).catch((thrown) => {
      if (thrown instanceof Interrupted) throw thrown;
      const error = asStatesError(thrown);
      trail.record('MapRunFailed', failure(error));
      throw error;
    });
    trail.note('MapRunSucceeded');
    trail.aside('MapStateSucceeded');
    checkSize(result, frame.name);
    return leave(frame, state, result, { result });
  };
  return withRecovery(state, frame, attempt, () => trail.record('MapStateFailed'));
}

/** The Map Run to go on with: a new one, or the one of the attempt that is redriven. */
async function begin(state: MapState, frame: Frame, earlier: MapRunProgress | undefined): Promise<MapRunProgress> {
  const { trail, run } = frame.thread;
  if (earlier?.work) {
    earlier.redriveCount += 1;
    trail.record('MapRunRedriven', { mapRunArn: earlier.arn, redriveCount: earlier.redriveCount });
    return earlier;
  }
  const items = state.ItemReader ? [] : await itemsOf(state, frame);
  trail.record('MapStateStarted', { length: items.length });
  const label = state.Label ?? randomUUID();
  const machine = run.context.StateMachine.Id.replace(':stateMachine:', ':mapRun:');
  const mapRun: MapRunProgress = { arn: `${machine}/${label}:${randomUUID()}`, label, redriveCount: 0, children: [] };
  trail.record('MapRunStarted', { mapRunArn: mapRun.arn });
  return mapRun;
}

async function mapItems(state: MapState, frame: Frame, mapRun: MapRunProgress): Promise<Json[]> {
  mapRun.work ??= await makeWork(state, frame);
  const { work, children } = mapRun;
  const concurrency = (await wholeNumber(frame, 'MaxConcurrency', state.MaxConcurrency ?? 0)) || mostChildren;
  const total = work.reduce((sum, { items }) => sum + items, 0);
  const tolerates = await toleranceOf(state, frame, total);
  const { signal } = frame.thread;
  const outcomes: Outcome[] = [];
  let failed = 0;
  let next = 0;
  const callOff = () => {
    for (const child of children) child?.abort();
  };
  const drive = async () => {
    while (next < work.length && !signal.aborted && tolerates(failed)) {
      const index = next++;
      const child = await startChild(state, frame, mapRun, index);
      const outcome = await child.ended;
      outcomes[index] = outcome;
      if (outcome.status !== 'SUCCEEDED') failed += work[index]?.items ?? 1;
      if (!tolerates(failed)) callOff();
    }
  };
  signal.addEventListener('abort', callOff, { once: true });
  await Promise.all(Array.from({ length: Math.min(work.length, concurrency) }, drive));
  signal.removeEventListener('abort', callOff);
  if (signal.aborted) throw new Interrupted(signal.reason);
  if (!tolerates(failed)) {
    const cause = 'The specified tolerated failure threshold was exceeded';
    throw new StatesError('States.ExceedToleratedFailureThreshold', cause);
  }
  // What failed and was tolerated has no output, so it has no place in the result.
  return outcomes.flatMap(({ status, output }) => (status === 'SUCCEEDED' ? [output ?? null] : []));
}

/** A new child, or that of the attempt that is redriven, which goes on unless it succeeded. */
async function startChild(state: MapState, frame: Frame, mapRun: MapRunProgress, index: number): Promise<Child> {
  const earlier = mapRun.children[index];
  if (earlier === undefined) {
    const input = mapRun.work?.[index]?.input ?? null;
    const { label, arn } = mapRun;
    const child = frame.thread.run.startChild({ block: state.ItemProcessor, input, label, mapRunArn: arn });
    mapRun.children[index] = child;
    return child;
  }
  if ((await earlier.ended).status !== 'SUCCEEDED') earlier.redrive();
  return earlier;
}

/** Reads, selects and batches: what each child is given. */
async function makeWork(state: MapState, frame: Frame) {
  const items = state.ItemReader ? await readItems(state.ItemReader, frame) : await itemsOf(state, frame);
  const selected: Json[] = [];
  for (const [Index, Value] of items.entries()) {
    const { ItemSelector } = state;
    selected.push(
      ItemSelector === undefined
        ? Value
        : await evaluateField(frame, 'ItemSelector', ItemSelector, {}, { item: { Index, Value } }),
    );
  }
  return state.ItemBatcher
    ? batches(state.ItemBatcher, selected, frame)
    : selected.map((input) => ({ input, items: 1 }));
}

async function batches(batcher: NonNullable<MapState['ItemBatcher']>, items: readonly Json[], frame: Frame) {
  const limit = async (field: 'MaxItemsPerBatch' | 'MaxInputBytesPerBatch') => {
    const value = batcher[field];
    return (
      (value === undefined ? 0 : await wholeNumber(frame, `ItemBatcher/${field}`, value)) || Number.POSITIVE_INFINITY
    );
  };
  const most = await limit('MaxItemsPerBatch');
  const mostBytes = await limit('MaxInputBytesPerBatch');
  const common: { [key: string]: Json } =
    batcher.BatchInput === undefined
      ? {}
      : { BatchInput: await evaluateField(frame, 'ItemBatcher/BatchInput', batcher.BatchInput) };
  const made: Json[][] = [];
  for (const item of items) {
    const last = made.at(-1);
    const fits = last && last.length < most && bytes({ ...common, Items: [...last, item] }) <= mostBytes;
    if (fits) last.push(item);
    else made.push([item]);
  }
  return made.map((Items) => ({ input: { ...common, Items } as Json, items: Items.length }));
}

const bytes = (value: Json): number => Buffer.byteLength(JSON.stringify(value));

/** Whether so many failed items leave the Map Run going. Where both limits are given, each of them counts. */
async function toleranceOf(state: MapState, frame: Frame, total: number): Promise<(failed: number) => boolean> {
  const { ToleratedFailureCount: count, ToleratedFailurePercentage: share } = state;
  const most = count === undefined ? undefined : await wholeNumber(frame, 'ToleratedFailureCount', count);
  const percentage = share === undefined ? undefined : await evaluateField(frame, 'ToleratedFailurePercentage', share);
  if (percentage !== undefined && (typeof percentage !== 'number' || percentage < 0 || percentage > 100)) {
    const reason = `The field 'ToleratedFailurePercentage' must be from 0 to 100 but was: ${JSON.stringify(percentage)}`;
    return evaluationFailed(frame, 'ToleratedFailurePercentage', reason);
  }
  if (most === undefined && percentage === undefined) return (failed) => failed === 0;
  return (failed) =>
    failed <= (most ?? total) && (percentage === undefined || failed * 100 <= (percentage as number) * total);
}
