import { describe, expect, it } from 'vitest';
import { heartbeatLapse, matches, StatesError } from '../../local/asl/errors.ts';
import type { Integrate } from '../../local/asl/frame.ts';
import { delayBeforeRetry } from '../../local/asl/retry.ts';
import type { Retrier } from '../../local/asl/types.ts';
import { lambda, run, type States } from './asl-machines.ts';

const task = (fields: Record<string, unknown>): States => ({
  Try: {
    Type: 'Task',
    Resource: lambda,
    Arguments: { attempt: '{% $states.context.State.RetryCount %}' },
    End: true,
    ...fields,
  },
  Caught: { Type: 'Pass', Output: '{% $states.input %}', End: true },
});
const unreachable = { Caught: undefined };

/** Throws these errors, one an attempt, then succeeds with the number of attempts. */
const failing = (...names: string[]): Integrate & { attempts: () => number } => {
  let attempt = 0;
  const integrate: Integrate = () => {
    const name = names[attempt++];
    if (name) throw new StatesError(name, `attempt ${attempt}`);
    return attempt;
  };
  return Object.assign(integrate, { attempts: () => attempt });
};

const only = (fields: Record<string, unknown>): States =>
  JSON.parse(JSON.stringify({ ...task(fields), ...unreachable }));

describe('which errors a name means', () => {
  const cases: [string, string | undefined, boolean][] = [
    ['Custom', 'Custom', true],
    ['Custom', 'Other', false],
    ['States.ALL', 'Custom', true],
    ['States.ALL', undefined, true],
    ['States.ALL', 'States.Timeout', true],
    ['States.ALL', 'States.QueryEvaluationError', true],
    ['States.ALL', 'States.DataLimitExceeded', false],
    ['States.ALL', 'States.Runtime', false],
    ['States.Runtime', 'States.Runtime', false],
    ['States.DataLimitExceeded', 'States.DataLimitExceeded', true],
    ['States.TaskFailed', 'Custom', true],
    ['States.TaskFailed', 'States.TaskFailed', true],
    ['States.TaskFailed', 'States.Timeout', false],
    ['States.TaskFailed', 'States.Runtime', false],
    ['States.TaskFailed', 'States.QueryEvaluationError', false],
    ['States.TaskFailed', 'States.DataLimitExceeded', false],
    ['States.HeartbeatTimeout', 'States.Timeout', false],
  ];
  it.each(cases)('%s, of %s: %s', (name, error, expected) => {
    expect(matches([name], new StatesError(error))).toBe(expected);
  });

  it.each([
    ['States.Timeout', true],
    ['States.HeartbeatTimeout', true],
    ['States.ALL', true],
    ['States.TaskFailed', false],
    ['Custom', false],
  ])("%s, of the heartbeat's lapse: %s", (name, expected) => {
    expect(matches([name], heartbeatLapse())).toBe(expected);
  });
});

describe('Retry', () => {
  const delays = (retrier: Omit<Retrier, 'ErrorEquals'>, random = () => 0.5): (number | undefined)[] => {
    const retriers = [{ ErrorEquals: ['E'], ...retrier }];
    const used = new Map();
    return Array.from({ length: 5 }, () => delayBeforeRetry(retriers, used, new StatesError('E'), random));
  };

  it.each<[Omit<Retrier, 'ErrorEquals'>, (number | undefined)[]]>([
    [{}, [1000, 2000, 4000, undefined, undefined]],
    [{ IntervalSeconds: 3, BackoffRate: 1, MaxAttempts: 4 }, [3000, 3000, 3000, 3000, undefined]],
    [{ BackoffRate: 3, MaxDelaySeconds: 5, MaxAttempts: 9 }, [1000, 3000, 5000, 5000, 5000]],
    [{ JitterStrategy: 'FULL' }, [500, 1000, 2000, undefined, undefined]],
    [{ MaxAttempts: 0 }, [undefined, undefined, undefined, undefined, undefined]],
  ])('%j waits %j', (retrier, expected) => {
    expect(delays(retrier)).toEqual(expected);
  });

  it('tries again, counting in $states.context.State.RetryCount', async () => {
    const seen: unknown[] = [];
    const flaky = failing('E', 'E');
    const ran = await run(only({ Retry: [{ ErrorEquals: ['E'] }] }), {}, (call) => {
      seen.push(call.arguments);
      return flaky(call);
    });
    expect(ran).toMatchObject({ status: 'SUCCEEDED', output: 3 });
    expect(seen).toEqual([{ attempt: 0 }, { attempt: 1 }, { attempt: 2 }]);
    const attempt = ['TaskScheduled', 'TaskStarted', 'TaskFailed'];
    expect(ran.types.slice(2, 8)).toEqual([...attempt, ...attempt]);
  });

  it('each retrier counts for itself', async () => {
    const integrate = failing('A', 'B', 'A', 'B', 'A');
    const retry = [
      { ErrorEquals: ['A'], MaxAttempts: 2 },
      { ErrorEquals: ['B'], MaxAttempts: 2 },
    ];
    const ran = await run(only({ Retry: retry }), {}, integrate);
    expect(ran).toMatchObject({ status: 'FAILED', error: 'A', cause: 'attempt 5' });
  });

  it('a used-up retrier is not followed by a later one that matches too', async () => {
    const integrate = failing('A', 'A', 'A', 'A');
    const retry = [
      { ErrorEquals: ['A'], MaxAttempts: 1 },
      { ErrorEquals: ['States.ALL'], MaxAttempts: 9 },
    ];
    await run(only({ Retry: retry }), {}, integrate);
    expect(integrate.attempts()).toBe(2);
  });

  it('really waits', async () => {
    const started = performance.now();
    await run(only({ Retry: [{ ErrorEquals: ['E'], IntervalSeconds: 40, BackoffRate: 1 }] }), {}, failing('E', 'E'));
    expect(performance.now() - started).toBeGreaterThan(75);
  });
});

