import { describe, expect, it } from 'vitest';
import { DefinitionError, parseStateMachine } from '../../local/asl/load.ts';
import { callback, lambda, machine, passToken, type States } from './asl-machines.ts';

const problems = (definition: string | States): readonly string[] => {
  try {
    parseStateMachine(typeof definition === 'string' ? definition : machine(definition));
    return [];
  } catch (error) {
    if (error instanceof DefinitionError) return error.problems;
    throw error;
  }
};

const task = (fields: Record<string, unknown>): States => ({
  'Do it': { Type: 'Task', Resource: lambda, Arguments: { FunctionName: 'f' }, End: true, ...fields },
});
const pass = { Type: 'Pass', End: true };
const reader = { Resource: 'arn:aws:states:::s3:getObject', Arguments: { Bucket: 'b', Key: 'k' } };
const distributed = (fields: Record<string, unknown>): States => ({
  A: {
    Type: 'Map',
    End: true,
    ItemProcessor: {
      ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
      StartAt: 'B',
      States: { B: pass },
    },
    ...fields,
  },
});

describe('what is accepted', () => {
  it('takes a distributed Map', () => {
    const fields = {
      ItemReader: { ...reader, ReaderConfig: { InputType: 'JSONL', MaxItems: 5 } },
      ItemBatcher: { MaxItemsPerBatch: 2, BatchInput: '{% $states.input %}' },
      ToleratedFailureCount: '{% 2 %}',
      ToleratedFailurePercentage: 12.5,
      Label: 'each',
    };
    expect(problems(distributed(fields))).toEqual([]);
  });

  it('takes a machine with every type of state', () => {
    const states: States = {
      Task: {
        Type: 'Task',
        Comment: 'why',
        Resource: callback,
        Arguments: passToken,
        TimeoutSeconds: '{% 60 %}',
        HeartbeatSeconds: 5,
        Retry: [
          {
            ErrorEquals: ['A'],
            IntervalSeconds: 1,
            MaxAttempts: 0,
            BackoffRate: 1.5,
            MaxDelaySeconds: 9,
            JitterStrategy: 'FULL',
          },
          { ErrorEquals: ['States.ALL'] },
        ],
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Fail', Assign: { e: 1 }, Output: '{% $states.errorOutput %}' }],
        Assign: { x: '{% $states.result %}' },
        Output: {},
        Next: 'Map',
      },
      Map: {
        Type: 'Map',
        Items: [1, 2],
        ItemSelector: '{% $states.context.Map.Item.Value %}',
        MaxConcurrency: 2,
        ItemProcessor: { ProcessorConfig: { Mode: 'INLINE' }, StartAt: 'Inner', States: { Inner: pass } },
        Next: 'Parallel',
      },
      Parallel: { Type: 'Parallel', Branches: [{ StartAt: 'Branch', States: { Branch: pass } }], Next: 'Choice' },
      Choice: { Type: 'Choice', Choices: [{ Condition: '{% $x = 1 %}', Next: 'Wait' }], Default: 'Succeed' },
      Wait: { Type: 'Wait', Seconds: 1, Next: 'Succeed' },
      Succeed: { Type: 'Succeed', Output: 1 },
      Fail: { Type: 'Fail', Error: 'E', Cause: '{% "because" %}' },
    };
    expect(problems(machine(states, { Comment: 'c', TimeoutSeconds: 9, Version: '1.0' }))).toEqual([]);
  });

  it.each([
    'arn:aws:states:::ecs:runTask',
    'arn:aws:states:::ecs:runTask.sync',
    'arn:aws-cn:states:::sns:publish',
    'arn:aws:states:::states:startExecution.sync:2',
    'arn:aws:states:::dynamodb:putItem',
    'arn:aws:states:::aws-sdk:s3:getObject',
  ])('takes the resource %s', (Resource) => {
    expect(problems(task({ Resource }))).toEqual([]);
  });
});

