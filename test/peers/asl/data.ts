import { type Case, machine, output, pass } from './case.ts';

/** Expressions, variables, the context and the functions that Step Functions adds. */
export const data: readonly Case[] = [
  {
    name: 'expressions anywhere in a value',
    definition: output({ a: ['{% 1 + 1 %}', { b: "{% 'x' & 'y' %}" }], c: 'literal' }),
  },
  {
    name: 'a path over an array',
    definition: output('{% $states.input.items.n %}'),
    input: { items: [{ n: 1 }, { n: 2 }] },
  },
  {
    name: 'a path over an array of one',
    definition: output('{% $states.input.items.n %}'),
    input: { items: [{ n: 1 }] },
  },
  { name: 'an array kept as one', definition: output('{% [$states.input.items.n] %}'), input: { items: [{ n: 1 }] } },
  {
    name: 'a predicate',
    definition: output('{% $states.input[ok].name %}'),
    input: [
      { ok: true, name: 'a' },
      { ok: false, name: 'b' },
    ],
  },
  {
    name: 'an aggregation',
    definition: output('{% $sum($states.input.(price * count)) %}'),
    input: [
      { price: 2, count: 3 },
      { price: 5, count: 1 },
    ],
  },
  {
    name: 'a function of its own',
    definition: output('{% ($double := function($x) { $x * 2 }; $map([1, 2], $double)) %}'),
  },
  { name: 'objects merged', definition: output('{% $merge([{"a": 1}, $states.input]) %}'), input: { b: 2 } },
  {
    name: 'text with quotes and line breaks',
    definition: output('{% $states.input.text & "!" %}'),
    input: { text: 'say "hi"\nthen \\ go' },
  },
  { name: 'text that is no expression', definition: output('$states.input and {% open') },
  { name: 'a conditional', definition: output("{% $states.input.n > 1 ? 'many' : 'one' %}"), input: { n: 2 } },
  { name: 'nothing fails', definition: output('{% $states.input.missing %}'), input: {} },
  { name: 'nothing inside an object fails', definition: output({ a: '{% $nope %}' }) },
  { name: 'an error in an expression fails', definition: output("{% 1 + 'x' %}") },
  { name: '$error fails', definition: output("{% $error('wrong') %}") },
  { name: 'a function as a result fails', definition: output('{% function($x) { $x } %}') },
  {
    name: 'Assign and Output both see the old values',
    definition: machine({
      A: { Type: 'Pass', Assign: { x: 1 }, Next: 'B' },
      B: { Type: 'Pass', Assign: { x: '{% $x + 1 %}', y: '{% $x %}' }, Output: '{% $x %}', Next: 'C' },
      C: pass({ Output: '{% [$states.input, $x, $y] %}' }),
    }),
  },
  {
    name: 'variables of every type',
    definition: machine({
      A: {
        Type: 'Pass',
        Assign: { n: null, list: [1, { a: 2 }], text: 'a b', yes: true, object: { k: [] } },
        Next: 'B',
      },
      B: pass({
        Output: { n: '{% $n %}', list: '{% $list %}', text: '{% $text %}', yes: '{% $yes %}', object: '{% $object %}' },
      }),
    }),
  },
  {
    name: 'a variable that was never assigned fails',
    definition: machine({ A: pass({ Output: '{% $later %}' }) }),
  },
  {
    name: 'the context knows state, machine and input',
    definition: output({
      state: '{% $states.context.State.Name %}',
      retries: '{% $states.context.State.RetryCount %}',
      input: '{% $states.context.Execution.Input %}',
      role: '{% $states.context.Execution.RoleArn %}',
      day: "{% $match($states.context.State.EnteredTime, /^[0-9-]+T[0-9:.]+Z$/)[0].match != '' %}",
    }),
    input: { a: 1 },
  },
  { name: '$partition', definition: output('{% $partition([1, 2, 3, 4, 5], 2) %}') },
  { name: '$partition larger than the array', definition: output('{% $partition([1, 2], 5) %}') },
  { name: '$range up', definition: output('{% $range(1, 10, 3) %}') },
  { name: '$range down', definition: output('{% $range(5, 1, -2) %}') },
  { name: '$hash', definition: output("{% $hash('text', 'SHA-256') %}") },
  { name: '$parse of an object', definition: output('{% $parse(\'{"a": [1, null]}\').a %}') },
  {
    name: '$parse of what a service answered',
    definition: output('{% $parse($states.input.value).n + 1 %}'),
    input: { value: '{"n": 41}' },
  },
  { name: '$uuid', definition: output('{% $length($uuid()) %}') },
  { name: '$random', definition: output('{% ($r := $random(); $r >= 0 and $r < 1) %}') },
  { name: 'unicode', definition: output("{% $uppercase($states.input) & ' – ✓' %}"), input: 'größe' },
  {
    name: 'numbers',
    definition: output([
      '{% 7 / 2 %}',
      '{% 10 % 3 %}',
      '{% $round(2.5) %}',
      '{% $power(2, 40) %}',
      '{% $number("1e3") %}',
    ]),
  },
];
