import { randomUUID } from 'node:crypto';
import type { Principal, World } from '../facade.ts';
import type { Child, ChildStart } from './children.ts';
import { createClock } from './clock.ts';
import { StatesError } from './errors.ts';
import type { HistoryEvent } from './history.ts';
import { createIntegrations } from './integrations.ts';
import { runMachine } from './interpreter.ts';
import type { Progress } from './progress.ts';
import type { Registered } from './state-machines.ts';
import type { Tokens } from './tokens.ts';
import type { Outcome } from './types.ts';

/** One execution, running or ended. Times are milliseconds since the epoch. */
export interface Execution extends Child {
  readonly arn: string;
  readonly name: string;
  readonly machine: Registered;
  /** JSON as it was given. */
  readonly input: string;
  readonly started: number;
  readonly startedBy: Principal;
  /** Of a distributed Map's child. */
  readonly mapRunArn?: string;
  readonly events: readonly HistoryEvent[];
  /** Absent while it runs. */
  readonly outcome?: Outcome | undefined;
  readonly stopped?: number | undefined;
  readonly redriveCount: number;
  /** Of the last redrive. */
  readonly redriven?: number | undefined;
  /** Resolves when the attempt that runs, or ran last, ended. */
  readonly ended: Promise<Outcome>;
  abort(error?: string, cause?: string): void;
  /** Goes on from the state that failed, was aborted or timed out. */
  redrive(): void;
}

export interface StartOptions {
  readonly world: World;
  readonly machine: Registered;
  readonly tokens: Tokens;
  /** @default a UUID */
  readonly name?: string | undefined;
  readonly input: string;
  readonly startedBy: Principal;
  readonly mapRunArn?: string;
  readonly onEvent: (execution: Execution, event: HistoryEvent) => void;
  /** Starts an execution for a distributed Map of this one. */
  readonly startChild: (parent: Execution, child: ChildStart) => Child;
}

export const executionArn = (machineArn: string, name: string): string =>
  `${machineArn.replace(':stateMachine:', ':execution:')}:${name}`;

/** Starts an execution as the state machine's role. It goes on by itself; see `ended`. */
export function startExecution(options: StartOptions): Execution {
  const { world, machine, tokens, onEvent, startChild } = options;
  const name = options.name ?? randomUUID();
  const arn = executionArn(machine.arn, name);
  const started = world.now();
  const input = JSON.parse(options.input);
  const events: HistoryEvent[] = [];
  const progress: Progress = {};
  let abort = new AbortController();
  let outcome: Outcome | undefined;
  let stopped: number | undefined;
  let redriveCount = 0;
  let redriven: number | undefined;

  const run = async (): Promise<Outcome> => {
    const caller = {
      endpoint: world.endpoint,
      region: machine.region,
      credentials: world.credentialsFor(machine.roleArn, name, machine.region),
    };
    const integrations = createIntegrations(caller, tokens, { machineArn: machine.arn, executionArn: arn });
    const time = (at: number) => new Date(at).toISOString();
    const ended = await runMachine(machine.definition, input, {
      integrate: integrations.integrate,
      region: machine.region,
      // Processes do the work that limits are set on, and they live by the machine's clock.
      clock: { now: world.now, timer: world.clock.timer, limit: createClock().timer },
      signal: abort.signal,
      progress,
      ...(redriveCount > 0 && { redrive: { lastEventId: events.length } }),
      startChild: (child) => startChild(execution, child),
      context: {
        Execution: {
          ...{ Id: arn, Name: name, RoleArn: machine.roleArn, StartTime: time(started), RedriveCount: redriveCount },
          ...(redriven !== undefined && { RedriveTime: time(redriven) }),
        },
        StateMachine: { Id: machine.arn, Name: machine.name },
      },
      history: (event) => {
        events.push(event);
        // The first event comes while the execution is still being made.
        queueMicrotask(() => onEvent(execution, event));
      },
    });
    outcome = ended;
    stopped = world.now();
    void integrations.close();
    return ended;
  };
  let ended = run();
  const execution: Execution = {
    arn,
    name,
    machine,
    input: options.input,
    started,
    startedBy: options.startedBy,
    ...(options.mapRunArn !== undefined && { mapRunArn: options.mapRunArn }),
    events,
    get outcome() {
      return outcome;
    },
    get stopped() {
      return stopped;
    },
    get redriveCount() {
      return redriveCount;
    },
    get redriven() {
      return redriven;
    },
    get ended() {
      return ended;
    },
    abort: (error, cause) => abort.abort(new StatesError(error, cause)),
    redrive: () => {
      abort = new AbortController();
      outcome = undefined;
      stopped = undefined;
      redriveCount += 1;
      redriven = world.now();
      ended = run();
    },
  };
  return execution;
}