describe('what is refused, each with its place', () => {
  const cases: [string, string | States, RegExp][] = [
    ['text that is not JSON', '{', /^\$: is not JSON/],
    ['no query language', JSON.stringify({ StartAt: 'A', States: { A: pass } }), /^\$\.QueryLanguage: is missing/],
    ['JSONPath', machine({ A: pass }, { QueryLanguage: 'JSONPath' }), /^\$\.QueryLanguage: must be "JSONata"/],
    ['a JSONPath field', task({ ResultPath: '$.x' }), /States\['Do it'\]\.ResultPath: belongs to JSONPath/],
    ['an unknown field', task({ Timeout: 1 }), /States\['Do it'\]\.Timeout: is not a known field/],
    ['an unknown machine field', machine({ A: pass }, { Start: 1 }), /^\$\.Start: is not a known field/],
    ['an unknown type', { A: { Type: 'Loop', End: true } }, /States\.A\.Type: Loop is not a known type/],
    ['Arguments that are no object', task({ Arguments: ['a'] }), /Arguments: must be an object or a JSONata/],
    ['credentials', task({ Credentials: {} }), /Credentials: cross-account/],
    ['a dangling StartAt', machine({ A: pass }, { StartAt: 'B' }), /^\$\.StartAt: there is no state 'B'/],
    ['a dangling Next', { A: { Type: 'Pass', Next: 'B' } }, /States\.A\.Next: there is no state 'B'/],
    [
      'a dangling Catch',
      task({ Catch: [{ ErrorEquals: ['E'], Next: 'B' }] }),
      /\['Do it'\]\.Catch\[0\]\.Next: there is no state 'B'/,
    ],
    ['neither Next nor End', { A: { Type: 'Pass' } }, /States\.A: must have either Next or End/],
    ['both Next and End', { A: { Type: 'Pass', Next: 'B', End: true }, B: pass }, /States\.A: must have either/],
    ['Next in a Succeed', { A: { Type: 'Succeed', Next: 'A' } }, /States\.A\.Next: is not a known field/],
    ['an unreachable state', { A: pass, B: pass }, /States\.B: is not reachable/],
    ['no end', { A: { Type: 'Pass', Next: 'A' } }, /no state ends the machine/],
    [
      'two kinds of Wait',
      { A: { Type: 'Wait', Seconds: 1, Timestamp: '2026-01-01T00:00:00Z', End: true } },
      /either Seconds/,
    ],
    ['a Wait for nothing', { A: { Type: 'Wait', End: true } }, /either Seconds or Timestamp/],
    [
      'a local timestamp',
      { A: { Type: 'Wait', Timestamp: '2026-01-01T00:00', End: true } },
      /must be a timestamp with offset/,
    ],
    [
      'a function as resource',
      task({ Resource: 'arn:aws:lambda:eu-west-1:1:function:f' }),
      /try arn:aws:states:::lambda:invoke/,
    ],
    [
      'an unknown integration',
      task({ Resource: 'arn:aws:states:::glue:startJobRun' }),
      /glue:startJobRun is not a known integration/,
    ],
    ['an unknown pattern', task({ Resource: 'arn:aws:states:::sns:publish.sync' }), /cannot be used with \.sync/],
    [
      'an unknown SDK service',
      task({ Resource: 'arn:aws:states:::aws-sdk:nope:get' }),
      /aws-sdk:nope is not a known service/,
    ],
    ['$eval', { A: { ...pass, Output: '{% $eval("1") %}' } }, /States\.A\.Output: \$eval is not available/],
    [
      'an expression that does not parse',
      { A: { ...pass, Output: { x: ['{% 1 + %}'] } } },
      /States\.A\.Output\.x\[0\]: the JSONata/,
    ],
    ['an expression with a space before it', { A: { ...pass, Output: ' {% 1 %}' } }, /looks like an expression/],
    [
      'a heartbeat as long as the timeout',
      task({ Resource: callback, Arguments: passToken, TimeoutSeconds: 5, HeartbeatSeconds: 5 }),
      /must be smaller/,
    ],
    ['a heartbeat that nobody sends', task({ HeartbeatSeconds: 5 }), /HeartbeatSeconds: needs a \.waitForTaskToken/],
    ['a token that is not passed on', task({ Resource: callback }), /must pass \$states\.context\.Task\.Token on/],
    ['a fraction of a second', task({ TimeoutSeconds: 0.5 }), /TimeoutSeconds: must be an integer from 1/],
    [
      'States.ALL not last',
      task({ Retry: [{ ErrorEquals: ['States.ALL'] }, { ErrorEquals: ['E'] }] }),
      /Retry\[0\]: States\.ALL must come last/,
    ],
    ['States.ALL in company', task({ Retry: [{ ErrorEquals: ['States.ALL', 'E'] }] }), /States\.ALL must stand alone/],
    [
      'an unknown retry field',
      task({ Retry: [{ ErrorEquals: ['E'], Interval: 1 }] }),
      /Retry\[0\]\.Interval: is not a known field/,
    ],
    [
      'a most delay below the first',
      task({ Retry: [{ ErrorEquals: ['E'], IntervalSeconds: 5, MaxDelaySeconds: 5 }] }),
      /greater than IntervalSeconds/,
    ],
    ['a variable called states', { A: { ...pass, Assign: { states: 1 } } }, /Assign\.states: \$states is reserved/],
    [
      'a literal as condition',
      { A: { Type: 'Choice', Choices: [{ Condition: 'x', Next: 'B' }] }, B: pass },
      /Condition: must be a JSONata/,
    ],
    [
      'a distributed Map that does not say of which type its executions are',
      {
        A: {
          Type: 'Map',
          End: true,
          ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED' }, StartAt: 'B', States: { B: pass } },
        },
      },
      /ProcessorConfig: ExecutionType is missing/,
    ],
    [
      'an inline Map that tolerates',
      { A: { Type: 'Map', End: true, ToleratedFailureCount: 1, ItemProcessor: { StartAt: 'B', States: { B: pass } } } },
      /ToleratedFailureCount: belongs to a DISTRIBUTED ItemProcessor/,
    ],
    ['a Map that reads and has items', distributed({ ItemReader: reader, Items: [1] }), /Items: cannot stand beside/],
    [
      'a reader of CSV',
      distributed({ ItemReader: { ...reader, ReaderConfig: { InputType: 'CSV' } } }),
      /not supported/,
    ],
    [
      'a reader of nothing known',
      distributed({ ItemReader: { ...reader, Resource: 'arn:x' } }),
      /Resource: must be one/,
    ],
    ['a batcher without a limit', distributed({ ItemBatcher: { BatchInput: 1 } }), /must have MaxItemsPerBatch/],
    ['a share above 100', distributed({ ToleratedFailurePercentage: 101 }), /from 0 to 100/],
    ['a label with a colon', distributed({ Label: 'a:b' }), /Label: must be/],
    [
      'a job whose starter is given',
      task({ Resource: 'arn:aws:states:::ecs:runTask.sync', Arguments: { StartedBy: 'me', TaskDefinition: 't' } }),
      /Arguments.StartedBy: is not supported by Step Functions/,
    ],
    ['a writer of results', distributed({ ResultWriter: {} }), /ResultWriter: is not supported/],
    [
      'the same name twice',
      { A: { Type: 'Parallel', End: true, Branches: [{ StartAt: 'A', States: { A: pass } }] } },
      /same name/,
    ],
    [
      "assigning the outer scope's variable",
      {
        A: {
          Type: 'Parallel',
          End: true,
          Assign: { x: 1 },
          Branches: [{ StartAt: 'B', States: { B: { ...pass, Assign: { x: 2 } } } }],
        },
      },
      /Branches\[0\]\.States: assigns \$x, a variable of the enclosing scope/,
    ],
    [
      'a mistake in a branch',
      { A: { Type: 'Parallel', End: true, Branches: [{ StartAt: 'B', States: { B: { Type: 'Pass', Next: 'A' } } }] } },
      /Branches\[0\]\.States\.B\.Next: there is no state 'A'/,
    ],
  ];
  it.each(cases)('%s', (_name, definition, expected) => {
    expect(problems(definition).join('\n')).toMatch(expected);
  });

  it('reports everything at once', () => {
    expect(problems({ A: { Type: 'Pass', Parameters: {}, Next: 'B' }, C: { Type: 'Nope' } })).toEqual([
      '$.States.A.Parameters: belongs to JSONPath; this machine is in JSONata',
      '$.States.C.Type: Nope is not a known type of state',
      "$.States.A.Next: there is no state 'B' here",
      '$.States.C: is not reachable from StartAt',
      '$.States: no state ends the machine; give one End, Succeed or Fail',
    ]);
  });
});
