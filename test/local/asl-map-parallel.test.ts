import { describe, expect, it } from 'vitest';
import { createClock } from '../../local/asl/clock.ts';
import { StatesError } from '../../local/asl/errors.ts';
import type { Integrate, TaskCall } from '../../local/asl/frame.ts';
import { lambda, run, type States } from './asl-machines.ts';

const branch = (states: States) => ({ StartAt: Object.keys(states)[0], States: states });
const call = (name: string, more: Record<string, unknown> = {}): States => ({
  [name]: { Type: 'Task', Resource: lambda, Arguments: '{% $states.input %}', End: true, ...more },
});
const untilAborted = ({ signal }: TaskCall) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

describe('Parallel', () => {
  it('gives the results in the order of the branches', async () => {
    const states = {
      Both: {
        Type: 'Parallel',
        Arguments: { n: '{% $states.input.n + 1 %}' },
        Branches: [
          branch(call('Slow')),
          branch({ Fast: { Type: 'Pass', Output: '{% $states.input.n * 2 %}', End: true } }),
        ],
        Output: { was: '{% $states.result %}' },
        End: true,
      },
    };
    const ran = await run(states, { n: 1 }, async ({ arguments: value }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return value;
    });
    expect(ran.output).toEqual({ was: [{ n: 2 }, 4] });
    expect(ran.types[2]).toBe('ParallelStateStarted');
    expect(ran.types.slice(-3)).toEqual(['ParallelStateSucceeded', 'ParallelStateExited', 'ExecutionSucceeded']);
  });

  const oneFails: Integrate = (task) => {
    if (task.state === 'Bad') throw new StatesError('Broken', 'by design');
    return untilAborted(task);
  };
  const twoBranches = { Type: 'Parallel', Branches: [branch(call('Good')), branch(call('Bad'))] };

  it('fails with the first error and calls the other branches off', async () => {
    let called: AbortSignal | undefined;
    const ran = await run({ Both: { ...twoBranches, End: true } }, {}, (task) => {
      if (task.state === 'Good') called = task.signal;
      return oneFails(task);
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'Broken', cause: 'by design' });
    expect(called?.aborted).toBe(true);
    expect(ran.types.filter((type) => type === 'TaskStateAborted')).toHaveLength(2);
    expect(ran.types.slice(-2)).toEqual(['ParallelStateFailed', 'ExecutionFailed']);
  });

  it('can be caught as a whole', async () => {
    const both = { ...twoBranches, Catch: [{ ErrorEquals: ['Broken'], Next: 'Caught' }], Next: 'Caught' };
    const ran = await run({ Both: both, Caught: { Type: 'Succeed' } }, {}, oneFails);
    expect(ran.output).toEqual({ Error: 'Broken', Cause: 'by design' });
    expect(ran.types).toContain('ParallelStateExited');
  });

  it('can be retried as a whole; only the last attempt is noted as failed', async () => {
    const failing = branch({ Stop: { Type: 'Fail', Error: 'Broken' } });
    const both = {
      Type: 'Parallel',
      Branches: [failing],
      Retry: [{ ErrorEquals: ['Broken'], MaxAttempts: 2 }],
      End: true,
    };
    const ran = await run({ Both: both });
    expect(ran.events.slice(1).map(({ id, previousEventId, type }) => [id, previousEventId, type])).toEqual([
      [2, 0, 'ParallelStateEntered'],
      [3, 2, 'ParallelStateStarted'],
      [4, 3, 'FailStateEntered'],
      [5, 4, 'ParallelStateStarted'],
      [6, 5, 'FailStateEntered'],
      [7, 6, 'ParallelStateStarted'],
      [8, 7, 'FailStateEntered'],
      [9, 8, 'ParallelStateFailed'],
      [10, 9, 'ExecutionFailed'],
    ]);
  });

  it('a stopped execution calls every branch off', async () => {
    const stop = new AbortController();
    let running = 0;
    const ran = await run(
      { Both: { ...twoBranches, End: true } },
      {},
      (task) => {
        if (++running === 2) setTimeout(() => stop.abort());
        return untilAborted(task);
      },
      { signal: stop.signal },
    );
    expect(ran.status).toBe('ABORTED');
    expect(ran.types.at(-1)).toBe('ExecutionAborted');
    expect(ran.types).not.toContain('TaskStateAborted');
  });
});

