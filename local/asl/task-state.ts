import { Interrupted, interruptible } from './clock.ts';
import { checkSize, heartbeatLapse, isTimeout, StatesError, timeoutError } from './errors.ts';
import { evaluateField, evaluationFailed, type Frame, leave, type Step, TaskExpired } from './frame.ts';
import { failure, payload } from './history.ts';
import { parseResource } from './resources.ts';
import { asStatesError, withRecovery } from './retry.ts';
import { newTaskToken } from './tokens.ts';
import type { Json, TaskState } from './types.ts';

export const runTask = (state: TaskState, frame: Frame): Promise<Step> =>
  withRecovery(state, frame, () => attemptTask(state, frame));

async function attemptTask(state: TaskState, frame: Frame): Promise<Step> {
  const { trail, run } = frame.thread;
  const { type: resourceType, resource, pattern } = parseResource(state.Resource);
  const what = { resourceType, resource };
  // Every attempt has its own token: an answer to an earlier attempt must not end a later one.
  const token = pattern === 'waitForTaskToken' ? newTaskToken() : undefined;
  const parameters = await evaluateField(frame, 'Arguments', state.Arguments ?? frame.input, {}, { token });
  checkSize(parameters, frame.name);
  const timeout = await wholeSeconds(frame, 'TimeoutSeconds', state.TimeoutSeconds);
  const heartbeat = await wholeSeconds(frame, 'HeartbeatSeconds', state.HeartbeatSeconds);

  trail.record('TaskScheduled', {
    ...what,
    region: run.region,
    parameters: JSON.stringify(parameters),
    ...(timeout !== undefined && { timeoutInSeconds: timeout }),
    ...(heartbeat !== undefined && { heartbeatInSeconds: heartbeat }),
  });
  const limits = startLimits(frame, timeout, heartbeat);
  trail.record('TaskStarted', what);
  let waitsForSubmission = pattern !== 'response';
  let result: Json;
  try {
    const work = Promise.resolve(
      run.integrate({
        resource: state.Resource,
        arguments: parameters,
        state: frame.name,
        ...(token !== undefined && { token }),
        signal: limits.signal,
        submitted: (answer) => {
          if (limits.signal.aborted || !waitsForSubmission) return;
          waitsForSubmission = false;
          trail.record('TaskSubmitted', { ...what, ...payload('output', answer) });
        },
        heartbeat: limits.heartbeat,
      }),
    );
    result = asJson(await interruptible(work, limits.signal));
    checkSize(result, resourceType);
  } catch (thrown) {
    const error = taskError(thrown);
    const submission = waitsForSubmission ? 'TaskSubmitFailed' : 'TaskFailed';
    trail.record(isTimeout(error) ? 'TaskTimedOut' : submission, { ...what, ...failure(error) });
    throw error;
  } finally {
    limits.stop();
  }
  trail.record('TaskSucceeded', { ...what, ...payload('output', result) });
  return leave(frame, state, result, { result });
}

const asJson = (result: unknown): Json => JSON.parse(JSON.stringify(result ?? null));

/** The task's own limits are its errors; any other interruption goes on upwards. */
function taskError(thrown: unknown): StatesError {
  if (!(thrown instanceof Interrupted)) return asStatesError(thrown);
  if (thrown.reason instanceof TaskExpired) return thrown.reason.error;
  throw thrown;
}

async function wholeSeconds(frame: Frame, field: string, value: number | string | undefined) {
  if (value === undefined) return undefined;
  const seconds = await evaluateField(frame, field, value);
  if (!Number.isInteger(seconds) || (seconds as number) < 1) {
    evaluationFailed(
      frame,
      field,
      `The field '${field}' must be a positive integer but was: ${JSON.stringify(seconds)}`,
    );
  }
  return seconds as number;
}

/** The clocks of TimeoutSeconds and HeartbeatSeconds, both running from when the task is scheduled. */
function startLimits(frame: Frame, timeout: number | undefined, heartbeat: number | undefined) {
  const { clock } = frame.thread.run;
  const limit = clock.limit ?? clock.timer;
  const expiry = new AbortController();
  const after = (seconds: number | undefined, error: StatesError) =>
    seconds === undefined ? () => {} : limit(seconds * 1000, () => expiry.abort(new TaskExpired(error)));
  const stopTimeout = after(timeout, new StatesError(timeoutError));
  let stopHeartbeat = after(heartbeat, heartbeatLapse());
  let stopped = false;
  return {
    signal: AbortSignal.any([frame.thread.signal, expiry.signal]),
    heartbeat: () => {
      stopHeartbeat();
      if (!stopped) stopHeartbeat = after(heartbeat, heartbeatLapse());
    },
    stop: () => {
      stopped = true;
      stopTimeout();
      stopHeartbeat();
    },
  };
}