describe('Catch', () => {
  const catching = (fields: Record<string, unknown> = {}) => ({
    Catch: [{ ErrorEquals: ['E'], Next: 'Caught', ...fields }],
  });

  it('goes on with the error as output', async () => {
    const ran = await run(task(catching()), {}, failing('E'));
    expect(ran).toMatchObject({ status: 'SUCCEEDED', output: { Error: 'E', Cause: 'attempt 1' } });
    expect(ran.types.slice(4, 7)).toEqual(['TaskFailed', 'TaskStateExited', 'PassStateEntered']);
  });

  it('may shape output and assign variables, seeing input and errorOutput', async () => {
    const shaped = catching({
      Output: '{% { "of": $states.input.n, "was": $states.errorOutput.Error } %}',
      Assign: { failure: '{% $states.errorOutput.Cause %}' },
    });
    const ran = await run(
      { ...task(shaped), Caught: { Type: 'Pass', Output: '{% [$states.input, $failure] %}', End: true } },
      { n: 7 },
      failing('E'),
    );
    expect(ran.output).toEqual([{ of: 7, was: 'E' }, 'attempt 1']);
    expect(ran.events[5]?.stateExitedEventDetails).toMatchObject({ assignedVariables: { failure: '"attempt 1"' } });
  });

  it('comes after the retries', async () => {
    const integrate = failing('E', 'E', 'E');
    const ran = await run(task({ ...catching(), Retry: [{ ErrorEquals: ['E'], MaxAttempts: 1 }] }), {}, integrate);
    expect(ran).toMatchObject({ output: { Cause: 'attempt 2' } });
    expect(integrate.attempts()).toBe(2);
  });

  it('lets other errors through', async () => {
    const ran = await run(task(catching()), {}, failing('F'));
    expect(ran).toMatchObject({ status: 'FAILED', error: 'F' });
  });

  it('the first that matches is taken', async () => {
    const Catch = [
      { ErrorEquals: ['F'], Next: 'Caught', Output: 'first' },
      { ErrorEquals: ['E', 'G'], Next: 'Caught', Output: 'second' },
      { ErrorEquals: ['States.ALL'], Next: 'Caught', Output: 'third' },
    ];
    expect(await run(task({ Catch }), {}, failing('G'))).toMatchObject({ output: 'second' });
    expect(await run(task({ Catch }), {}, failing('X'))).toMatchObject({ output: 'third' });
  });

  it('shows a nameless error as null', async () => {
    const ran = await run(task({ Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }] }), {}, () => {
      throw new StatesError(undefined);
    });
    expect(ran.output).toEqual({ Error: null, Cause: null });
  });

  it('catches an expression of the state that fails', async () => {
    const states = task({
      Catch: [{ ErrorEquals: ['States.QueryEvaluationError'], Next: 'Caught' }],
      Output: '{% $states.result.nope %}',
    });
    const ran = await run(states, {}, () => ({}));
    expect(ran).toMatchObject({ status: 'SUCCEEDED', output: { Error: 'States.QueryEvaluationError' } });
    expect(ran.types).toContain('EvaluationFailed');
  });

  it('does not catch what its own Output does wrong', async () => {
    const ran = await run(task(catching({ Output: '{% $nope %}' })), {}, failing('E'));
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.QueryEvaluationError' });
  });
});
