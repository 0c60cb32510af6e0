import type { Child, ChildStart } from './children.ts';
import type { Clock } from './clock.ts';
import { checkSize, dataLimitExceeded, payloadLimit, queryEvaluationError, StatesError } from './errors.ts';
import { evaluate, QueryError } from './expressions.ts';
import { payload, type Trail } from './history.ts';
import type { Progress } from './progress.ts';
import type { Assignments, ExecutionContext, Json, StateBlock } from './types.ts';

/** Why a task's signal aborted, when it was the task's own TimeoutSeconds or HeartbeatSeconds. */
export class TaskExpired extends Error {
  readonly error: StatesError;
  constructor(error: StatesError) {
    super(error.message);
    this.name = 'TaskExpired';
    this.error = error;
  }
}

/** A task as it is handed to whoever carries it out. */
export interface TaskCall {
  /** The state's Resource. */
  readonly resource: string;
  readonly arguments: Json;
  readonly state: string;
  /** For `.waitForTaskToken`: what `$states.context.Task.Token` gave to the arguments. */
  readonly token?: string;
  /** Aborted when nobody waits for the result any more; the reason is {@link TaskExpired} when it took too long. */
  readonly signal: AbortSignal;
  /** Says what the service answered at once, where the result comes later (a job, a token). */
  submitted(answer: Json): void;
  /** Restarts HeartbeatSeconds. */
  heartbeat(): void;
}

/**
 * Carries out a task and resolves with its final result: for `.sync` once the job ended, for `.waitForTaskToken` once
 * the token was answered. A {@link StatesError} fails the task; anything else thrown fails the execution.
 */
export type Integrate = (task: TaskCall) => Promise<Json | undefined> | Json | undefined;

/** What is the same for the whole execution. */
export interface Run {
  readonly integrate: Integrate;
  readonly clock: Clock;
  readonly context: ExecutionContext;
  readonly region: string;
  /** Aborted when the whole execution ends early. */
  readonly signal: AbortSignal;
  random(): number;
  /** Runs a branch or a Map's iteration. */
  runBlock(block: StateBlock, input: Json, thread: Thread): Promise<Json>;
  /** Starts one of the executions of which a distributed Map is made. */
  startChild(child: ChildStart): Child;
}

/** One sequence of states: the machine's, or a branch's, or an iteration's. */
export interface Thread {
  readonly run: Run;
  readonly trail: Trail;
  readonly progress: Progress;
  /** Aborted when this thread is called off: the execution ends, or a sibling failed. */
  readonly signal: AbortSignal;
  readonly item?: { readonly Index: number; readonly Value: Json };
  /** Variables that can be read here. An inner thread starts with its parent's and keeps its own to itself. */
  variables: Readonly<Record<string, Json>>;
}

/** One entry into a state. */
export interface Frame {
  readonly thread: Thread;
  readonly name: string;
  readonly type: string;
  readonly input: Json;
  readonly enteredEventId: number;
  /** The event before the entry; the entry itself where the state is redriven. */
  readonly enteredFrom: number;
  readonly enteredTime: string;
  retryCount: number;
}

/** Where the machine goes after a state; without `next` the block ends. */
export interface Step {
  readonly output: Json;
  readonly next?: string | undefined;
}

/** What `$states` has besides input and context. */
export interface Results {
  readonly result?: Json;
  readonly errorOutput?: Json;
}

export interface ContextAdditions {
  readonly token?: string | undefined;
  readonly item?: Thread['item'];
}

function contextOf(frame: Frame, additions: ContextAdditions): Record<string, unknown> {
  const { thread } = frame;
  const item = additions.item ?? thread.item;
  return {
    ...thread.run.context,
    State: { Name: frame.name, EnteredTime: frame.enteredTime, RetryCount: frame.retryCount },
    ...(additions.token !== undefined && { Task: { Token: additions.token } }),
    ...(item && { Map: { Item: item } }),
  };
}

/**
 * Fails with States.QueryEvaluationError, and records it as AWS does: where nothing happened in the state before, the
 * event points not to the state's entry but to what was before that. Recorded on AWS in the snapshots beside
 * https://github.com/localstack/localstack/tree/main/tests/aws/services/stepfunctions/v2/evaluate_jsonata
 *
 * @param location the field; undefined where it is the input
 */
export function evaluationFailed(frame: Frame, location: string | undefined, reason: string): never {
  const place = `An error occurred while executing the state '${frame.name}'`;
  const cause = `${place} (entered at the event id #${frame.enteredEventId}). ${reason}`;
  const { trail } = frame.thread;
  const details = {
    error: queryEvaluationError,
    cause,
    ...(location !== undefined && { location }),
    state: frame.name,
  };
  const previous = trail.previous === frame.enteredEventId ? frame.enteredFrom : trail.previous;
  trail.recordAfter(previous, 'EvaluationFailed', details);
  throw new StatesError(queryEvaluationError, cause);
}

/** Evaluates a field of the frame's state. Variables have the values that they had when the state was entered. */
export async function evaluateField(
  frame: Frame,
  field: string,
  value: Json,
  results: Results = {},
  additions: ContextAdditions = {},
): Promise<Json> {
  const states = { input: frame.input, context: contextOf(frame, additions), ...results };
  try {
    return await evaluate(value, { ...frame.thread.variables, states }, field);
  } catch (error) {
    if (error instanceof QueryError) return evaluationFailed(frame, error.location, error.message);
    throw error;
  }
}

interface Exit {
  readonly Assign?: Assignments | undefined;
  readonly Output?: Json | undefined;
  readonly Next?: string | undefined;
}

/**
 * Leaves the state: evaluates Output and Assign, both against the variables' old values, then assigns.
 * @param fallback the output where the state has no Output
 */
export async function leave(frame: Frame, exit: Exit, fallback: Json, results: Results = {}): Promise<Step> {
  const { thread } = frame;
  const output = exit.Output === undefined ? fallback : await evaluateField(frame, 'Output', exit.Output, results);
  checkSize(output, frame.name);
  const assigned = exit.Assign && (await evaluateField(frame, 'Assign', exit.Assign as Json, results));
  const variables = Object.entries(assigned ?? {}) as [string, Json][];
  for (const [name, value] of variables) {
    if (Buffer.byteLength(JSON.stringify(value)) > payloadLimit) {
      throw new StatesError(dataLimitExceeded, `The variable '${name}' exceeds the maximum number of bytes.`);
    }
  }
  thread.trail.record(`${frame.type}StateExited`, {
    name: frame.name,
    ...payload('output', output),
    ...(exit.Assign && {
      assignedVariables: Object.fromEntries(variables.map(([name, value]) => [name, JSON.stringify(value)])),
      assignedVariablesDetails: { truncated: false },
    }),
  });
  thread.variables = { ...thread.variables, ...Object.fromEntries(variables) };
  return { output, next: exit.Next };
}
