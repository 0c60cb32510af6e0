import { answered, block, type Case, inline, machine, pass, type States, task, thrown } from './case.ts';

const each = (states: States) => block(states, inline);
const map = (more: States): States => machine({ Map: { Type: 'Map', MaxConcurrency: 1, End: true, ...more } });
const double = each({ Double: pass({ Output: '{% $states.input * 2 %}' }) });
const parallel = (more: States, after: States = {}): States =>
  machine({ Both: { Type: 'Parallel', End: true, ...more }, ...after });
const caught = { Caught: pass() };

/** Parallel and Map. */
export const blocks: readonly Case[] = [
  {
    name: 'Parallel gives its results in order',
    definition: parallel({
      Branches: [block({ A: pass({ Output: 'a' }) }), block({ B: pass({ Output: '{% $states.input.n %}' }) })],
    }),
    input: { n: 1 },
  },
  {
    name: 'Parallel with Arguments, Output and Assign',
    definition: parallel(
      {
        Arguments: { n: '{% $states.input.n + 1 %}' },
        Branches: [block({ A: pass() }), block({ B: pass({ Output: 2 }) })],
        Output: '{% $states.result[0].n %}',
        Assign: { all: '{% $states.result %}' },
        End: undefined,
        Next: 'Show',
      },
      { Show: pass({ Output: '{% [$states.input, $all] %}' }) },
    ),
    input: { n: 1 },
  },
  {
    name: 'Parallel whose branches see outer variables',
    definition: machine({
      Set: { Type: 'Pass', Assign: { n: 3 }, Next: 'Both' },
      Both: {
        Type: 'Parallel',
        Branches: [
          block({ A: { Type: 'Pass', Assign: { own: '{% $n + 1 %}' }, Next: 'C' }, C: pass({ Output: '{% $own %}' }) }),
        ],
        End: true,
      },
    }),
  },
  {
    name: 'Parallel that fails',
    definition: parallel({ Branches: [block({ A: task() })] }),
    tasks: { A: [thrown('Custom')] },
  },
  {
    name: 'Parallel that is caught',
    definition: parallel(
      { Branches: [block({ A: task() })], Catch: [{ ErrorEquals: ['Custom'], Next: 'Caught' }] },
      caught,
    ),
    tasks: { A: [thrown('Custom')] },
  },
  {
    name: 'Parallel that a Fail state ends',
    definition: parallel(
      {
        Branches: [block({ A: { Type: 'Fail', Error: 'Inner', Cause: 'deep' } })],
        Catch: [{ ErrorEquals: ['Inner'], Next: 'Caught' }],
      },
      caught,
    ),
  },
  {
    name: 'Parallel in Parallel',
    definition: parallel({
      Branches: [
        block({ Inner: { Type: 'Parallel', Branches: [block({ A: pass({ Output: 1 }) })], End: true } }),
        block({ B: pass({ Output: 2 }) }),
      ],
    }),
  },
  { name: 'Map over its input', definition: map({ ItemProcessor: double }), input: [1, 2, 3] },
  {
    name: 'Map over Items',
    definition: map({ Items: '{% $states.input.list %}', ItemProcessor: double }),
    input: { list: [4, 5] },
  },
  { name: 'Map over fixed Items', definition: map({ Items: [1, '{% 1 + 1 %}'], ItemProcessor: double }) },
  { name: 'Map over nothing', definition: map({ ItemProcessor: double }), input: [] },
  { name: 'Map over what is no array fails', definition: map({ ItemProcessor: double }), input: { n: 1 } },
  {
    name: 'Map over Items that are no array fails',
    definition: map({ Items: '{% $states.input %}', ItemProcessor: double }),
    input: { n: 1 },
  },
  {
    name: 'Map selects what each iteration gets',
    definition: map({
      ItemSelector: {
        at: '{% $states.context.Map.Item.Index %}',
        value: '{% $states.context.Map.Item.Value %}',
        all: '{% $count($states.input) %}',
      },
      ItemProcessor: each({ Show: pass() }),
    }),
    input: ['a', 'b'],
  },
  {
    name: 'Map shapes its result',
    definition: map({ ItemProcessor: double, Output: '{% $sum($states.result) %}' }),
    input: [1, 2, 3],
  },
  {
    name: 'Map of several states',
    definition: map({
      ItemProcessor: each({
        A: { Type: 'Pass', Assign: { n: '{% $states.input %}' }, Output: 'x', Next: 'B' },
        B: pass({ Output: '{% $n %}' }),
      }),
    }),
    input: [1, 2],
  },
  {
    name: 'Map with tasks',
    definition: map({ ItemProcessor: each({ Call: task({ Output: '{% $states.result.Payload %}' }) }) }),
    input: [1, 2],
    tasks: { Call: [answered('same')] },
  },
  {
    name: 'Map that fails',
    definition: map({ ItemProcessor: each({ Call: task() }) }),
    input: [1],
    tasks: { Call: [thrown('Custom')] },
  },
  {
    name: 'Map that is caught',
    definition: machine({
      Map: {
        Type: 'Map',
        MaxConcurrency: 1,
        ItemProcessor: each({ Call: task() }),
        Catch: [{ ErrorEquals: ['Custom'], Next: 'Caught' }],
        End: true,
      },
      ...caught,
    }),
    input: [1],
    tasks: { Call: [thrown('Custom')] },
  },
  {
    name: 'Map whose iterations catch for themselves',
    definition: map({
      ItemProcessor: each({
        Call: task({ Catch: [{ ErrorEquals: ['Custom'], Next: 'Own', Output: '{% $states.errorOutput.Error %}' }] }),
        Own: pass(),
      }),
    }),
    input: [1, 2],
    tasks: { Call: [thrown('Custom')] },
  },
  {
    name: 'Map in Map',
    definition: map({
      ItemProcessor: each({ Inner: { Type: 'Map', MaxConcurrency: 1, ItemProcessor: double, End: true } }),
    }),
    input: [[1, 2], [3]],
  },
  {
    name: 'Map by executions of their own',
    definition: map({
      ItemProcessor: block(
        { Double: pass({ Output: '{% $states.input * 2 %}' }) },
        { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } },
      ),
    }),
    input: [1, 2, 3],
  },
];
