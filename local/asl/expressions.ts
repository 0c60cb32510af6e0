import jsonata from 'jsonata';
import { addFunctions } from './functions.ts';
import type { Json } from './types.ts';

/** JSONata as Step Functions uses it: `{% … %}` strings anywhere inside a value. */

/** Milliseconds after which an expression is taken to loop for ever. */
const evaluationTimeout = 30_000;

const compiled = new Map<string, jsonata.Expression>();

/** The expression inside `{% … %}`, or undefined where the string is a literal. */
export function expressionIn(text: string): string | undefined {
  return text.length >= 4 && text.startsWith('{%') && text.endsWith('%}') ? text.slice(2, -2).trim() : undefined;
}

/** Compiles once; throws an Error with a sentence when the expression cannot be used. */
export function compile(source: string): jsonata.Expression {
  const known = compiled.get(source);
  if (known) return known;
  let expression: jsonata.Expression;
  try {
    expression = jsonata(source, { timeout: evaluationTimeout });
  } catch (error) {
    const { message, position } = error as jsonata.JsonataError;
    throw new Error(`the JSONata expression '${source}' is not valid: ${message} (at character ${position})`);
  }
  if (usesEval(expression.ast())) throw new Error('$eval is not available in Step Functions; try $parse');
  addFunctions(expression);
  compiled.set(source, expression);
  return expression;
}

function usesEval(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false;
  if ('type' in node && node.type === 'variable' && 'value' in node && node.value === 'eval') return true;
  return Object.values(node).some(usesEval);
}

/** An expression that failed: where it stands (`Output/result`) and why, in AWS's words. */
export class QueryError extends Error {
  readonly location: string;
  constructor(location: string, message: string) {
    super(message);
    this.name = 'QueryError';
    this.location = location;
  }
}

export type Bindings = Readonly<Record<string, unknown>>;

/** Evaluates every expression inside a value. Throws {@link QueryError}. */
export async function evaluate(value: Json, bindings: Bindings, location: string): Promise<Json> {
  if (typeof value === 'string') {
    const source = expressionIn(value);
    return source === undefined ? value : evaluateExpression(source, bindings, location);
  }
  if (Array.isArray(value)) {
    const items: Json[] = [];
    for (const [index, item] of value.entries()) items.push(await evaluate(item, bindings, `${location}[${index}]`));
    return items;
  }
  if (typeof value === 'object' && value !== null) {
    const members: [string, Json][] = [];
    for (const [key, member] of Object.entries(value)) {
      members.push([key, await evaluate(member, bindings, `${location}/${key}`)]);
    }
    // Not by assignment: a member may be called __proto__.
    return Object.fromEntries(members);
  }
  return value;
}

async function evaluateExpression(source: string, bindings: Bindings, location: string): Promise<Json> {
  const subject = `The JSONata expression '${source}' specified for the field '${location}'`;
  let result: unknown;
  try {
    result = await compile(source).evaluate(undefined, { ...bindings });
  } catch (error) {
    const { code, message } = error as Partial<jsonata.JsonataError>;
    const reason = code ? `${code}: ${message}` : message;
    throw new QueryError(location, `${subject} threw an error during evaluation. ${reason}`);
  }
  if (result === undefined) throw new QueryError(location, `${subject} returned nothing (undefined).`);
  return toJson(result, () => {
    throw new QueryError(location, `${subject} returned an unsupported result type.`);
  });
}

/** JSONata's name of a value's type. */
export const typeName = (value: Json): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;

/** A plain copy: JSONata's arrays carry hidden properties that would change later evaluations. */
function toJson(result: unknown, refuse: () => never): Json {
  const text = JSON.stringify(result, (_key, value) => {
    const isFunction = typeof value === 'function' || value?._jsonata_lambda || value?._jsonata_function;
    return isFunction ? refuse() : value;
  });
  return JSON.parse(text);
}
