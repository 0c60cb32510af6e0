import { randomUUID } from 'node:crypto';
import type { Principal, World } from '../facade.ts';
import { createClock } from './clock.ts';
import { StatesError } from './errors.ts';
import type { HistoryEvent } from './history.ts';
import { createIntegrations } from './integrations.ts';
import { runMachine } from './interpreter.ts';
import type { Registered } from './state-machines.ts';
import type { Tokens } from './tokens.ts';
import type { Outcome } from './types.ts';

/** One execution, running or ended. Times are milliseconds since the epoch. */
export interface Execution {
  readonly arn: string;
  readonly name: string;
  readonly machine: Registered;
  /** JSON as it was given. */
  readonly input: string;
  readonly started: number;
  readonly startedBy: Principal;
  readonly events: readonly HistoryEvent[];
  /** Absent while it runs. */
  readonly outcome?: Outcome;
  readonly stopped?: number;
  /** Resolves when it ended. */
  readonly ended: Promise<Outcome>;
  abort(error?: string, cause?: string): void;
}

export interface StartOptions {
  readonly world: World;
  readonly machine: Registered;
  readonly tokens: Tokens;
  /** @default a UUID */
  readonly name?: string | undefined;
  readonly input: string;
  readonly startedBy: Principal;
  readonly onEvent: (execution: Execution, event: HistoryEvent) => void;
}

export const executionArn = (machineArn: string, name: string): string =>
  `${machineArn.replace(':stateMachine:', ':execution:')}:${name}`;

/** Starts an execution as the state machine's role. It goes on by itself; see `ended`. */
export function startExecution(options: StartOptions): Execution {
  const { world, machine, tokens, onEvent } = options;
  const name = options.name ?? randomUUID();
  const arn = executionArn(machine.arn, name);
  const started = world.now();
  const abort = new AbortController();
  const caller = {
    endpoint: world.endpoint,
    region: machine.region,
    credentials: world.credentialsFor(machine.roleArn, name),
  };
  const integrations = createIntegrations(caller, tokens, machine.arn);
  const input = JSON.parse(options.input);
  const events: HistoryEvent[] = [];
  let outcome: Outcome | undefined;
  let stopped: number | undefined;

  const running = runMachine(machine.definition, input, {
    integrate: integrations.integrate,
    region: machine.region,
    clock: createClock(1, () => world.now()),
    signal: abort.signal,
    context: {
      Execution: { Id: arn, Name: name, RoleArn: machine.roleArn, StartTime: new Date(started).toISOString() },
      StateMachine: { Id: machine.arn, Name: machine.name },
    },
    history: (event) => {
      events.push(event);
      // The first event comes while the execution is still being made.
      queueMicrotask(() => onEvent(execution, event));
    },
  });
  const execution: Execution = {
    arn,
    name,
    machine,
    input: options.input,
    started,
    startedBy: options.startedBy,
    events,
    get outcome() {
      return outcome;
    },
    get stopped() {
      return stopped;
    },
    ended: running.then((ended) => {
      outcome = ended;
      stopped = world.now();
      integrations.close();
      return ended;
    }),
    abort: (error, cause) => abort.abort(new StatesError(error, cause)),
  };
  return execution;
}
