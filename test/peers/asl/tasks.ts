import { answered, type Case, machine, pass, type States, task, thrown } from './case.ts';

const caught = { Caught: pass() };
const retrier = (ErrorEquals: readonly string[], more: States = {}) => ({
  ErrorEquals,
  IntervalSeconds: 1,
  BackoffRate: 1,
  ...more,
});

/** Tasks, their retries and what catches them. */
export const tasks: readonly Case[] = [
  { name: 'a task gives its result', definition: machine({ Call: task() }), tasks: { Call: [answered({ n: 1 })] } },
  {
    name: 'a task shapes its result',
    definition: machine({
      Call: task({
        Arguments: {
          FunctionName: 'worker',
          Payload: { of: '{% $states.input.n + 1 %}', by: '{% $states.context.State.Name %}' },
        },
        Output: { got: '{% $states.result.Payload %}', had: '{% $states.input.n %}' },
      }),
    }),
    input: { n: 1 },
    tasks: { Call: [answered('done')] },
  },
  {
    name: 'a task assigns from its result',
    definition: machine({
      Call: task({
        End: undefined,
        Next: 'Use',
        Assign: { got: '{% $states.result.Payload.n %}' },
        Output: 'ignored',
      }),
      Use: pass({ Output: '{% [$states.input, $got] %}' }),
    }),
    tasks: { Call: [answered({ n: 5 })] },
  },
  {
    name: 'AWS SDK tasks',
    definition: machine({
      Read: task({
        Resource: 'arn:aws:states:::aws-sdk:ssm:getParameter',
        Arguments: { Name: '/a' },
        Output: '{% $parse($states.result.Parameter.Value) %}',
      }),
    }),
    tasks: { Read: [{ Return: { Parameter: { Name: '/a', Value: '{"ok":true}' } } }] },
  },
  { name: 'a task that fails', definition: machine({ Call: task() }), tasks: { Call: [thrown('Custom')] } },
  {
    name: 'a retry that helps',
    definition: machine({ Call: task({ Retry: [retrier(['Custom'])] }) }),
    tasks: { Call: [thrown('Custom'), answered('second')] },
  },
  {
    name: 'retries that are used up',
    definition: machine({ Call: task({ Retry: [retrier(['Custom'], { MaxAttempts: 2 })] }) }),
    tasks: { Call: [thrown('Custom')] },
  },
  {
    name: 'MaxAttempts 0 retries nothing',
    definition: machine({ Call: task({ Retry: [retrier(['Custom'], { MaxAttempts: 0 })] }) }),
    tasks: { Call: [thrown('Custom'), answered('too late')] },
  },
  {
    name: 'a retrier for another error',
    definition: machine({ Call: task({ Retry: [retrier(['Other'])] }) }),
    tasks: { Call: [thrown('Custom'), answered('too late')] },
  },
  {
    name: 'States.ALL retries everything',
    definition: machine({ Call: task({ Retry: [retrier(['States.ALL'], { MaxAttempts: 1 })] }) }),
    tasks: { Call: [thrown('Custom'), answered('second')] },
  },
  {
    name: 'States.TaskFailed retries what tasks throw',
    definition: machine({ Call: task({ Retry: [retrier(['States.TaskFailed'], { MaxAttempts: 1 })] }) }),
    tasks: { Call: [thrown('Custom'), answered('second')] },
  },
  {
    name: 'retriers count for themselves',
    definition: machine({
      Call: task({ Retry: [retrier(['A'], { MaxAttempts: 1 }), retrier(['B'], { MaxAttempts: 1 })] }),
    }),
    tasks: { Call: [thrown('A'), thrown('B'), answered('third')] },
  },
  {
    name: 'retries wait by their backoff, at most MaxDelaySeconds',
    definition: machine({
      Call: task({
        Retry: [
          {
            ErrorEquals: ['A'],
            IntervalSeconds: 1,
            BackoffRate: 5,
            MaxDelaySeconds: 2,
            MaxAttempts: 2,
            JitterStrategy: 'FULL',
          },
        ],
      }),
    }),
    tasks: { Call: [thrown('A'), thrown('A'), answered('third')] },
  },
  {
    name: 'the context counts retries',
    definition: machine({
      Call: task({
        Arguments: { FunctionName: 'worker', Payload: '{% $states.context.State.RetryCount %}' },
        Retry: [retrier(['A'], { MaxAttempts: 1 })],
      }),
    }),
    tasks: { Call: [thrown('A'), answered('second')] },
  },
  {
    name: 'a Catch gives the error as output',
    definition: machine({ Call: task({ Catch: [{ ErrorEquals: ['Custom'], Next: 'Caught' }] }), ...caught }),
    tasks: { Call: [thrown('Custom', 'the cause')] },
  },
  {
    name: 'a Catch shapes and assigns',
    definition: machine({
      Call: task({
        Catch: [
          {
            ErrorEquals: ['States.ALL'],
            Next: 'Caught',
            Output: { of: '{% $states.input.n %}', error: '{% $states.errorOutput.Error %}' },
            Assign: { cause: '{% $states.errorOutput.Cause %}' },
          },
        ],
      }),
      Caught: pass({ Output: '{% [$states.input, $cause] %}' }),
    }),
    input: { n: 9 },
    tasks: { Call: [thrown('Custom', 'said "no"')] },
  },
  {
    name: 'the first Catch that matches is taken',
    definition: machine({
      Call: task({
        Catch: [
          { ErrorEquals: ['Other'], Next: 'Caught', Output: 'first' },
          { ErrorEquals: ['Custom', 'More'], Next: 'Caught', Output: 'second' },
          { ErrorEquals: ['States.ALL'], Next: 'Caught', Output: 'third' },
        ],
      }),
      ...caught,
    }),
    tasks: { Call: [thrown('Custom')] },
  },
  {
    name: 'a Catch for another error',
    definition: machine({ Call: task({ Catch: [{ ErrorEquals: ['Other'], Next: 'Caught' }] }), ...caught }),
    tasks: { Call: [thrown('Custom')] },
  },
  {
    name: 'a Catch after the retries',
    definition: machine({
      Call: task({
        Retry: [retrier(['Custom'], { MaxAttempts: 1 })],
        Catch: [{ ErrorEquals: ['States.TaskFailed'], Next: 'Caught', Output: '{% $states.errorOutput.Cause %}' }],
      }),
      ...caught,
    }),
    tasks: { Call: [thrown('Custom', 'first'), thrown('Custom', 'second')] },
  },
  {
    name: 'a Catch for an Output that fails',
    definition: machine({
      Call: task({
        Output: '{% $nope %}',
        Catch: [{ ErrorEquals: ['States.QueryEvaluationError'], Next: 'Caught', Output: 'caught' }],
      }),
      ...caught,
    }),
    tasks: { Call: [answered(1)] },
  },
  {
    name: 'Arguments that fail',
    definition: machine({ Call: task({ Arguments: { FunctionName: '{% $nope %}' } }) }),
    tasks: { Call: [answered(1)] },
  },
  {
    name: 'timeouts by expressions',
    definition: machine({
      Call: task({ TimeoutSeconds: '{% $states.input.limit %}' }),
    }),
    input: { limit: 30 },
    tasks: { Call: [answered(1)] },
  },
  {
    name: 'a timeout of nothing fails',
    definition: machine({ Call: task({ TimeoutSeconds: '{% 0 %}' }) }),
    tasks: { Call: [answered(1)] },
  },
];
