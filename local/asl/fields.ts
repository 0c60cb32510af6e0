import { compile, expressionIn } from './expressions.ts';
import { parseResource } from './resources.ts';
import type { Json, State } from './types.ts';

/** Which fields each state may have, and what may stand in them. */

/** Reports a problem at a JSON path of the definition. */
export type Report = (path: string, message: string) => void;
export type Check = (value: Json, path: string, report: Report) => void;

export const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `$.States['Do it']`: the path of a member. */
export const member = (path: string, key: string): string =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `${path}.${key}` : `${path}['${key.replaceAll("'", "\\'")}']`;

const string: Check = (value, path, report) => {
  if (typeof value !== 'string') report(path, 'must be a string');
};

/** Any value; the expressions inside its strings must compile. */
export const template: Check = (value, path, report) => {
  if (typeof value === 'string') checkExpression(value, path, report);
  else if (Array.isArray(value)) value.forEach((item, index) => void template(item, `${path}[${index}]`, report));
  else if (isObject(value)) for (const [key, item] of Object.entries(value)) template(item, member(path, key), report);
};

function checkExpression(text: string, path: string, report: Report): void {
  const source = expressionIn(text);
  if (source === undefined) {
    const trimmed = text.trim();
    if (trimmed.startsWith('{%') || trimmed.endsWith('%}')) {
      report(path, 'looks like an expression, but does not start with {% and end with %} exactly');
    }
    return;
  }
  try {
    compile(source);
  } catch (error) {
    report(path, (error as Error).message);
  }
}

export const integer =
  (least: number, most: number): Check =>
  (value, path, report) => {
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      report(path, `must be an integer from ${least} to ${most}`);
    }
  };

export const expressionOr =
  (check: Check): Check =>
  (value, path, report) =>
    typeof value === 'string' && expressionIn(value) !== undefined
      ? template(value, path, report)
      : check(value, path, report);

/** AWS's longest TimeoutSeconds, HeartbeatSeconds and Wait. */
const longest = 99_999_999;
export const seconds = integer(1, longest);
/** AWS's limit of MaxDelaySeconds and IntervalSeconds: a year. */
const year = 31_622_400;

const timestamp: Check = (value, path, report) => {
  if (!isTimestamp(value)) report(path, 'must be a timestamp with offset, such as 2026-01-31T12:00:00Z');
};

export const isTimestamp = (value: Json): value is string =>
  typeof value === 'string' &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) &&
  !Number.isNaN(Date.parse(value));

const variableName = /^[\p{ID_Start}_][\p{ID_Continue}]{0,79}$/u;

const assign: Check = (value, path, report) => {
  if (!isObject(value)) {
    report(path, 'must be an object of variable names and values');
    return;
  }
  for (const [name, item] of Object.entries(value)) {
    if (!variableName.test(name)) report(member(path, name), 'is not a name for a variable');
    if (name === 'states') report(member(path, name), '$states is reserved');
    template(item, member(path, name), report);
  }
};

const resource: Check = (value, path, report) => {
  if (typeof value !== 'string') {
    report(path, 'must be a string');
    return;
  }
  try {
    parseResource(value);
  } catch (error) {
    report(path, (error as Error).message);
  }
};

const items: Check = (value, path, report) => {
  if (!Array.isArray(value)) report(path, 'must be an array or a JSONata expression');
  template(value, path, report);
};

/** What an API, the branches or each iteration is given. */
export const payload: Check = (value, path, report) => {
  const isExpression = typeof value === 'string' && expressionIn(value) !== undefined;
  if (!isExpression && !isObject(value)) report(path, 'must be an object or a JSONata expression');
  template(value, path, report);
};

const end: Check = (value, path, report) => {
  if (value !== true) report(path, 'must be true (or left out)');
};

const number =
  (least: number): Check =>
  (value, path, report) => {
    if (typeof value !== 'number' || value < least) report(path, `must be a number of at least ${least}`);
  };

const oneOf =
  (...choices: string[]): Check =>
  (value, path, report) => {
    if (typeof value !== 'string' || !choices.includes(value)) report(path, `must be one of ${choices.join(', ')}`);
  };

const condition: Check = (value, path, report) => {
  if (typeof value === 'boolean') return;
  if (typeof value !== 'string' || expressionIn(value) === undefined) {
    report(path, 'must be a JSONata expression or a boolean');
    return;
  }
  template(value, path, report);
};

