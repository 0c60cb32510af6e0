import { describe, expect, it } from 'vitest';
import { createClock } from '../../local/asl/clock.ts';
import { StatesError } from '../../local/asl/errors.ts';
import type { Integrate, TaskCall } from '../../local/asl/frame.ts';
import type { HistoryEvent } from '../../local/asl/history.ts';
import { type RunOptions, runMachine } from '../../local/asl/interpreter.ts';
import { parseStateMachine } from '../../local/asl/load.ts';
import type { Progress } from '../../local/asl/progress.ts';
import type { Json } from '../../local/asl/types.ts';
import { lambda, machine, type States } from './asl-machines.ts';

/** An execution that can be run again and again: each call of the returned function redrives it. */
function execution(definition: States, input: Json = {}, options: Partial<RunOptions> = {}) {
  const parsed = parseStateMachine(machine(definition));
  const events: HistoryEvent[] = [];
  const progress: Progress = {};
  let count = -1;
  return async (integrate: Integrate, more: Partial<RunOptions> = {}) => {
    count += 1;
    const before = events.length;
    const outcome = await runMachine(parsed, input, {
      integrate,
      clock: createClock(1000),
      progress,
      ...(count > 0 && { redrive: { lastEventId: before } }),
      context: { Execution: { RedriveCount: count, ...(count > 0 && { RedriveTime: '2026-01-01T00:00:00.000Z' }) } },
      history: (event) => events.push(event),
      ...options,
      ...more,
    });
    const added = events.slice(before);
    const trace = added.map(({ id, type, previousEventId }) => `${id} ${type} ${previousEventId}`);
    return { outcome, events, added, trace };
  };
}

const task = (more: Record<string, unknown> = {}) => ({ Type: 'Task', Resource: lambda, End: true, ...more });
const branch = (name: string, state: Record<string, unknown> = task()) => ({
  StartAt: name,
  States: { [name]: state },
});

/** Fails in the states that are named; the others answer their name. */
const failing =
  (...names: string[]): Integrate =>
  ({ state }) => {
    if (names.includes(state)) throw new StatesError('Broken', state);
    return state;
  };

