import { describe, expect, it } from 'vitest';
import { createClock } from '../../local/asl/clock.ts';
import { lambda, output, run } from './asl-machines.ts';

describe('expressions', () => {
  it('are evaluated anywhere inside a value, and other strings are literal', async () => {
    const value = { a: ['{% $states.input.n + 1 %}', '100 {% of %} it'], b: { c: '{%$states.input.n%}' }, d: null };
    expect(await output(value, { n: 1 })).toEqual({ a: [2, '100 {% of %} it'], b: { c: 1 }, d: null });
  });

  it('give plain JSON: a list filtered to one item and used again stays what JSON says it is', async () => {
    const ran = await run(
      {
        First: {
          Type: 'Pass',
          Assign: { found: '{% $states.input.items[n > 1] %}', list: '{% [$states.input.items[n > 1]] %}' },
          Next: 'Second',
        },
        Second: { Type: 'Pass', Output: '{% { "found": $found, "list": $list, "type": $type($list) } %}', End: true },
      },
      { items: [{ n: 1 }, { n: 2 }] },
    );
    expect(ran.output).toEqual({ found: { n: 2 }, list: [{ n: 2 }], type: 'array' });
  });

  it('fail when they are undefined, naming state, field and expression', async () => {
    const ran = await run({ Only: { Type: 'Pass', Output: { result: '{% $nothing %}' }, End: true } });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.QueryEvaluationError' });
    expect(ran.cause).toBe(
      "An error occurred while executing the state 'Only' (entered at the event id #2). The JSONata expression " +
        "'$nothing' specified for the field 'Output/result' returned nothing (undefined).",
    );
    expect(ran.types).toEqual(['ExecutionStarted', 'PassStateEntered', 'EvaluationFailed', 'ExecutionFailed']);
    expect(ran.events[2]?.evaluationFailedEventDetails).toMatchObject({ state: 'Only', location: 'Output/result' });
  });

  it('fail when they throw, and when they give a function', async () => {
    await expect(output('{% $error("no") %}')).rejects.toThrow(/States\.QueryEvaluationError.*D3137.*no/);
    await expect(output('{% function($x) { $x } %}')).rejects.toThrow(/unsupported result type/);
    await expect(output('{% [function($x) { $x }] %}')).rejects.toThrow(/unsupported result type/);
  });

  it.each<[string, unknown]>([
    ['$partition([1,2,3,4,5], 2)', [[1, 2], [3, 4], [5]]],
    ['$range(0, 10, 5)', [0, 5, 10]],
    ['$range(3, 1, -1)', [3, 2, 1]],
    ['$hash("abc", "MD5")', '900150983cd24fb0d6963f7d28e17f72'],
    ['$hash("abc", "SHA-1")', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['$hash("abc", "SHA-256")', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['$parse("{\\"a\\":[1]}").a', [1]],
    ['$random(7) = $random(7)', true],
    ['$random() < 1', true],
    ['$uuid() = $uuid()', false],
    ['$contains($uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4/)', true],
    ['$exists($hash($states.input.missing, "MD5"))', false],
  ])('have the function %s', async (expression, expected) => {
    expect(await output(`{% ${expression} %}`)).toEqual(expected);
  });

  it.each([
    ['$range(1, 5000, 1)', /more than 1000/],
    ['$range(1, 2, 0)', /must not be 0/],
    ['$hash("a", "CRC")', /unknown algorithm CRC/],
    ['$partition([1], 0)', /positive/],
    ['$parse("{")', /JSON/],
  ])('have functions that refuse: %s', async (expression, message) => {
    await expect(output(`{% ${expression} %}`)).rejects.toThrow(message);
  });
});

describe('$states.context', () => {
  it('tells of the execution, the machine and the state', async () => {
    const clock = createClock(1000, () => Date.parse('2026-03-04T05:06:07Z'));
    const context = {
      Execution: { Id: 'id', Name: 'name', RoleArn: 'role' },
      StateMachine: { Id: 'machine-id', Name: 'machine' },
    };
    const states = { Only: { Type: 'Pass', Output: '{% $states.context %}', End: true } };
    const ran = await run(states, { n: 1 }, undefined, { clock, context });
    const time = '2026-03-04T05:06:07.000Z';
    expect(ran.output).toEqual({
      Execution: { Id: 'id', Name: 'name', Input: { n: 1 }, RoleArn: 'role', StartTime: time, RedriveCount: 0 },
      StateMachine: { Id: 'machine-id', Name: 'machine' },
      State: { Name: 'Only', EnteredTime: time, RetryCount: 0 },
    });
  });
});

describe('variables', () => {
  it('are seen by Assign and Output of the same state as they were when it was entered', async () => {
    const ran = await run({
      First: { Type: 'Pass', Assign: { x: 1, y: 1 }, Next: 'Second' },
      Second: {
        Type: 'Pass',
        Assign: { x: '{% $y + 1 %}', y: '{% $x + 10 %}' },
        Output: '{% [$x, $y] %}',
        Next: 'Third',
      },
      Third: { Type: 'Pass', Output: '{% $append($states.input, [$x, $y]) %}', End: true },
    });
    expect(ran.output).toEqual([1, 1, 2, 11]);
  });

  it('stay until they are assigned again', async () => {
    const ran = await run({
      First: { Type: 'Pass', Assign: { x: 1, y: 1 }, Next: 'Second' },
      Second: { Type: 'Pass', Assign: { y: 2 }, Next: 'Third' },
      Third: { Type: 'Pass', Next: 'Fourth' },
      Fourth: { Type: 'Pass', Output: '{% [$x, $y] %}', End: true },
    });
    expect(ran.output).toEqual([1, 2]);
  });

  it('are not yet there in the state that first assigns them', async () => {
    const ran = await run({ First: { Type: 'Pass', Assign: { x: 1 }, Output: '{% $x %}', End: true } });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.QueryEvaluationError' });
  });

  it('of an outer scope are read inside; inner ones stay inside', async () => {
    const branch = {
      B: { Type: 'Pass', Assign: { inner: '{% $outer * 2 %}' }, Next: 'C' },
      C: { Type: 'Pass', Output: '{% $inner %}', End: true },
    };
    const ran = await run({
      First: { Type: 'Pass', Assign: { outer: 21 }, Next: 'Both' },
      Both: {
        Type: 'Parallel',
        Branches: [{ StartAt: 'B', States: branch }],
        Assign: { result: '{% $states.result %}' },
        Next: 'Last',
      },
      Last: { Type: 'Pass', Output: '{% { "result": $result, "leaked": $exists($inner) } %}', End: true },
    });
    expect(ran.output).toEqual({ result: [42], leaked: false });
  });

  it("of one iteration are not the next one's", async () => {
    const processor = {
      StartAt: 'Look',
      States: {
        Look: { Type: 'Pass', Output: '{% $exists($seen) %}', Assign: { seen: true }, End: true },
      },
    };
    const ran = await run({
      Each: { Type: 'Map', Items: [1, 2], MaxConcurrency: 1, ItemProcessor: processor, End: true },
    });
    expect(ran.output).toEqual([false, false]);
  });

  it('are shown in the history', async () => {
    const ran = await run({ First: { Type: 'Pass', Assign: { x: [1] }, End: true } });
    expect(ran.events[2]?.stateExitedEventDetails).toMatchObject({ assignedVariables: { x: '[1]' } });
  });
});

describe('the payload limit', () => {
  const big = 'x'.repeat(256 * 1024);
  const task = { Type: 'Task', Resource: lambda, Arguments: {}, Next: 'Done' };
  const rest = { Done: { Type: 'Succeed' }, Caught: { Type: 'Succeed', Output: '{% $states.input.Error %}' } };

  it('fails a task whose result is larger, past States.ALL', async () => {
    const states = { Get: { ...task, Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }] }, ...rest };
    const ran = await run(states, {}, () => big);
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' });
    expect(ran.types).toContain('TaskFailed');
  });

  it('can be caught by its own name', async () => {
    const states = {
      Get: { ...task, Catch: [{ ErrorEquals: ['States.DataLimitExceeded'], Next: 'Caught' }] },
      ...rest,
    };
    expect(await run(states, {}, () => big)).toMatchObject({ output: 'States.DataLimitExceeded' });
  });

  it('counts bytes, not characters', async () => {
    const euros = '€'.repeat(100 * 1024);
    const ran = await run({ Only: { Type: 'Pass', Output: euros, End: true } });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' });
  });
});