/** A list of objects, each with these fields, and these of them required. */
const list =
  (fields: Record<string, Check>, required: readonly string[]): Check =>
  (value, path, report) => {
    if (!Array.isArray(value)) {
      report(path, 'must be an array');
      return;
    }
    value.forEach((item, index) => void checkFields(item, fields, required, `${path}[${index}]`, report));
  };

const errorNames: Check = (value, path, report) => {
  if (!Array.isArray(value) || value.length === 0 || !value.every((name) => typeof name === 'string')) {
    report(path, 'must be a non-empty array of error names');
    return;
  }
  if (value.includes('States.ALL') && value.length > 1) report(path, 'States.ALL must stand alone');
};

const retry = list(
  {
    Comment: string,
    ErrorEquals: errorNames,
    IntervalSeconds: integer(1, year),
    MaxAttempts: integer(0, longest),
    BackoffRate: number(1),
    MaxDelaySeconds: integer(1, year),
    JitterStrategy: oneOf('FULL', 'NONE'),
  },
  ['ErrorEquals'],
);

const catchers = list({ Comment: string, ErrorEquals: errorNames, Next: string, Assign: assign, Output: template }, [
  'ErrorEquals',
  'Next',
]);

/** Blocks (Branches, ItemProcessor) are checked by load.ts, which knows how to check states. */
const block: Check = () => {};

const common = { Type: string, Comment: string, QueryLanguage: oneOf('JSONata') };
const leaving = { Next: string, End: end, Assign: assign, Output: template };
const recovering = { Retry: retry, Catch: catchers };

interface StateFields {
  readonly fields: Readonly<Record<string, Check>>;
  readonly required: readonly string[];
}

export const stateFields: Readonly<Record<State['Type'], StateFields>> = {
  Task: {
    fields: {
      ...common,
      ...leaving,
      ...recovering,
      Resource: resource,
      Arguments: payload,
      TimeoutSeconds: expressionOr(seconds),
      HeartbeatSeconds: expressionOr(seconds),
    },
    required: ['Resource'],
  },
  Parallel: {
    fields: { ...common, ...leaving, ...recovering, Arguments: payload, Branches: block },
    required: ['Branches'],
  },
  Map: {
    fields: {
      ...common,
      ...leaving,
      ...recovering,
      Items: expressionOr(items),
      ItemSelector: payload,
      ItemProcessor: block,
      MaxConcurrency: expressionOr(integer(0, longest)),
    },
    required: ['ItemProcessor'],
  },
  Choice: {
    fields: {
      ...common,
      Assign: assign,
      Output: template,
      Default: string,
      Choices: list({ Comment: string, Condition: condition, Next: string, Assign: assign, Output: template }, [
        'Condition',
        'Next',
      ]),
    },
    required: ['Choices'],
  },
  Wait: {
    fields: {
      ...common,
      ...leaving,
      Seconds: expressionOr(integer(0, longest)),
      Timestamp: expressionOr(timestamp),
    },
    required: [],
  },
  Pass: { fields: { ...common, ...leaving }, required: [] },
  Succeed: { fields: { ...common, Output: template }, required: [] },
  Fail: {
    fields: { ...common, Error: expressionOr(string), Cause: expressionOr(string) },
    required: [],
  },
};

const jsonPathFields = new Set(
  ['Parameters', 'InputPath', 'OutputPath', 'ResultPath', 'ResultSelector', 'Result', 'ItemsPath', 'Iterator']
    .concat(['SecondsPath', 'TimestampPath', 'TimeoutSecondsPath', 'HeartbeatSecondsPath', 'MaxConcurrencyPath'])
    .concat(['ErrorPath', 'CausePath', 'Variable', 'And', 'Or', 'Not']),
);

const unsupported: Readonly<Record<string, string>> = {
  Credentials: 'cross-account credentials are not supported',
  ResultWriter: 'is not supported; let the last state of ItemProcessor write the results',
};

export function checkFields(
  value: Json,
  fields: Readonly<Record<string, Check>>,
  required: readonly string[],
  path: string,
  report: Report,
): void {
  if (!isObject(value)) {
    report(path, 'must be an object');
    return;
  }
  for (const name of required) if (!(name in value)) report(path, `${name} is missing`);
  for (const [name, item] of Object.entries(value)) {
    const check = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (check) check(item, member(path, name), report);
    else if (jsonPathFields.has(name)) report(member(path, name), 'belongs to JSONPath; this machine is in JSONata');
    else report(member(path, name), unsupported[name] ?? 'is not a known field here');
  }
}
