import { describe, expect, it } from 'vitest';
import { StatesError } from '../../local/asl/errors.ts';
import type { Integrate, TaskCall } from '../../local/asl/frame.ts';
import type { Progress } from '../../local/asl/progress.ts';
import type { Json } from '../../local/asl/types.ts';
import { lambda, run, type States } from './asl-machines.ts';

const processor = (states: States) => ({
  ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
  StartAt: Object.keys(states)[0],
  States: states,
});
const echo = processor({ Echo: { Type: 'Pass', End: true } });
const work = processor({ Work: { Type: 'Task', Resource: lambda, Arguments: '{% $states.input %}', End: true } });
const map = (fields: Record<string, unknown>): States => ({
  Map: { Type: 'Map', ItemProcessor: echo, End: true, ...fields },
});

/** Fails for items of which the test says so. */
const failingFor =
  (bad: (item: Json) => boolean): Integrate =>
  ({ arguments: item }) => {
    if (bad(item)) throw new StatesError('Broken', JSON.stringify(item));
    return item;
  };

describe('a distributed Map', () => {
  it('gives the outputs of its executions, with the events of a Map Run', async () => {
    const ran = await run(map({}), [1, 2]);
    expect(ran).toMatchObject({ status: 'SUCCEEDED', output: [1, 2] });
    expect(ran.events.map(({ id, type, previousEventId }) => `${id} ${type} ${previousEventId}`)).toEqual([
      '1 ExecutionStarted 0',
      '2 MapStateEntered 0',
      '3 MapStateStarted 2',
      '4 MapRunStarted 3',
      '5 MapRunSucceeded 4',
      '6 MapStateSucceeded 5',
      '7 MapStateExited 4',
      '8 ExecutionSucceeded 7',
    ]);
    expect(ran.events[3]?.mapRunStartedEventDetails?.mapRunArn).toMatch(/:mapRun:machine\/[\w-]+:[\w-]+$/);
  });

  it('shows each execution itself, not its parent', async () => {
    const context = processor({ Show: { Type: 'Pass', Output: '{% $states.context %}', End: true } });
    const ran = await run(
      map({ ItemProcessor: context, Label: 'each', ItemSelector: { n: '{% $states.context.Map.Item.Value %}' } }),
      [5],
    );
    const [shown] = ran.output as { Execution: Record<string, string>; StateMachine: Record<string, string> }[];
    expect(shown?.Execution.Id).toMatch(/:execution:machine\/each:[\w-]{36}$/);
    expect(shown?.Execution).toMatchObject({ Input: { n: 5 }, RedriveCount: 0 });
    expect(shown?.StateMachine.Name).toBe('machine/each');
    expect(shown).not.toHaveProperty('Map');
  });

  it('keeps to MaxConcurrency', async () => {
    let now = 0;
    let most = 0;
    await run(map({ ItemProcessor: work, MaxConcurrency: 2 }), [1, 2, 3, 4, 5], async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now -= 1;
      return null;
    });
    expect(most).toBe(2);
  });

  it('gives its executions batches', async () => {
    const ItemBatcher = { MaxItemsPerBatch: 2, BatchInput: { of: '{% $count($states.input) %}' } };
    const { output } = await run(map({ ItemBatcher }), [1, 2, 3]);
    expect(output).toEqual([
      { BatchInput: { of: 3 }, Items: [1, 2] },
      { BatchInput: { of: 3 }, Items: [3] },
    ]);
    const small = await run(map({ ItemBatcher: { MaxInputBytesPerBatch: 30 } }), ['aaaaa', 'bbbbb', 'ccccc']);
    expect(small.output).toEqual([{ Items: ['aaaaa', 'bbbbb'] }, { Items: ['ccccc'] }]);
  });
});