describe('a redrive', () => {
  it('runs the failed task again, from where it was entered, and nothing before it', async () => {
    const called: string[] = [];
    const noting = (integrate: Integrate) => (call: TaskCall) => {
      called.push(call.state);
      return integrate(call);
    };
    const run = execution({
      A: task({ End: undefined, Next: 'B' }),
      B: task({ End: undefined, Next: 'C' }),
      C: task(),
    });
    const first = await run(noting(failing('B')));
    expect(first.outcome).toMatchObject({ status: 'FAILED', cause: 'B' });
    const entered = first.events.filter(({ type }) => type === 'TaskStateEntered')[1]?.id;
    const failedAt = first.events.length;
    const second = await run(noting(failing()));
    expect(second.outcome).toEqual({ status: 'SUCCEEDED', output: 'C' });
    expect(called).toEqual(['A', 'B', 'B', 'C']);
    // As AWS does: the redrive points to the failure, the attempt to the state's entry.
    expect(second.trace.slice(0, 4)).toEqual([
      `${failedAt + 1} ExecutionRedriven ${failedAt}`,
      `${failedAt + 2} TaskScheduled ${entered}`,
      `${failedAt + 3} TaskStarted ${failedAt + 2}`,
      `${failedAt + 4} TaskSucceeded ${failedAt + 3}`,
    ]);
    expect(second.added[0]?.executionRedrivenEventDetails).toEqual({ redriveCount: 1 });
    expect(second.events.map(({ id }) => id)).toEqual(second.events.map((_, index) => index + 1));
  });

  it('shows in $states.context, with the entry’s time kept and the retries counted anew', async () => {
    const Arguments = '{% $states.context %}';
    const seen: Json[] = [];
    const noteAndFail: Integrate = (call) => {
      seen.push(call.arguments);
      throw new StatesError('Broken');
    };
    const run = execution({ A: task({ Arguments, Retry: [{ ErrorEquals: ['Broken'], MaxAttempts: 1 }] }) });
    await run(noteAndFail);
    await run(noteAndFail);
    const [first, , third] = seen as { Execution: Record<string, unknown>; State: Record<string, unknown> }[];
    expect(seen).toHaveLength(4);
    expect(first?.Execution).toMatchObject({ RedriveCount: 0 });
    expect(first?.Execution).not.toHaveProperty('RedriveTime');
    expect(third?.Execution).toMatchObject({ RedriveCount: 1, RedriveTime: '2026-01-01T00:00:00.000Z' });
    expect(third?.State).toEqual(first?.State);
  });

  it('keeps the variables that were assigned', async () => {
    const run = execution({
      Set: { Type: 'Pass', Assign: { n: 7 }, Next: 'Use' },
      Use: task({ Output: '{% $n %}' }),
    });
    await run(failing('Use'));
    expect((await run(failing())).outcome).toEqual({ status: 'SUCCEEDED', output: 7 });
  });

  it('runs again only the branches that failed or were called off', async () => {
    const run = execution({
      All: { Type: 'Parallel', Branches: ['Good', 'Bad', 'Slow'].map((name) => branch(name)), End: true },
    });
    const first = await run(({ state, signal }) => {
      if (state === 'Good') return 'kept';
      const later = new Promise<Json>((_, reject) => {
        if (state === 'Bad') setTimeout(() => reject(new StatesError('Broken')), 20);
        signal.addEventListener('abort', () => reject(signal.reason));
      });
      return later;
    });
    expect(first.outcome).toMatchObject({ status: 'FAILED', error: 'Broken' });
    const entered = (name: string) =>
      first.events.find(({ stateEnteredEventDetails }) => stateEnteredEventDetails?.name === name)?.id;
    const second = await run(failing());
    expect(second.outcome).toEqual({ status: 'SUCCEEDED', output: ['kept', 'Bad', 'Slow'] });
    const scheduled = second.added.filter(({ type }) => type === 'TaskScheduled');
    expect(scheduled.map(({ previousEventId }) => previousEventId)).toEqual([entered('Bad'), entered('Slow')]);
    expect(second.added.map(({ type }) => type)).not.toContain('ParallelStateStarted');
    const last = second.added.findLast(({ type }) => type === 'TaskStateExited')?.id;
    expect(second.trace.slice(-3).map((line) => line.replace(/^\d+ /, ''))).toEqual([
      `ParallelStateSucceeded ${last}`,
      `ParallelStateExited ${last}`,
      `ExecutionSucceeded ${second.events.length - 1}`,
    ]);
  });

  it('runs again the iterations that failed, then those that had not begun', async () => {
    const each = branch('Each', task({ Arguments: '{% $states.input %}' }));
    const run = execution({ Map: { Type: 'Map', MaxConcurrency: 1, ItemProcessor: each, End: true } }, [10, 11, 12]);
    const called: Json[] = [];
    const answer =
      (bad?: number): Integrate =>
      ({ arguments: item }) => {
        called.push(item);
        if (item === bad) throw new StatesError('Broken');
        return (item as number) * 2;
      };
    await run(answer(11));
    const second = await run(answer());
    expect(second.outcome).toEqual({ status: 'SUCCEEDED', output: [20, 22, 24] });
    expect(called).toEqual([10, 11, 11, 12]);
    const iterations = second.added.flatMap(
      ({ type, mapIterationStartedEventDetails, mapIterationSucceededEventDetails }) => {
        const details = mapIterationStartedEventDetails ?? mapIterationSucceededEventDetails;
        return details ? [[type, details.index]] : [];
      },
    );
    expect(iterations).toEqual([
      ['MapIterationSucceeded', 1],
      ['MapIterationStarted', 2],
      ['MapIterationSucceeded', 2],
    ]);
  });

  it('runs all branches again where their results were too large', async () => {
    const called: string[] = [];
    const answer =
      (size: number): Integrate =>
      ({ state }) => {
        called.push(state);
        return 'x'.repeat(size);
      };
    const run = execution({ All: { Type: 'Parallel', Branches: [branch('A'), branch('B')], End: true } });
    expect((await run(answer(200_000))).outcome.error).toBe('States.DataLimitExceeded');
    expect((await run(answer(1))).outcome.status).toBe('SUCCEEDED');
    expect(called).toEqual(['A', 'B', 'A', 'B']);
  });

  it('fails again in a Fail state', async () => {
    const run = execution({ No: { Type: 'Fail', Error: 'Nope' } });
    await run(failing());
    const { outcome, trace } = await run(failing());
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'Nope' });
    expect(trace).toEqual(['4 ExecutionRedriven 3', '5 ExecutionFailed 4']);
  });

  it('goes on after a stop, and after the execution’s time was over', async () => {
    const stop = new AbortController();
    const run = execution({ Wait: { Type: 'Wait', Seconds: 50, End: true } });
    setTimeout(() => stop.abort(), 10);
    expect((await run(failing(), { signal: stop.signal })).outcome.status).toBe('ABORTED');
    const { outcome, trace } = await run(failing());
    expect(outcome.status).toBe('SUCCEEDED');
    expect(trace[1]).toBe('5 WaitStateExited 2');
  });

  it('evaluates a Choice again', async () => {
    const Choices = [{ Condition: '{% $states.context.Execution.RedriveCount > 0 %}', Next: 'Good' }];
    const run = execution({ Pick: { Type: 'Choice', Choices }, Good: { Type: 'Succeed', Output: 'second' } });
    expect((await run(failing())).outcome.error).toBe('States.NoChoiceMatched');
    expect((await run(failing())).outcome).toEqual({ status: 'SUCCEEDED', output: 'second' });
  });
});
