import { AwsError } from '../facade.ts';

/** Values by the start of their period, in milliseconds since the epoch, ascending. */
export interface Series {
  readonly label: string;
  /** Milliseconds. */
  readonly period: number;
  readonly points: ReadonlyMap<number, number>;
}

/** What an expression is about: other series by their ids, and the periods that FILL fills, from start to end. */
export interface MathScope {
  readonly series: ReadonlyMap<string, Series>;
  readonly from: number;
  readonly to: number;
}

type Value = number | Series | readonly Series[];

const invalid = (expression: string, what: string): AwsError =>
  new AwsError('ValidationError', `Error in expression ${JSON.stringify(expression)}: ${what}`);

type Pair = (a: number, b: number) => number;

/** By precedence, the loosest first. */
const OPERATORS: readonly Readonly<Record<string, Pair>>[] = [
  { OR: (a, b) => Number(a !== 0 || b !== 0), '||': (a, b) => Number(a !== 0 || b !== 0) },
  { AND: (a, b) => Number(a !== 0 && b !== 0), '&&': (a, b) => Number(a !== 0 && b !== 0) },
  {
    '<': (a, b) => Number(a < b),
    '<=': (a, b) => Number(a <= b),
    '>': (a, b) => Number(a > b),
    '>=': (a, b) => Number(a >= b),
    '==': (a, b) => Number(a === b),
    '!=': (a, b) => Number(a !== b),
  },
  { '+': (a, b) => a + b, '-': (a, b) => a - b },
  { '*': (a, b) => a * b, '/': (a, b) => a / b },
  { '^': (a, b) => a ** b },
];
const TOKEN = /\s*(?:(\d+(?:\.\d+)?|\.\d+)|"([^"]*)"|([A-Za-z]\w*)|([<>=!]=|&&|\|\||[-+*/^<>()[\],]))/y;

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const own = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;
const isList = (value: Value): value is readonly Series[] => Array.isArray(value);
const mean = (values: readonly number[]): number => total(values) / values.length;

/** Over the points of one series a number; over several series a series, of the times that any of them has. */
const AGGREGATES: Readonly<Record<string, (values: readonly number[]) => number>> = {
  SUM: total,
  AVG: mean,
  MIN: (values) => Math.min(...values),
  MAX: (values) => Math.max(...values),
  DATAPOINT_COUNT: (values) => values.length,
};

/** Point by point, with the point before and the seconds between the two. */
const STEPS: Readonly<Record<string, (value: number, before: number, seconds: number) => number>> = {
  DIFF: (value, before) => value - before,
  RATE: (value, before, seconds) => (value - before) / seconds,
};

const ROUNDINGS: Readonly<Record<string, (value: number) => number>> = {
  ABS: Math.abs,
  CEIL: Math.ceil,
  FLOOR: Math.floor,
};

/**
 * CloudWatch's metric math: arithmetic, comparisons, IF, FILL, METRICS and the functions of the tables above. A time
 * at which one of the operands has no value, or the result is not finite, has none in the result.
 *
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 * @throws AwsError ValidationError, also for a result that is a single number: CloudWatch wants a time series
 */
export function evaluateMath(expression: string, scope: MathScope): readonly Series[] {
  const fail = (what: string): never => {
    throw invalid(expression, what);
  };
  const tokens = tokenize(expression, fail);
  let position = 0;
  const take = (word: string): boolean => {
    if (tokens[position]?.word !== word) return false;
    position++;
    return true;
  };
  const expect = (word: string): void => {
    if (!take(word)) fail(`${word} is missing before ${tokens[position]?.word ?? 'the end'}`);
  };

  const binary = (level: number): Value => {
    const operators = OPERATORS[level];
    if (operators === undefined) return unary();
    let left = binary(level + 1);
    for (;;) {
      const operator = own(operators, tokens[position]?.word ?? '');
      if (operator === undefined) return left;
      position++;
      left = combine([left, binary(level + 1)], ([a = 0, b = 0]) => operator(a, b), fail);
    }
  };
  const unary = (): Value => (take('-') ? combine([unary()], ([a = 0]) => -a, fail) : primary());
  const list = (end: string): Value[] => {
    const items: Value[] = [];
    while (!take(end)) {
      if (items.length > 0) expect(',');
      items.push(binary(0));
    }
    return items;
  };
  const primary = (): Value => {
    if (take('(')) {
      const inner = binary(0);
      expect(')');
      return inner;
    }
    if (take('[')) return list(']').flatMap((item) => seriesOf(item, fail));
    const token = tokens[position++];
    if (token?.number !== undefined) return token.number;
    if (token?.name === undefined) return fail(token ? `${token.word} is not expected there` : 'it ends too early');
    if (!take('(')) return scope.series.get(token.name) ?? fail(`there is no ${token.name}`);
    return call(token.name);
  };

  const call = (name: string): Value => {
    if (name === 'METRICS') {
      const part = tokens[position]?.text;
      if (part !== undefined) position++;
      expect(')');
      return [...scope.series].filter(([id]) => part === undefined || id.includes(part)).map(([, series]) => series);
    }
    if (name === 'FILL') return fill();
    const [first = 0, ...others] = list(')');
    const aggregate = own(AGGREGATES, name);
    if (aggregate !== undefined) return isList(first) ? across(first, aggregate) : within(first, aggregate);
    const rounding = own(ROUNDINGS, name);
    if (rounding !== undefined) return combine([first], ([a = 0]) => rounding(a), fail);
    const step = own(STEPS, name);
    if (step !== undefined) return each(first, (series) => stepped(series, step), fail);
    if (name === 'PERIOD') return (seriesOf(first, fail)[0]?.period ?? 0) / 1000;
    if (name === 'IF') {
      const [then = 0, otherwise = Number.NaN] = others;
      return combine([first, then, otherwise], ([a, b = 0, c = 0]) => (a !== 0 ? b : c), fail, true);
    }
    return fail(`the local cloud does not know the function ${name}`);
  };

  const fill = (): Value => {
    const what = binary(0);
    expect(',');
    const repeat = take('REPEAT');
    const value = repeat ? Number.NaN : binary(0);
    expect(')');
    return each(what, (series) => filled(series, scope, repeat ? 'REPEAT' : value), fail);
  };

  const result = binary(0);
  if (position < tokens.length) fail(`${tokens[position]?.word} is not expected there`);
  if (typeof result === 'number') return fail('its result is a single number, not a time series');
  return seriesOf(result, fail);
}

