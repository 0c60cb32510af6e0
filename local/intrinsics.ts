import { cidrBlocks } from './cidr.ts';

/**
 * CloudFormation's intrinsic functions. A value with intrinsics is data of JSON; `resolve` gives what it stands for
 * within a scope. What is not known is an Error, never passed through.
 */

/** What `Ref: AWS::NoValue` stands for: the member or item that holds it vanishes. */
export const NO_VALUE = Symbol('AWS::NoValue');

export interface Scope {
  readonly region: string;
  /** A parameter, a resource's physical id or a pseudo parameter. @throws Error when there is none of that name */
  ref(name: string): unknown;
  getAtt(logicalId: string, attribute: string): unknown;
  mapping(map: string, topKey: string, secondKey: string): unknown;
  condition(name: string): boolean;
  importValue(name: string): unknown;
  stackOutput(region: string, stack: string, output: string): unknown;
}

type Resolver = (argument: unknown, scope: Scope) => unknown;

const FUNCTIONS: Readonly<Record<string, Resolver>> = {
  Ref: (name, scope) => scope.ref(text(name, 'Ref')),
  'Fn::GetAtt': (argument, scope) => {
    const [logicalId, attribute] = getAttArguments(argument);
    return scope.getAtt(logicalId, text(resolve(attribute, scope), 'Fn::GetAtt'));
  },
  'Fn::Sub': sub,
  'Fn::Join': (argument, scope) => {
    const [delimiter, items] = list(argument, 'Fn::Join', 2);
    const parts = resolve(items, scope);
    if (!Array.isArray(parts)) throw new Error('Fn::Join: the second argument is not a list.');
    return parts.map((part) => text(part, 'Fn::Join')).join(text(delimiter, 'Fn::Join'));
  },
  'Fn::Split': (argument, scope) => {
    const [delimiter, source] = list(argument, 'Fn::Split', 2);
    return text(resolve(source, scope), 'Fn::Split').split(text(delimiter, 'Fn::Split'));
  },
  'Fn::Select': (argument, scope) => {
    const [index, items] = list(argument, 'Fn::Select', 2);
    const choices = resolve(items, scope);
    const chosen = Number(resolve(index, scope));
    if (!Array.isArray(choices)) throw new Error('Fn::Select: the second argument is not a list.');
    if (!Number.isInteger(chosen) || chosen < 0 || chosen >= choices.length)
      throw new Error(`Fn::Select: no item ${chosen} in a list of ${choices.length}.`);
    return choices[chosen];
  },
  'Fn::GetAZs': (argument, scope) => {
    const region = text(resolve(argument, scope), 'Fn::GetAZs') || scope.region;
    return ['a', 'b', 'c'].map((zone) => region + zone);
  },
  'Fn::ImportValue': (argument, scope) => scope.importValue(text(resolve(argument, scope), 'Fn::ImportValue')),
  'Fn::GetStackOutput': (argument, scope) => {
    const { StackName, OutputName, Region, ...rest } = resolve(argument, scope) as Record<string, unknown>;
    const [other] = Object.keys(rest);
    if (other !== undefined) throw new Error(`Fn::GetStackOutput: ${other} is not supported.`);
    const [region, stack, output] = [Region ?? scope.region, StackName, OutputName].map((item) =>
      text(item, 'Fn::GetStackOutput'),
    );
    return scope.stackOutput(region ?? '', stack ?? '', output ?? '');
  },
  'Fn::FindInMap': (argument, scope) => {
    const [map, top, second] = list(argument, 'Fn::FindInMap', 3).map((item) =>
      text(resolve(item, scope), 'Fn::FindInMap'),
    );
    return scope.mapping(map ?? '', top ?? '', second ?? '');
  },
  'Fn::Base64': (argument, scope) => Buffer.from(text(resolve(argument, scope), 'Fn::Base64')).toString('base64'),
  'Fn::Cidr': (argument, scope) => {
    if (!Array.isArray(argument)) throw new Error('Fn::Cidr: takes a list of arguments.');
    const [block, count, bits = 8] = argument.map((item) => resolve(item, scope));
    return cidrBlocks(text(block, 'Fn::Cidr'), Number(count), Number(bits));
  },
  'Fn::If': (argument, scope) => {
    const [condition, whenTrue, whenFalse] = list(argument, 'Fn::If', 3);
    return resolve(scope.condition(text(condition, 'Fn::If')) ? whenTrue : whenFalse, scope);
  },
  'Fn::Equals': (argument, scope) => {
    const [left, right] = list(argument, 'Fn::Equals', 2).map((item) => resolve(item, scope));
    return JSON.stringify(left) === JSON.stringify(right);
  },
  'Fn::And': (argument, scope) => conditions(argument, scope, 'Fn::And').every(Boolean),
  'Fn::Or': (argument, scope) => conditions(argument, scope, 'Fn::Or').some(Boolean),
  'Fn::Not': (argument, scope) => !conditions(argument, scope, 'Fn::Not')[0],
};

