import { setImmediate } from 'node:timers/promises';
import { type Child, type ChildStart, startHere } from './children.ts';
import { type Clock, createClock, Interrupted } from './clock.ts';
import { isDistributed, runDistributedMap } from './distributed-map.ts';
import { checkSize, StatesError, timeoutError } from './errors.ts';
import type { Frame, Integrate, Run, Step, Thread } from './frame.ts';
import { failure, History, type HistorySink, payload, Trail } from './history.ts';
import { runMap, runParallel } from './map-parallel.ts';
import { type Progress, startOver } from './progress.ts';
import { asStatesError } from './retry.ts';
import { runChoice, runFail, runPass, runSucceed, runWait } from './simple-states.ts';
import { runTask } from './task-state.ts';
import type { ExecutionContext, Json, Outcome, State, StateBlock, StateMachine } from './types.ts';

export interface RunOptions {
  /** Carries out tasks. */
  readonly integrate: Integrate;
  /** `$states.context`; what is left out is made up. */
  readonly context?: {
    readonly Execution?: Partial<ExecutionContext['Execution']>;
    readonly StateMachine?: Partial<ExecutionContext['StateMachine']>;
  };
  readonly region?: string;
  readonly history?: HistorySink;
  /** Time for waits, retries, timeouts and heartbeats: `createClock(100)` runs them a hundred times faster. */
  readonly clock?: Clock;
  /** Milliseconds since the epoch, where only the time of day shall be another's. */
  readonly now?: () => number;
  /** Aborting ends the execution ABORTED, with error and cause when the reason is a {@link StatesError}. */
  readonly signal?: AbortSignal;
  /** For jitter; 0 ≤ number < 1. */
  readonly random?: () => number;
  /** Filled in as the run goes; given to the next run of the same execution, that one goes on from there. */
  readonly progress?: Progress;
  /** Says that this run redrives an earlier one; the context says how often that was done. */
  readonly redrive?: { readonly lastEventId: number };
  /** Starts the child executions of distributed Maps. @default they run here, without a history that can be read */
  readonly startChild?: (child: ChildStart) => Child;
}

/** Runs a state machine to its end. Never rejects: what goes wrong is the outcome. */
export async function runMachine(machine: StateMachine, input: Json, options: RunOptions): Promise<Outcome> {
  const clock = options.clock ?? createClock(1, options.now);
  const history = new History(clock, options.history ?? (() => {}), options.redrive?.lastEventId);
  const timeout = new AbortController();
  const stopTimer =
    machine.TimeoutSeconds === undefined
      ? () => {}
      : (clock.limit ?? clock.timer)(machine.TimeoutSeconds * 1000, () => timeout.abort(new StatesError(timeoutError)));
  const signal = AbortSignal.any([timeout.signal, ...(options.signal ? [options.signal] : [])]);
  const context = completeContext(options.context, input, clock);
  const run: Run = {
    integrate: options.integrate,
    clock,
    context,
    region: options.region ?? 'us-east-1',
    signal,
    random: options.random ?? Math.random,
    runBlock,
    startChild: options.startChild ?? ((child) => startHere(run, child, runMachine)),
  };
  const progress = options.progress ?? {};
  const trail = new Trail(history, begin(history, context.Execution, options.redrive));
  try {
    const variables = progress.variables ?? {};
    const output = await runBlock(machine, input, { run, trail, progress, signal, variables });
    trail.record('ExecutionSucceeded', payload('output', output));
    return { status: 'SUCCEEDED', output };
  } catch (thrown) {
    return endEarly(thrown, trail, history, timeout.signal);
  } finally {
    stopTimer();
    history.close();
  }
}

/** Records that it begins; returns the event to which the next one points. */
function begin(history: History, execution: ExecutionContext['Execution'], redrive: RunOptions['redrive']): number {
  if (redrive) {
    return history.record('ExecutionRedriven', redrive.lastEventId, { redriveCount: execution.RedriveCount });
  }
  history.record('ExecutionStarted', 0, { ...payload('input', execution.Input), roleArn: execution.RoleArn });
  return 0;
}

function endEarly(thrown: unknown, trail: Trail, history: History, timeout: AbortSignal): Outcome {
  if (!(thrown instanceof Interrupted)) {
    const details = failure(asStatesError(thrown));
    trail.record('ExecutionFailed', details);
    return { status: 'FAILED', ...details };
  }
  if (timeout.aborted) {
    history.record('ExecutionTimedOut', 0, { error: timeoutError });
    return { status: 'TIMED_OUT', error: timeoutError };
  }
  const details = thrown.reason instanceof StatesError ? failure(thrown.reason) : {};
  history.record('ExecutionAborted', 0, details);
  return { status: 'ABORTED', ...details };
}

function completeContext(given: RunOptions['context'], input: Json, clock: Clock): ExecutionContext {
  const account = 'us-east-1:111122223333';
  return {
    Execution: {
      Id: `arn:aws:states:${account}:execution:machine:execution`,
      Name: 'execution',
      Input: input,
      RoleArn: 'arn:aws:iam::111122223333:role/machine',
      StartTime: new Date(clock.now()).toISOString(),
      RedriveCount: 0,
      ...given?.Execution,
    },
    StateMachine: {
      Id: `arn:aws:states:${account}:stateMachine:machine`,
      Name: 'machine',
      ...given?.StateMachine,
    },
  };
}

async function runBlock(block: StateBlock, input: Json, thread: Thread): Promise<Json> {
  const { progress } = thread;
  let at = progress.at ?? { name: block.StartAt, input };
  for (;;) {
    // Lets timers and requests in, also where states only follow each other.
    await setImmediate();
    if (thread.signal.aborted) throw new Interrupted(thread.signal.reason);
    const { output, next } = await runOne(block.States[at.name] as State, at, thread);
    startOver(progress);
    if (next === undefined) {
      progress.done = { output };
      return output;
    }
    progress.variables = thread.variables;
    progress.at = at = { name: next, input: output };
  }
}

async function runOne(state: State, at: NonNullable<Progress['at']>, thread: Thread): Promise<Step> {
  const { trail, run } = thread;
  const { name, input } = at;
  const enteredFrom = at.entered?.eventId ?? trail.previous;
  const entered = at.entered ?? {
    eventId: trail.record(`${state.Type}StateEntered`, { name, ...payload('input', input) }),
    time: new Date(run.clock.now()).toISOString(),
    type: state.Type,
  };
  thread.progress.at = { name, input, entered };
  // A redriven state is not entered again: its attempt points to where it was entered. Recorded on AWS, where the Fail
  // state is the exception: https://github.com/radkawar/stackd/blob/9dc356f/testdata/aws/stepfunctions/redrive_execution.json
  if (at.entered && state.Type !== 'Fail') trail.returnTo(entered.eventId);
  const frame: Frame = {
    thread,
    name,
    type: state.Type,
    input,
    enteredEventId: entered.eventId,
    enteredFrom,
    enteredTime: entered.time,
    retryCount: 0,
  };
  checkSize(input, name);
  return carryOut(state, frame);
}

function carryOut(state: State, frame: Frame): Promise<Step> {
  switch (state.Type) {
    case 'Task':
      return runTask(state, frame);
    case 'Choice':
      return runChoice(state, frame);
    case 'Parallel':
      return runParallel(state, frame);
    case 'Map':
      return isDistributed(state) ? runDistributedMap(state, frame) : runMap(state, frame);
    case 'Wait':
      return runWait(state, frame);
    case 'Pass':
      return runPass(state, frame);
    case 'Succeed':
      return runSucceed(state, frame);
    case 'Fail':
      return runFail(state, frame);
  }
}
