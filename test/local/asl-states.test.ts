import { describe, expect, it } from 'vitest';
import { createClock } from '../../local/asl/clock.ts';
import { StatesError } from '../../local/asl/errors.ts';
import type { TaskCall } from '../../local/asl/frame.ts';
import { callback, lambda, machine, passToken, run, type States } from './asl-machines.ts';

describe('Pass, Succeed and Fail', () => {
  it('a Pass without Output hands its input on', async () => {
    const ran = await run({ A: { Type: 'Pass', Next: 'B' }, B: { Type: 'Succeed' } }, { n: 1 });
    expect(ran).toMatchObject({ status: 'SUCCEEDED', output: { n: 1 } });
    expect(ran.types).toEqual(
      ['ExecutionStarted', 'PassStateEntered', 'PassStateExited', 'SucceedStateEntered', 'SucceedStateExited'].concat(
        'ExecutionSucceeded',
      ),
    );
  });

  it('a Succeed may have an Output', async () => {
    expect(await run({ A: { Type: 'Succeed', Output: '{% $states.input.n %}' } }, { n: 1 })).toMatchObject({
      output: 1,
    });
  });

  it("a Fail's Error and Cause may be expressions", async () => {
    const fail = { Type: 'Fail', Error: '{% $states.input.name %}', Cause: '{% "step " & $string($states.input.n) %}' };
    const ran = await run({ A: fail }, { name: 'Broken', n: 2 });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'Broken', cause: 'step 2' });
    expect(ran.types).toEqual(['ExecutionStarted', 'FailStateEntered', 'ExecutionFailed']);
    expect(ran.events[2]?.executionFailedEventDetails).toEqual({ error: 'Broken', cause: 'step 2' });
  });

  it('a Fail may be nameless', async () => {
    const ran = await run({ A: { Type: 'Fail' } });
    expect(ran).toMatchObject({ status: 'FAILED' });
    expect(ran.error).toBeUndefined();
    expect(ran.events[2]?.executionFailedEventDetails).toEqual({});
  });
});

describe('Choice', () => {
  const choice: States = {
    Pick: {
      Type: 'Choice',
      Choices: [
        { Condition: '{% $states.input.n > 10 %}', Next: 'End', Output: 'large', Assign: { size: 'L' } },
        { Condition: '{% $states.input.n > 5 %}', Next: 'End', Assign: { size: 'M' } },
      ],
      Default: 'End',
      Output: 'small',
      Assign: { size: 'S' },
    },
    End: { Type: 'Succeed', Output: '{% [$states.input, $size] %}' },
  };
  it.each([
    [20, ['large', 'L']],
    [7, [{ n: 7 }, 'M']],
    [1, ['small', 'S']],
  ])('takes the first rule that holds for %i, with its Output and Assign', async (n, expected) => {
    const ran = await run(choice, { n });
    expect(ran.output).toEqual(expected);
    expect(ran.types.slice(1, 3)).toEqual(['ChoiceStateEntered', 'ChoiceStateExited']);
  });

  it('fails when nothing matches and there is no Default', async () => {
    const states = { Pick: { Type: 'Choice', Choices: [{ Condition: false, Next: 'End' }] }, End: { Type: 'Succeed' } };
    expect(await run(states)).toMatchObject({ status: 'FAILED', error: 'States.NoChoiceMatched' });
  });

  it('fails when a condition is not a boolean', async () => {
    const states = {
      Pick: { Type: 'Choice', Choices: [{ Condition: '{% 1 %}', Next: 'End' }] },
      End: { Type: 'Succeed' },
    };
    expect(await run(states)).toMatchObject({ status: 'FAILED', error: 'States.QueryEvaluationError' });
  });
});

