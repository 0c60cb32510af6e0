import type { Run } from './frame.ts';
import type { runMachine } from './interpreter.ts';
import type { Progress } from './progress.ts';
import type { Json, Outcome, StateBlock } from './types.ts';

/** The executions of which a distributed Map is made, each with its own history. */

export interface ChildStart {
  /** The ItemProcessor. */
  readonly block: StateBlock;
  readonly input: Json;
  /** The Map's Label, or what stands for it: `<machine>/<label>` is the name of the machine that the child runs. */
  readonly label: string;
  readonly mapRunArn: string;
}

export interface Child {
  /** Of the attempt that runs or ran last. */
  readonly ended: Promise<Outcome>;
  abort(): void;
  /** Goes on from where it failed. */
  redrive(): void;
}

/** A child that nobody can look up, where no one keeps executions. */
export function startHere(run: Run, { block, input, label }: ChildStart, runIt: typeof runMachine): Child {
  const progress: Progress = {};
  const name = globalThis.crypto.randomUUID();
  const { Execution, StateMachine } = run.context;
  let abort = new AbortController();
  let lastEventId = 0;
  let redrives = 0;
  const start = () =>
    runIt(block, input, {
      integrate: run.integrate,
      clock: run.clock,
      region: run.region,
      random: run.random,
      signal: abort.signal,
      progress,
      history: ({ id }) => {
        lastEventId = id;
      },
      ...(redrives > 0 && { redrive: { lastEventId } }),
      context: {
        Execution: {
          Id: `${childArn(Execution.Id, label)}:${name}`,
          Name: name,
          RoleArn: Execution.RoleArn,
          RedriveCount: redrives,
        },
        StateMachine: { Id: `${StateMachine.Id}/${label}`, Name: `${StateMachine.Name}/${label}` },
      },
    });
  let ended = start();
  return {
    get ended() {
      return ended;
    },
    abort: () => abort.abort(),
    redrive: () => {
      abort = new AbortController();
      redrives += 1;
      ended = start();
    },
  };
}

/** `arn:…:execution:machine/label` of `arn:…:execution:machine:name`. */
const childArn = (executionArn: string, label: string): string => `${executionArn.replace(/:[^:]*$/, '')}/${label}`;
