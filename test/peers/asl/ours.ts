import { createClock } from '../../../local/asl/clock.ts';
import { StatesError } from '../../../local/asl/errors.ts';
import type { Integrate } from '../../../local/asl/frame.ts';
import type { HistoryEvent } from '../../../local/asl/history.ts';
import { runMachine } from '../../../local/asl/interpreter.ts';
import { parseStateMachine } from '../../../local/asl/load.ts';
import type { Json } from '../../../local/asl/types.ts';
import type { Case } from './case.ts';

/** What an engine made of a case. Events are in the shape of GetExecutionHistory. */
export interface Ran {
  readonly status: string;
  readonly output?: Json | undefined;
  readonly error?: string | undefined;
  readonly cause?: string | undefined;
  readonly events: readonly HistoryEvent[];
}

/** Waits and retries a hundred times faster than they say. */
const speed = 100;

/** Runs a case on our engine, with its answers in place of the tasks. Its names are those that moto_engine.py gives. */
export async function runHere({ definition, input = {}, tasks = {} }: Case, index: number): Promise<Ran> {
  const events: HistoryEvent[] = [];
  const attempts = new Map<string, number>();
  const integrate: Integrate = ({ state, submitted }) => {
    const answers = tasks[state];
    if (!answers) throw new Error(`The case has no answer for the state ${state}`);
    const attempt = attempts.get(state) ?? 0;
    attempts.set(state, attempt + 1);
    const answer = answers[Math.min(attempt, answers.length - 1)];
    if (answer && 'Throw' in answer) throw new StatesError(answer.Throw.Error, answer.Throw.Cause);
    const result = answer?.Return ?? null;
    submitted(result);
    return result;
  };
  const account = 'us-east-1:111122223333';
  const outcome = await runMachine(parseStateMachine(JSON.stringify(definition)), input, {
    integrate,
    clock: createClock(speed),
    context: {
      Execution: { Id: `arn:aws:states:${account}:execution:machine-${index}:run-${index}`, Name: `run-${index}` },
      StateMachine: { Id: `arn:aws:states:${account}:stateMachine:machine-${index}`, Name: `machine-${index}` },
    },
    history: (event) => {
      events.push(event);
      const name = event.stateEnteredEventDetails?.name;
      if (typeof name === 'string') attempts.delete(name);
    },
  });
  return { ...outcome, events };
}
