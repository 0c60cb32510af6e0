import { sleep } from './clock.ts';
import { runtimeError, StatesError } from './errors.ts';
import { isTimestamp } from './fields.ts';
import { evaluateField, evaluationFailed, type Frame, leave, type Step } from './frame.ts';
import type { ChoiceState, FailState, PassState, SucceedState, WaitState } from './types.ts';

/** The states that do not call anything. */

export const runPass = (state: PassState, frame: Frame): Promise<Step> => leave(frame, state, frame.input);

export const runSucceed = (state: SucceedState, frame: Frame): Promise<Step> =>
  leave(frame, { Output: state.Output }, frame.input);

export async function runChoice(state: ChoiceState, frame: Frame): Promise<Step> {
  for (const [index, rule] of state.Choices.entries()) {
    const field = `Choices[${index}]/Condition`;
    const matched = await evaluateField(frame, field, rule.Condition);
    if (typeof matched !== 'boolean') {
      const reason = `returned an unexpected result type. Expected 'boolean', but was: ${JSON.stringify(matched)}`;
      evaluationFailed(frame, field, `The expression specified for the field '${field}' ${reason}`);
    }
    if (matched) return leave(frame, rule, frame.input);
  }
  if (state.Default === undefined) {
    throw new StatesError(
      'States.NoChoiceMatched',
      `No choice of the state '${frame.name}' matched, and it has no Default.`,
    );
  }
  return leave(frame, { Assign: state.Assign, Output: state.Output, Next: state.Default }, frame.input);
}

/** AWS's longest Wait. */
const longestWait = 99_999_999;

export async function runWait(state: WaitState, frame: Frame): Promise<Step> {
  const { clock } = frame.thread.run;
  const seconds = await (state.Seconds === undefined ? secondsUntil(state, frame) : secondsOf(state, frame));
  if (seconds > longestWait) throw new StatesError(runtimeError, 'Wait state delay is too long.');
  await sleep(clock, seconds * 1000, frame.thread.signal);
  return leave(frame, state, frame.input);
}

async function secondsOf(state: WaitState, frame: Frame): Promise<number> {
  const seconds = await evaluateField(frame, 'Seconds', state.Seconds ?? null);
  if (Number.isInteger(seconds) && (seconds as number) >= 0) return seconds as number;
  const reason = `The Seconds field must be a non-negative integer but was: ${JSON.stringify(seconds)}`;
  return evaluationFailed(frame, 'Seconds', reason);
}

async function secondsUntil(state: WaitState, frame: Frame): Promise<number> {
  const time = await evaluateField(frame, 'Timestamp', state.Timestamp ?? null);
  if (isTimestamp(time)) return (Date.parse(time) - frame.thread.run.clock.now()) / 1000;
  const reason = 'The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string';
  // Recorded on AWS: this one points to the state's entry.
  const asEntered = { ...frame, enteredFrom: frame.enteredEventId };
  return evaluationFailed(
    asEntered,
    'Timestamp',
    `${reason}: ${typeof time === 'string' ? time : JSON.stringify(time)}`,
  );
}

export async function runFail(state: FailState, frame: Frame): Promise<never> {
  const text = async (field: 'Error' | 'Cause') => {
    const value = state[field];
    if (value === undefined) return undefined;
    const evaluated = await evaluateField(frame, field, value);
    if (typeof evaluated === 'string') return evaluated;
    return evaluationFailed(
      frame,
      field,
      `The field '${field}' must be a string but was: ${JSON.stringify(evaluated)}`,
    );
  };
  throw new StatesError(await text('Error'), await text('Cause'));
}