/** The intrinsic's name when the object is one. @throws Error for an unknown function, or one with other members */
export function intrinsicName(value: object): string | undefined {
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === 'Ref') return 'Ref';
  const name = keys.find((key) => key.startsWith('Fn::'));
  if (name === undefined) return undefined;
  if (!Object.hasOwn(FUNCTIONS, name)) throw new Error(`unknown intrinsic function ${name}`);
  if (keys.length > 1) throw new Error(`${name} has other members beside it: ${keys.join(', ')}`);
  return name;
}

/** What a value stands for; {@link NO_VALUE} when it vanishes altogether. */
export function resolve(value: unknown, scope: Scope): unknown {
  if (typeof value === 'string') return refuseDynamicReference(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => resolve(item, scope)).filter((item) => item !== NO_VALUE);
  const name = intrinsicName(value);
  if (name !== undefined) return FUNCTIONS[name]?.((value as Record<string, unknown>)[name], scope);
  const members = Object.entries(value).map(([key, member]) => [key, resolve(member, scope)] as const);
  return Object.fromEntries(members.filter(([, member]) => member !== NO_VALUE));
}

/** A condition: one of Fn::Equals, And, Or, Not, or `{Condition: name}`. */
export function resolveCondition(value: unknown, scope: Scope): boolean {
  if (typeof value === 'object' && value !== null && 'Condition' in value)
    return scope.condition(text(value.Condition, 'Condition'));
  const result = resolve(value, scope);
  if (typeof result !== 'boolean') throw new Error(`Not a condition: ${JSON.stringify(value)}.`);
  return result;
}

/** The names that a value refers to, by Ref, GetAtt and Sub. Calls back with each problem instead of throwing. */
export function references(value: unknown, onProblem: (problem: string) => void): Set<string> {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if (!Array.isArray(node)) {
      try {
        const name = intrinsicName(node);
        const argument = name && (node as Record<string, unknown>)[name];
        if (name === 'Ref') found.add(text(argument, 'Ref'));
        if (name === 'Fn::GetAtt') found.add(getAttArguments(argument)[0]);
        if (name === 'Fn::Sub') {
          const [template, own] = subArguments(argument);
          for (const { name: variable } of subVariables(template))
            if (!Object.hasOwn(own, variable)) found.add(variable.split('.')[0] ?? '');
        }
      } catch (error) {
        onProblem(error instanceof Error ? error.message : String(error));
      }
    }
    for (const member of Object.values(node)) visit(member);
  };
  visit(value);
  return found;
}

function sub(argument: unknown, scope: Scope): string {
  const [template, own] = subArguments(argument);
  return template.replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, variable: string) => {
    if (literal) return `\${${variable}}`;
    if (Object.hasOwn(own, variable)) return text(resolve(own[variable], scope), 'Fn::Sub');
    const [logicalId = '', ...attribute] = variable.trim().split('.');
    const value = attribute.length > 0 ? scope.getAtt(logicalId, attribute.join('.')) : scope.ref(logicalId);
    return text(value, `Fn::Sub \${${variable}}`);
  });
}

function subArguments(argument: unknown): [string, Record<string, unknown>] {
  if (typeof argument === 'string') return [argument, {}];
  const [template, own] = list(argument, 'Fn::Sub', 2);
  return [text(template, 'Fn::Sub'), own as Record<string, unknown>];
}

const subVariables = (template: string): { name: string }[] =>
  [...template.matchAll(/\$\{(?!!)([^}]+)\}/g)].map(([, name = '']) => ({ name: name.trim() }));

function getAttArguments(argument: unknown): [string, unknown] {
  if (typeof argument === 'string') {
    const dot = argument.indexOf('.');
    if (dot > 0) return [argument.slice(0, dot), argument.slice(dot + 1)];
  }
  const [logicalId, attribute] = list(argument, 'Fn::GetAtt', 2);
  return [text(logicalId, 'Fn::GetAtt'), attribute];
}

function conditions(argument: unknown, scope: Scope, name: string): boolean[] {
  if (!Array.isArray(argument) || argument.length === 0) throw new Error(`${name}: takes a list of conditions.`);
  return argument.map((item) => resolveCondition(item, scope));
}

function list(argument: unknown, name: string, length: number): unknown[] {
  if (!Array.isArray(argument) || argument.length !== length)
    throw new Error(`${name}: takes a list of ${length} arguments, not ${JSON.stringify(argument)}.`);
  return argument;
}

function text(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new Error(`${name}: expects text, not ${typeof value === 'symbol' ? 'AWS::NoValue' : JSON.stringify(value)}.`);
}

function refuseDynamicReference(value: string): string {
  if (value.includes('{{resolve:')) throw new Error(`dynamic reference is not supported: ${value}`);
  return value;
}
