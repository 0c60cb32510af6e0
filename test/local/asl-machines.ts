import { vi } from 'vitest';
import { createClock } from '../../local/asl/clock.ts';
import type { Integrate } from '../../local/asl/frame.ts';
import type { HistoryEvent } from '../../local/asl/history.ts';
import { type RunOptions, runMachine } from '../../local/asl/interpreter.ts';
import { parseStateMachine } from '../../local/asl/load.ts';
import type { Json, Outcome } from '../../local/asl/types.ts';

/** What the tests of the ASL engine share. */

// Milliseconds: a machine that hangs should fail its test soon, not after this folder's five minutes.
vi.setConfig({ testTimeout: 20_000 });

export const lambda = 'arn:aws:states:::lambda:invoke';
export const callback = 'arn:aws:states:::lambda:invoke.waitForTaskToken';
export const passToken = { FunctionName: 'f', Payload: '{% $states.context.Task.Token %}' };

export type States = Record<string, Record<string, unknown>>;

/** A definition whose first state is the machine's. */
export const machine = (states: States, extra: Record<string, unknown> = {}): string =>
  JSON.stringify({ QueryLanguage: 'JSONata', StartAt: Object.keys(states)[0], States: states, ...extra });

export interface Ran extends Outcome {
  readonly events: readonly HistoryEvent[];
  readonly types: readonly string[];
}

/** Runs a machine; seconds of the definition take milliseconds unless the options bring another clock. */
export async function run(
  definition: string | States,
  input: Json = {},
  integrate: Integrate = () => ({}),
  options: Partial<RunOptions> = {},
): Promise<Ran> {
  const text = typeof definition === 'string' ? definition : machine(definition);
  const events: HistoryEvent[] = [];
  const outcome = await runMachine(parseStateMachine(text), input, {
    integrate,
    clock: createClock(1000),
    history: (event) => events.push(event),
    ...options,
  });
  return { ...outcome, events, types: events.map(({ type }) => type) };
}

/** The output of a machine of one Pass state. */
export const output = async (expression: Json, input: Json = {}): Promise<Json | undefined> => {
  const ran = await run({ Only: { Type: 'Pass', Output: expression, End: true } }, input);
  if (ran.status !== 'SUCCEEDED') throw new Error(`${ran.error}: ${ran.cause}`);
  return ran.output;
};