describe('failures in a distributed Map', () => {
  const threes = failingFor((item) => (item as number) % 3 === 0);

  it('end it where none is tolerated', async () => {
    const ran = await run(map({ ItemProcessor: work }), [1, 2, 3], threes);
    expect(ran).toMatchObject({
      status: 'FAILED',
      error: 'States.ExceedToleratedFailureThreshold',
      cause: 'The specified tolerated failure threshold was exceeded',
    });
    expect(ran.types.slice(-3)).toEqual(['MapRunFailed', 'MapStateFailed', 'ExecutionFailed']);
  });

  it.each([
    [{ ToleratedFailureCount: 2 }, 'SUCCEEDED'],
    [{ ToleratedFailureCount: 1 }, 'FAILED'],
    [{ ToleratedFailurePercentage: 34 }, 'SUCCEEDED'],
    [{ ToleratedFailurePercentage: '{% 33 %}' }, 'FAILED'],
    [{ ToleratedFailureCount: 9, ToleratedFailurePercentage: 20 }, 'FAILED'],
  ])('two of six, with %j: %s', async (tolerated, status) => {
    const ran = await run(map({ ItemProcessor: work, MaxConcurrency: 1, ...tolerated }), [1, 2, 3, 4, 5, 6], threes);
    expect(ran.status).toBe(status);
    if (status === 'SUCCEEDED') expect(ran.output).toEqual([1, 2, 4, 5]);
  });

  it('can be caught by name', async () => {
    const Catch = [{ ErrorEquals: ['States.ExceedToleratedFailureThreshold'], Next: 'Caught' }];
    const ran = await run({ ...map({ ItemProcessor: work, Catch }), Caught: { Type: 'Pass', End: true } }, [3], threes);
    expect(ran.status).toBe('SUCCEEDED');
  });

  it('call off the executions that still run', async () => {
    let calledOff = false;
    await run(map({ ItemProcessor: work }), [1, 3], ({ arguments: item, signal }) => {
      if (item === 3) throw new StatesError('Broken');
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          calledOff = true;
          reject(signal.reason);
        });
      });
    });
    expect(calledOff).toBe(true);
  });

  it('are all that a redrive runs again', async () => {
    const progress: Progress = {};
    const called: Json[] = [];
    let bad = 3;
    const answer: Integrate = (call) => {
      called.push(call.arguments);
      return failingFor((item) => item === bad)(call);
    };
    const states = map({ ItemProcessor: work, MaxConcurrency: 1 });
    const first = await run(states, [1, 2, 3, 4], answer, { progress });
    bad = 0;
    const redrive = { lastEventId: first.events.length };
    const second = await run(states, [1, 2, 3, 4], answer, { progress, redrive });
    expect(second).toMatchObject({ status: 'SUCCEEDED', output: [1, 2, 3, 4] });
    expect(called).toEqual([1, 2, 3, 3, 4]);
    expect(second.types.slice(0, 3)).toEqual(['ExecutionRedriven', 'MapRunRedriven', 'MapRunSucceeded']);
    const mapRunArn = first.events.find(({ type }) => type === 'MapRunStarted')?.mapRunStartedEventDetails?.mapRunArn;
    expect(second.events[1]?.mapRunRedrivenEventDetails).toEqual({ mapRunArn, redriveCount: 1 });
  });
});

describe('ItemReader', () => {
  const getObject = {
    Resource: 'arn:aws:states:::s3:getObject',
    Arguments: { Bucket: 'b', Key: '{% $states.input.key %}' },
  };

  it('reads a JSON object', async () => {
    const calls: TaskCall[] = [];
    const ran = await run(map({ ItemReader: getObject }), { key: 'k' }, (call) => {
      calls.push(call);
      return { Body: '[1,{"a":2}]' };
    });
    expect(ran.output).toEqual([1, { a: 2 }]);
    expect(calls).toMatchObject([
      { resource: 'arn:aws:states:::aws-sdk:s3:getObject', arguments: { Bucket: 'b', Key: 'k' } },
    ]);
    expect(ran.events[2]?.mapStateStartedEventDetails).toEqual({ length: 0 });
  });

  it.each<[Record<string, unknown>, string, Json]>([
    [{ ItemsPointer: '/a~1b/1' }, '{"a/b":[0,[7,8]]}', [7, 8]],
    [{ MaxItems: '{% 1 %}' }, '[1,2]', [1]],
    [{ InputType: 'JSONL' }, '{"n":1}\n\n{"n":2}\n', [{ n: 1 }, { n: 2 }]],
  ])('with %j', async (ReaderConfig, Body, items) => {
    const ran = await run(map({ ItemReader: { ...getObject, ReaderConfig } }), { key: 'k' }, () => ({ Body }));
    expect(ran.output).toEqual(items);
  });

  it.each([
    ['{"no":"list"}', 'Attempting to map over non-iterable node.'],
    ['[1', /The object is not JSON/],
  ])('fails over %s', async (Body, cause) => {
    const ran = await run(map({ ItemReader: getObject }), { key: 'k' }, () => ({ Body }));
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.ItemReaderFailed' });
    expect(ran.cause).toMatch(cause);
    expect(ran.types.slice(-4)).toEqual(['MapRunStarted', 'MapRunFailed', 'MapStateFailed', 'ExecutionFailed']);
  });

  it('fails where S3 does', async () => {
    const ran = await run(map({ ItemReader: getObject }), { key: 'k' }, () => {
      throw new StatesError('S3.NoSuchKeyException', 'no such key');
    });
    expect(ran).toMatchObject({ error: 'States.ItemReaderFailed', cause: 'no such key' });
  });

  it('lists objects, page after page', async () => {
    const page = (call: TaskCall): Json => {
      const { ContinuationToken } = call.arguments as Record<string, Json>;
      const object = (Key: string) => ({
        Key,
        Size: 1,
        ETag: '"e"',
        LastModified: '1970-01-01T00:00:10.000Z',
        StorageClass: 'STANDARD',
      });
      if (ContinuationToken === undefined)
        return { Contents: [object('a')], IsTruncated: true, NextContinuationToken: 't' };
      return { Contents: [object('b')], IsTruncated: false };
    };
    const list = { Resource: 'arn:aws:states:::s3:listObjectsV2', Arguments: { Bucket: 'b', Prefix: 'p/' } };
    const { output } = await run(map({ ItemReader: list }), {}, page);
    expect(output).toMatchObject([{ Key: 'a', Etag: '"e"', LastModified: 10 }, { Key: 'b' }]);
  });
});
