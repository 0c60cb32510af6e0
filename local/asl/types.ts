/** A loaded state machine: the JSON of its definition, checked by load.ts. Field names are the language's own. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Retrier {
  readonly ErrorEquals: readonly string[];
  /** Seconds before the first retry; default 1. */
  readonly IntervalSeconds?: number;
  /** Default 3; 0 means never. */
  readonly MaxAttempts?: number;
  /** Default 2. */
  readonly BackoffRate?: number;
  readonly MaxDelaySeconds?: number;
  readonly JitterStrategy?: 'FULL' | 'NONE';
}

export type Assignments = Readonly<Record<string, Json>>;

export interface Catcher {
  readonly ErrorEquals: readonly string[];
  readonly Next: string;
  readonly Output?: Json;
  readonly Assign?: Assignments;
}

interface Leaving {
  readonly Output?: Json;
  readonly Assign?: Assignments;
  readonly Next?: string;
  readonly End?: true;
}

interface Recovering {
  readonly Retry?: readonly Retrier[];
  readonly Catch?: readonly Catcher[];
}

export interface TaskState extends Leaving, Recovering {
  readonly Type: 'Task';
  readonly Resource: string;
  readonly Arguments?: Json;
  readonly TimeoutSeconds?: number | string;
  readonly HeartbeatSeconds?: number | string;
}

export interface ParallelState extends Leaving, Recovering {
  readonly Type: 'Parallel';
  readonly Arguments?: Json;
  readonly Branches: readonly StateBlock[];
}

export interface MapState extends Leaving, Recovering {
  readonly Type: 'Map';
  readonly Items?: Json;
  readonly ItemReader?: ItemReader;
  readonly ItemSelector?: Json;
  readonly ItemBatcher?: ItemBatcher;
  readonly ItemProcessor: StateBlock & { readonly ProcessorConfig?: ProcessorConfig };
  readonly MaxConcurrency?: number | string;
  readonly ToleratedFailureCount?: number | string;
  readonly ToleratedFailurePercentage?: number | string;
  readonly Label?: string;
}

export interface ProcessorConfig {
  readonly Mode: 'INLINE' | 'DISTRIBUTED';
  readonly ExecutionType?: 'STANDARD' | 'EXPRESS';
}

/** Where a distributed Map gets its items from. */
export interface ItemReader {
  readonly Resource: string;
  readonly Arguments: Json;
  readonly ReaderConfig?: {
    readonly InputType?: 'JSON' | 'JSONL';
    readonly ItemsPointer?: string;
    readonly MaxItems?: number | string;
  };
}

/** How many items one child execution gets. */
export interface ItemBatcher {
  readonly MaxItemsPerBatch?: number | string;
  readonly MaxInputBytesPerBatch?: number | string;
  readonly BatchInput?: Json;
}

export interface ChoiceRule {
  readonly Condition: string | boolean;
  readonly Next: string;
  readonly Output?: Json;
  readonly Assign?: Assignments;
}

export interface ChoiceState {
  readonly Type: 'Choice';
  readonly Choices: readonly ChoiceRule[];
  readonly Default?: string;
  /** Used when Default is taken; a rule that matched brings its own. */
  readonly Output?: Json;
  readonly Assign?: Assignments;
}

export interface WaitState extends Leaving {
  readonly Type: 'Wait';
  readonly Seconds?: number | string;
  readonly Timestamp?: string;
}

export interface PassState extends Leaving {
  readonly Type: 'Pass';
}

export interface SucceedState {
  readonly Type: 'Succeed';
  readonly Output?: Json;
}

export interface FailState {
  readonly Type: 'Fail';
  readonly Error?: string;
  readonly Cause?: string;
}

export type State =
  | TaskState
  | ParallelState
  | MapState
  | ChoiceState
  | WaitState
  | PassState
  | SucceedState
  | FailState;

/** States that may be retried and whose errors may be caught. */
export type RecoverableState = TaskState | ParallelState | MapState;

/** A machine, a Parallel's branch or a Map's processor. */
export interface StateBlock {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
}

export interface StateMachine extends StateBlock {
  readonly Comment?: string;
  /** Seconds the whole execution may take. */
  readonly TimeoutSeconds?: number;
}

/** `$states.context` as far as it is the same during a whole execution. */
export interface ExecutionContext {
  readonly Execution: {
    readonly Id: string;
    readonly Name: string;
    readonly Input: Json;
    readonly RoleArn: string;
    readonly StartTime: string;
    readonly RedriveCount: number;
    /** Of the last redrive. */
    readonly RedriveTime?: string;
  };
  readonly StateMachine: { readonly Id: string; readonly Name: string };
}

/** How an execution ended. `output` is JSON; `error` and `cause` may be absent, as in a Fail state without them. */
export interface Outcome {
  readonly status: 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';
  readonly output?: Json;
  readonly error?: string;
  readonly cause?: string;
}