describe('Wait', () => {
  const waited = async (fields: Record<string, unknown>, input = {}) => {
    const waits: number[] = [];
    const now = () => Date.parse('2026-01-01T00:00:00Z');
    const clock = {
      now,
      timer: (ms: number, fire: () => void) => {
        waits.push(ms);
        queueMicrotask(fire);
        return () => {};
      },
    };
    const ran = await run({ A: { Type: 'Wait', ...fields, End: true } }, input, undefined, { clock });
    return { ...ran, waits };
  };

  it('waits for seconds', async () => {
    expect(await waited({ Seconds: 5 })).toMatchObject({ status: 'SUCCEEDED', waits: [5000] });
    expect(await waited({ Seconds: '{% $states.input.n * 2 %}' }, { n: 3 })).toMatchObject({ waits: [6000] });
  });

  it('waits until a time, with any offset', async () => {
    expect(await waited({ Timestamp: '2026-01-01T00:01:00Z' })).toMatchObject({ waits: [60_000] });
    expect(await waited({ Timestamp: '2026-01-01T01:00:30+01:00' })).toMatchObject({ waits: [30_000] });
  });

  it('goes on at once after a time that has passed', async () => {
    const ran = await run({ A: { Type: 'Wait', Timestamp: '2020-01-01T00:00:00Z', End: true } });
    expect(ran.types.slice(1, 3)).toEqual(['WaitStateEntered', 'WaitStateExited']);
  });

  it.each([
    [{ Seconds: '{% -1 %}' }, 'States.QueryEvaluationError'],
    [{ Seconds: '{% 1.5 %}' }, 'States.QueryEvaluationError'],
    [{ Timestamp: '{% "tomorrow" %}' }, 'States.QueryEvaluationError'],
    [{ Timestamp: '9999-01-01T00:00:00Z' }, 'States.Runtime'],
  ])('refuses %j', async (fields, error) => {
    expect(await waited(fields)).toMatchObject({ status: 'FAILED', error, waits: [] });
  });

  it('waits longer than one timer of Node lasts', async () => {
    let fired = false;
    const cancel = createClock().timer(2 ** 31 + 1000, () => {
      fired = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    cancel();
    expect(fired).toBe(false);
  });
});

describe('Task', () => {
  const task = { Type: 'Task', Resource: lambda, Arguments: { n: '{% $states.input.n %}' } };

  it('hands arguments over and takes the result', async () => {
    const seen: TaskCall[] = [];
    const states = { Get: { ...task, Output: '{% $states.result.n + $states.input.n %}', End: true } };
    const ran = await run(states, { n: 1 }, (call) => {
      seen.push(call);
      return { n: 41 };
    });
    expect(ran.output).toBe(42);
    expect(seen[0]).toMatchObject({ resource: lambda, arguments: { n: 1 }, state: 'Get' });
    expect(seen[0]?.token).toBeUndefined();
  });

  it('has the history of AWS', async () => {
    const ran = await run({ Get: { ...task, TimeoutSeconds: 9, End: true } }, { n: 1 }, () => ({ ok: true }), {
      region: 'eu-west-1',
    });
    const what = { resourceType: 'lambda', resource: 'invoke' };
    expect(ran.events.map(({ timestamp: _, ...event }) => event)).toEqual([
      {
        id: 1,
        previousEventId: 0,
        type: 'ExecutionStarted',
        executionStartedEventDetails: {
          input: '{"n":1}',
          inputDetails: { truncated: false },
          roleArn: 'arn:aws:iam::111122223333:role/machine',
        },
      },
      {
        id: 2,
        previousEventId: 0,
        type: 'TaskStateEntered',
        stateEnteredEventDetails: { name: 'Get', input: '{"n":1}', inputDetails: { truncated: false } },
      },
      {
        id: 3,
        previousEventId: 2,
        type: 'TaskScheduled',
        taskScheduledEventDetails: { ...what, region: 'eu-west-1', parameters: '{"n":1}', timeoutInSeconds: 9 },
      },
      { id: 4, previousEventId: 3, type: 'TaskStarted', taskStartedEventDetails: what },
      {
        id: 5,
        previousEventId: 4,
        type: 'TaskSucceeded',
        taskSucceededEventDetails: { ...what, output: '{"ok":true}', outputDetails: { truncated: false } },
      },
      {
        id: 6,
        previousEventId: 5,
        type: 'TaskStateExited',
        stateExitedEventDetails: { name: 'Get', output: '{"ok":true}', outputDetails: { truncated: false } },
      },
      {
        id: 7,
        previousEventId: 6,
        type: 'ExecutionSucceeded',
        executionSucceededEventDetails: { output: '{"ok":true}', outputDetails: { truncated: false } },
      },
    ]);
  });

  it('passes a token to the arguments of .waitForTaskToken and notes the submission', async () => {
    const states = { Ask: { Type: 'Task', Resource: callback, Arguments: passToken, End: true } };
    const ran = await run(states, {}, async (call) => {
      expect(call.arguments).toEqual({ FunctionName: 'f', Payload: call.token });
      call.submitted({ accepted: true });
      return 'answered';
    });
    expect(ran.output).toBe('answered');
    expect(ran.types.slice(2, 6)).toEqual(['TaskScheduled', 'TaskStarted', 'TaskSubmitted', 'TaskSucceeded']);
    expect(ran.events[4]?.taskSubmittedEventDetails).toMatchObject({ output: '{"accepted":true}' });
  });

  it('tells a failed submission from a failed task', async () => {
    const states = { Ask: { Type: 'Task', Resource: callback, Arguments: passToken, End: true } };
    const refused = await run(states, {}, () => {
      throw new StatesError('Lambda.ResourceNotFoundException', 'no such function');
    });
    expect(refused.types).toContain('TaskSubmitFailed');
    const failed = await run(states, {}, (call) => {
      call.submitted({});
      throw new StatesError('Broken');
    });
    expect(failed.types).toContain('TaskFailed');
    expect(failed).toMatchObject({ error: 'Broken' });
  });

  it("makes an integration's own mistake the end of the execution", async () => {
    const states = {
      Get: { ...task, Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }], End: true },
      Caught: { Type: 'Succeed' },
    };
    const ran = await run(states, { n: 1 }, () => {
      throw new TypeError('undefined is not a function');
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
    expect(ran.cause).toContain('undefined is not a function');
  });
});

describe('timeouts', () => {
  const never = () => new Promise<never>(() => {});
  const clock = createClock(20);

  it('a task that takes too long fails with States.Timeout and is told so', async () => {
    let signal: AbortSignal | undefined;
    const states = { Slow: { Type: 'Task', Resource: lambda, Arguments: {}, TimeoutSeconds: 1, End: true } };
    const ran = await run(
      states,
      {},
      (call) => {
        signal = call.signal;
        return never();
      },
      { clock },
    );
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
    expect(ran.types.slice(-2)).toEqual(['TaskTimedOut', 'ExecutionFailed']);
    expect(signal?.aborted).toBe(true);
  });

  it('TimeoutSeconds may be an expression, but not a fraction', async () => {
    const slow = (TimeoutSeconds: string) => ({
      Slow: { Type: 'Task', Resource: lambda, Arguments: {}, TimeoutSeconds, End: true },
    });
    expect(await run(slow('{% $states.input.n %}'), { n: 1 }, never, { clock })).toMatchObject({
      error: 'States.Timeout',
    });
    expect(await run(slow('{% 0.5 %}'), {}, never, { clock })).toMatchObject({ error: 'States.QueryEvaluationError' });
  });

  const waiting = (fields: Record<string, unknown> = {}) => ({
    Ask: {
      Type: 'Task',
      Resource: callback,
      Arguments: passToken,
      HeartbeatSeconds: 2,
      TimeoutSeconds: 100,
      ...fields,
      End: true,
    },
  });

  it('silence fails with States.Timeout, which States.HeartbeatTimeout catches', async () => {
    const ran = await run(waiting(), {}, never, { clock });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
    const Catch = [{ ErrorEquals: ['States.HeartbeatTimeout'], Next: 'Silent' }];
    const states = { Ask: { ...waiting({ Catch }).Ask }, Silent: { Type: 'Pass', End: true } };
    expect(await run(states, {}, never, { clock })).toMatchObject({ output: { Error: 'States.Timeout', Cause: null } });
    expect(ran.types).toContain('TaskTimedOut');
    expect(ran.events[2]?.taskScheduledEventDetails).toMatchObject({ heartbeatInSeconds: 2, timeoutInSeconds: 100 });
  });

  it('heartbeats keep a task alive beyond HeartbeatSeconds', async () => {
    const ran = await run(
      waiting(),
      {},
      async (call) => {
        for (let beat = 0; beat < 5; beat++) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          call.heartbeat();
        }
        return 'alive';
      },
      { clock },
    );
    expect(ran).toMatchObject({ status: 'SUCCEEDED', output: 'alive' });
  });

  it('silence after a heartbeat fails too', async () => {
    const beatOnce = (call: TaskCall) => {
      call.heartbeat();
      return never();
    };
    expect(await run(waiting(), {}, beatOnce, { clock })).toMatchObject({ error: 'States.Timeout' });
  });

  it('heartbeats do not extend TimeoutSeconds', async () => {
    const ran = await run(
      waiting({ TimeoutSeconds: 4 }),
      {},
      async (call) => {
        for (let beat = 0; beat < 20 && !call.signal.aborted; beat++) {
          await new Promise((resolve) => setTimeout(resolve, 30));
          call.heartbeat();
        }
        return 'late';
      },
      { clock },
    );
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
  });

  it("the machine's TimeoutSeconds ends the execution TIMED_OUT, past every Catch", async () => {
    const states = {
      Slow: {
        Type: 'Task',
        Resource: lambda,
        Arguments: {},
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }],
        End: true,
      },
      Caught: { Type: 'Succeed' },
    };
    const ran = await run(machine(states, { TimeoutSeconds: 1 }), {}, never, { clock });
    expect(ran).toMatchObject({ status: 'TIMED_OUT' });
    expect(ran.events.at(-1)).toMatchObject({ type: 'ExecutionTimedOut', previousEventId: 0 });
  });

  it('a signal ends the execution ABORTED, also within a task that has its own timeout', async () => {
    const stop = new AbortController();
    const states = { Slow: { Type: 'Task', Resource: lambda, Arguments: {}, TimeoutSeconds: 99, End: true } };
    const ran = await run(
      states,
      {},
      () => {
        stop.abort(new StatesError('Stopped', 'by hand'));
        return never();
      },
      { signal: stop.signal },
    );
    expect(ran).toMatchObject({ status: 'ABORTED', error: 'Stopped', cause: 'by hand' });
    expect(ran.types.slice(-2)).toEqual(['TaskStarted', 'ExecutionAborted']);
  });

  it('a loop without end is ended by the limit of events', async () => {
    const loop = { Type: 'Choice', Choices: [{ Condition: false, Next: 'End' }], Default: 'Loop' };
    const ran = await run({ Loop: loop, End: { Type: 'Succeed' } });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
    expect(ran.events).toHaveLength(25_000);
  });
});
