import { type Case, machine, pass, type States } from './case.ts';

const choice = (Choices: readonly States[], more: States = {}): States =>
  machine({
    Pick: { Type: 'Choice', Choices, ...more },
    Small: { Type: 'Succeed', Output: 'small' },
    Large: { Type: 'Succeed', Output: 'large' },
  });
const large = { Condition: '{% $states.input.n > 10 %}', Next: 'Large' };
const small = { Condition: '{% $states.input.n <= 10 %}', Next: 'Small' };

/** Pass, Choice, Wait, Succeed and Fail. */
export const flow: readonly Case[] = [
  {
    name: 'Pass gives its input on',
    definition: machine({ A: pass() }),
    input: { n: 1, list: [1, 'two', null, true] },
  },
  { name: 'Pass gives its Output', definition: machine({ A: pass({ Output: { fixed: [1, 2] } }) }) },
  {
    name: 'Pass, then Pass',
    definition: machine({ A: pass({ Output: 1, End: undefined, Next: 'B' }), B: pass() }),
  },
  { name: 'Pass with a null as Output', definition: machine({ A: pass({ Output: null }) }) },
  { name: 'Succeed gives its input on', definition: machine({ A: { Type: 'Succeed' } }), input: [1] },
  {
    name: 'Succeed with an Output',
    definition: machine({ A: { Type: 'Succeed', Output: '{% $states.input.n * 2 %}' } }),
    input: { n: 4 },
  },
  {
    name: 'Fail with Error and Cause',
    definition: machine({ A: { Type: 'Fail', Error: 'Custom', Cause: 'because' } }),
  },
  { name: 'Fail without a Cause', definition: machine({ A: { Type: 'Fail', Error: 'Custom' } }) },
  { name: 'Fail with neither', definition: machine({ A: { Type: 'Fail' } }) },
  {
    name: 'Fail with expressions',
    definition: machine({
      A: { Type: 'Fail', Error: "{% 'E' & $states.input.code %}", Cause: '{% $string($states.input) %}' },
    }),
    input: { code: '42' },
  },
  { name: 'Choice takes the first rule', definition: choice([large, small]), input: { n: 11 } },
  { name: 'Choice takes a later rule', definition: choice([large, small]), input: { n: 3 } },
  { name: 'Choice takes the Default', definition: choice([large], { Default: 'Small' }), input: { n: 3 } },
  {
    name: 'Choice without a match fails',
    definition: machine({
      Pick: { Type: 'Choice', Choices: [large] },
      Large: { Type: 'Succeed' },
    }),
    input: { n: 3 },
  },
  {
    name: 'Choice gives the rule its own Output and Assign',
    definition: machine({
      Pick: {
        Type: 'Choice',
        Choices: [{ ...large, Output: { was: '{% $states.input.n %}' }, Assign: { seen: '{% $states.input.n %}' } }],
        Default: 'Other',
      },
      Large: { Type: 'Succeed', Output: '{% [$states.input, $seen] %}' },
      Other: { Type: 'Succeed' },
    }),
    input: { n: 12 },
  },
  {
    name: 'Choice gives the Default the Output of the state',
    definition: machine({
      Pick: { Type: 'Choice', Choices: [large], Default: 'Other', Output: 'by default', Assign: { how: 'default' } },
      Large: { Type: 'Succeed' },
      Other: { Type: 'Succeed', Output: '{% [$states.input, $how] %}' },
    }),
    input: { n: 1 },
  },
  { name: 'Choice over a constant', definition: choice([{ Condition: true, Next: 'Large' }, small]), input: { n: 1 } },
  {
    name: 'Choice over what is no boolean fails',
    definition: choice([{ ...large, Condition: '{% 1 %}' }, small]),
    input: { n: 1 },
  },
  {
    name: 'a loop that counts',
    definition: machine({
      Set: { Type: 'Pass', Assign: { n: 0 }, Next: 'Count' },
      Count: { Type: 'Pass', Assign: { n: '{% $n + 1 %}' }, Next: 'Enough' },
      Enough: { Type: 'Choice', Choices: [{ Condition: '{% $n >= 3 %}', Next: 'Done' }], Default: 'Count' },
      Done: { Type: 'Succeed', Output: '{% $n %}' },
    }),
  },
  {
    name: 'Wait for seconds',
    definition: machine({ A: { Type: 'Wait', Seconds: 1, End: true } }),
    input: { kept: true },
  },
  {
    name: 'Wait for seconds by an expression',
    definition: machine({ A: { Type: 'Wait', Seconds: '{% $states.input.n %}', Output: 'waited', End: true } }),
    input: { n: 1 },
  },
  {
    name: 'Wait for a time that is over',
    definition: machine({ A: { Type: 'Wait', Timestamp: '2020-01-01T00:00:00Z', End: true } }),
  },
  {
    name: 'Wait for what is no time fails',
    definition: machine({ A: { Type: 'Wait', Timestamp: "{% 'tomorrow' %}", End: true } }),
  },
  {
    name: 'Wait for a negative time fails',
    definition: machine({ A: { Type: 'Wait', Seconds: '{% -1 %}', End: true } }),
  },
  {
    name: 'a machine that takes longer than it may',
    definition: machine({ A: { Type: 'Wait', Seconds: 30, End: true } }, { TimeoutSeconds: 1 }),
  },
];
