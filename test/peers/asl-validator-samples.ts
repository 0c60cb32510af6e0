import type { Json } from '../../local/asl/types.ts';

/** Values for every field that a state may have: as many kinds of each as the language allows. */
const expression = '{% $states.input.x %}';
const anything: Json[] = [expression, 'text', 7, true, null, [1, expression], { a: { b: expression } }, []];
const inner = { StartAt: 'Inner', States: { Inner: { Type: 'Pass', End: true } } };
const sdk = 'arn:aws:states:::aws-sdk:';

const resources = ['lambda:invoke', 'sns:publish', 'dynamodb:putItem', 'states:startExecution', 'ecs:runTask']
  .concat(['ecs:runTask.sync', 'states:startExecution.sync', 'states:startExecution.sync:2'])
  .map((name) => `arn:aws:states:::${name}`)
  .concat([`${sdk}s3:getObject`, `${sdk}ecs:listTasks`, 'arn:aws-cn:states:::sns:publish']);

export const samples: Readonly<Record<string, readonly Json[]>> = {
  Comment: ['why'],
  QueryLanguage: ['JSONata'],
  Next: ['Last'],
  End: [true],
  Default: ['Last'],
  Assign: [{ x: 1 }, { x: expression, länge: [expression], _y: { z: null } }],
  Output: anything,
  Arguments: anything,
  Resource: resources,
  TimeoutSeconds: [1, 99_999_999, expression],
  HeartbeatSeconds: [1, 60, expression],
  Retry: [
    [{ ErrorEquals: ['A'] }],
    [
      {
        Comment: 'why',
        ErrorEquals: ['A', 'States.TaskFailed'],
        IntervalSeconds: 2,
        MaxAttempts: 0,
        BackoffRate: 1,
        MaxDelaySeconds: 31_622_400,
        JitterStrategy: 'FULL',
      },
      { ErrorEquals: ['States.Timeout'], BackoffRate: 1.5, JitterStrategy: 'NONE', MaxAttempts: 99_999_999 },
      { ErrorEquals: ['States.ALL'] },
    ],
  ],
  Catch: [
    [{ ErrorEquals: ['A'], Next: 'Failed' }],
    [
      { Comment: 'why', ErrorEquals: ['States.HeartbeatTimeout', 'B'], Next: 'Last', Assign: { e: expression } },
      { ErrorEquals: ['States.ALL'], Next: 'Failed', Output: '{% $states.errorOutput %}' },
    ],
  ],
  Branches: [[inner], [inner, { Comment: 'why', StartAt: 'B', States: { B: { Type: 'Succeed' } } }]],
  Items: [expression, [1, 'two', expression], []],
  ItemReader: [
    { Resource: 'arn:aws:states:::s3:getObject', Arguments: { Bucket: 'b', Key: expression } },
    {
      Resource: 'arn:aws:states:::s3:getObject',
      Arguments: { Bucket: 'b', Key: 'k' },
      ReaderConfig: { InputType: 'JSON', MaxItems: 5 },
    },
  ],
  ItemSelector: anything,
  ItemBatcher: [{ MaxItemsPerBatch: 10 }, { MaxInputBytesPerBatch: 1000, BatchInput: { a: expression } }],
  ItemProcessor: [
    inner,
    { Comment: 'why', ProcessorConfig: { Mode: 'INLINE' }, ...inner },
    { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' }, ...inner },
  ],
  MaxConcurrency: [0, 40, expression],
  ToleratedFailureCount: [0, 3, expression],
  ToleratedFailurePercentage: [0, 99.5, expression],
  Label: ['Parts'],
  Choices: [
    [{ Condition: expression, Next: 'Last' }],
    [
      { Comment: 'why', Condition: true, Next: 'Last', Assign: { x: 1 }, Output: expression },
      { Condition: '{% $exists($states.input) %}', Next: 'Failed' },
    ],
  ],
  Seconds: [0, 99_999_999, expression],
  Timestamp: ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.123+02:00', expression],
  Error: ['NotFound', expression],
  Cause: ['It is not there.', expression],
};