interface Token {
  readonly word: string;
  readonly number?: number;
  readonly text?: string;
  readonly name?: string;
}

function tokenize(expression: string, fail: (what: string) => never): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  const length = expression.trimEnd().length;
  while (pattern.lastIndex < length) {
    const at = pattern.lastIndex;
    const [whole, number, text, name, sign] = pattern.exec(expression) ?? [];
    if (whole === undefined) return fail(`${expression.slice(at).trim()} is not understood`);
    if (number !== undefined) tokens.push({ word: number, number: Number(number) });
    else if (text !== undefined) tokens.push({ word: `"${text}"`, text });
    else if (name !== undefined) tokens.push({ word: name, name });
    else tokens.push({ word: sign ?? '' });
  }
  return tokens;
}

function seriesOf(value: Value, fail: (what: string) => never): readonly Series[] {
  if (typeof value === 'number') return fail('a number is no time series');
  return isList(value) ? value : [value];
}

function each(value: Value, change: (series: Series) => Series, fail: (what: string) => never): Value {
  const changed = seriesOf(value, fail).map(change);
  return isList(value) ? changed : (changed[0] as Series);
}

const finite = (points: Iterable<readonly [number, number]>): ReadonlyMap<number, number> =>
  new Map([...points].filter(([, value]) => Number.isFinite(value)).toSorted(([a], [b]) => a - b));

/**
 * An operation on the values of the same time. A list goes member by member, each with the other operands. A number
 * that is not finite (the missing branch of an IF) counts where `lenient`, as does a series that has no value there.
 */
function combine(
  operands: readonly Value[],
  operation: (values: readonly number[]) => number,
  fail: (what: string) => never,
  lenient = false,
): Value {
  const at = operands.findIndex(isList);
  if (at >= 0)
    return (operands[at] as readonly Series[]).flatMap((member) =>
      seriesOf(combine(operands.with(at, member), operation, fail, lenient), fail),
    );
  const series = operands.filter((operand) => typeof operand !== 'number') as Series[];
  const [lead] = series;
  if (lead === undefined) return operation(operands as readonly number[]);
  const times = new Set(series.flatMap(({ points }) => [...points.keys()]));
  const points = [...times].map((time): [number, number] => {
    const values = operands.map((one) => (typeof one === 'number' ? one : ((one as Series).points.get(time) ?? NaN)));
    const known = lenient ? !Number.isNaN(values[0]) : !values.some(Number.isNaN);
    return [time, known ? operation(values) : Number.NaN];
  });
  return { label: lead.label, period: lead.period, points: finite(points) };
}

function within(value: number | Series, aggregate: (values: readonly number[]) => number): number {
  return typeof value === 'number' ? value : aggregate([...value.points.values()]);
}

function across(all: readonly Series[], aggregate: (values: readonly number[]) => number): Series {
  const times = [...new Set(all.flatMap(({ points }) => [...points.keys()]))];
  const values = (time: number) => all.map(({ points }) => points.get(time)).filter((value) => value !== undefined);
  const points = times.map((time) => [time, aggregate(values(time))] as const);
  return { label: '', period: all[0]?.period ?? 60_000, points: finite(points) };
}

function stepped(series: Series, step: (value: number, before: number, seconds: number) => number): Series {
  const points = [...series.points];
  const changed = points.slice(1).map(([time, value], index) => {
    const [earlier, before] = points[index] as [number, number];
    return [time, step(value, before, (time - earlier) / 1000)] as const;
  });
  return { ...series, points: finite(changed) };
}

function filled(series: Series, { from, to }: MathScope, value: Value | 'REPEAT'): Series {
  const { period } = series;
  const points: [number, number][] = [];
  let last = Number.NaN;
  for (let time = Math.floor(from / period) * period; time < to; time += period) {
    const other = typeof value === 'object' ? ((value as Series).points.get(time) ?? Number.NaN) : value;
    last = series.points.get(time) ?? (other === 'REPEAT' ? last : other);
    points.push([time, last]);
  }
  return { ...series, points: finite(points) };
}