describe('Map', () => {
  const each = (states: States, more: Record<string, unknown> = {}): States => ({
    Each: { Type: 'Map', Items: '{% $states.input.items %}', ItemProcessor: branch(states), End: true, ...more },
  });

  it('runs the processor for each item, in order of the items', async () => {
    const states = each({ Double: { Type: 'Pass', Output: '{% $states.input * 2 %}', End: true } });
    expect(await run(states, { items: [1, 2, 3] })).toMatchObject({ output: [2, 4, 6] });
  });

  it('takes its own input where there are no Items', async () => {
    const states = { Each: { Type: 'Map', ItemProcessor: branch({ Same: { Type: 'Pass', End: true } }), End: true } };
    expect(await run(states, ['a', 'b'])).toMatchObject({ output: ['a', 'b'] });
  });

  it("ItemSelector makes each iteration's input", async () => {
    const ItemSelector = {
      item: '{% $states.context.Map.Item.Value %}',
      index: '{% $states.context.Map.Item.Index %}',
      all: '{% $count($states.input.items) %}',
    };
    const inside = {
      Show: {
        Type: 'Pass',
        Output: { in: '{% $states.input %}', at: '{% $states.context.Map.Item.Index %}' },
        End: true,
      },
    };
    const ran = await run(each(inside, { ItemSelector }), { items: ['a', 'b'] });
    expect(ran.output).toEqual([
      { in: { item: 'a', index: 0, all: 2 }, at: 0 },
      { in: { item: 'b', index: 1, all: 2 }, at: 1 },
    ]);
  });

  it('of nothing gives nothing', async () => {
    const ran = await run(each({ Same: { Type: 'Pass', End: true } }), { items: [] });
    expect(ran.output).toEqual([]);
    expect(ran.events[2]?.mapStateStartedEventDetails).toEqual({ length: 0 });
  });

  it.each([
    [undefined, 12],
    ['{% $states.input.most %}', 3],
    [1, 1],
  ])('with MaxConcurrency %s runs at most %i at a time', async (MaxConcurrency, expected) => {
    let running = 0;
    let most = 0;
    const integrate: Integrate = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 10));
      running -= 1;
      return null;
    };
    const states = each(call('Work'), MaxConcurrency === undefined ? {} : { MaxConcurrency });
    await run(states, { items: Array.from({ length: 12 }, (_, n) => n), most: 3 }, integrate);
    expect(most).toBe(expected);
  });

  it('has the history of AWS', async () => {
    const ran = await run(each({ Same: { Type: 'Pass', End: true } }, { MaxConcurrency: 1 }), { items: [1, 2] });
    expect(ran.events.slice(1).map(({ id, previousEventId, type }) => [id, previousEventId, type])).toEqual([
      [2, 0, 'MapStateEntered'],
      [3, 2, 'MapStateStarted'],
      [4, 3, 'MapIterationStarted'],
      [5, 4, 'PassStateEntered'],
      [6, 5, 'PassStateExited'],
      [7, 6, 'MapIterationSucceeded'],
      [8, 6, 'MapIterationStarted'],
      [9, 8, 'PassStateEntered'],
      [10, 9, 'PassStateExited'],
      [11, 10, 'MapIterationSucceeded'],
      [12, 11, 'MapStateSucceeded'],
      [13, 11, 'MapStateExited'],
      [14, 13, 'ExecutionSucceeded'],
    ]);
    expect(ran.events[3]?.mapIterationStartedEventDetails).toEqual({ name: 'Each', index: 0 });
  });

  it('fails with the first failing iteration; later items are not begun', async () => {
    const begun: unknown[] = [];
    const ran = await run(each(call('Work'), { MaxConcurrency: 1 }), { items: [1, 2, 3] }, ({ arguments: item }) => {
      begun.push(item);
      if (item === 2) throw new StatesError('Broken');
      return item;
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'Broken' });
    expect(begun).toEqual([1, 2]);
    expect(ran.types.slice(-4)).toEqual([
      'MapIterationFailed',
      'TaskStateAborted',
      'MapStateFailed',
      'ExecutionFailed',
    ]);
  });

  it('errors caught inside leave the other iterations alone', async () => {
    const inside = {
      ...call('Work', { Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Note' }] }),
      Note: { Type: 'Pass', Output: '{% "failed: " & $states.input.Error %}', End: true },
    };
    const ran = await run(each(inside), { items: [1, 2, 3] }, ({ arguments: item }) => {
      if (item === 2) throw new StatesError('Broken');
      return item as number;
    });
    expect(ran.output).toEqual([1, 'failed: Broken', 3]);
  });

  it('fails where Items is not a list', async () => {
    const ran = await run(each({ Same: { Type: 'Pass', End: true } }), { items: 'abc' });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.QueryEvaluationError' });
    expect(ran.types.slice(-3)).toEqual(['EvaluationFailed', 'MapStateFailed', 'ExecutionFailed']);
  });

  it("a timeout of one iteration's task is that task's error, not the siblings'", async () => {
    const inside = {
      ...call('Work', { TimeoutSeconds: 1, Catch: [{ ErrorEquals: ['States.Timeout'], Next: 'Late' }] }),
      Late: { Type: 'Pass', Output: 'late', End: true },
    };
    const ran = await run(each(inside), { items: [1, 2] }, (task) => (task.arguments === 2 ? untilAborted(task) : 1), {
      clock: createClock(20),
    });
    expect(ran.output).toEqual([1, 'late']);
  });
});
