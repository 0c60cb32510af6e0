import { AwsError } from '../facade.ts';
import type { AlarmState } from './alarm-definition.ts';

/** The rule of a composite alarm: over alarms by name or ARN, as the rule gives them. */
export interface AlarmRule {
  /** Names and ARNs in the order of their coming, each once. */
  readonly alarms: readonly string[];
  holds(stateOf: (alarm: string) => AlarmState): boolean;
}

type Node = (stateOf: (alarm: string) => AlarmState) => boolean;

const TOKEN =
  /\s*(?:(AND|OR|NOT|TRUE|FALSE)\b|(ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"([^"]+)"|'([^']+)'|([^()"']+?))\s*\)|([()]))/iy;

/**
 * Reads `ALARM("a") AND (OK(b) OR NOT INSUFFICIENT_DATA(c))`. NOT binds more strongly than AND, AND than OR.
 *
 * @throws AwsError ValidationError
 */
export function readAlarmRule(text: string): AlarmRule {
  const fail = (what: string): never => {
    throw new AwsError('ValidationError', `AlarmRule ${JSON.stringify(text)}: ${what}.`);
  };
  const tokens = tokenize(text, fail);
  const alarms = new Set<string>();
  let position = 0;

  const take = (word: string): boolean => {
    if (tokens[position]?.word !== word) return false;
    position++;
    return true;
  };
  const either = (): Node => {
    const nodes = [both()];
    while (take('OR')) nodes.push(both());
    return (stateOf) => nodes.some((node) => node(stateOf));
  };
  const both = (): Node => {
    const nodes = [single()];
    while (take('AND')) nodes.push(single());
    return (stateOf) => nodes.every((node) => node(stateOf));
  };
  const single = (): Node => {
    if (take('NOT')) {
      const node = single();
      return (stateOf) => !node(stateOf);
    }
    if (take('(')) {
      const node = either();
      if (!take(')')) fail('a bracket is not closed');
      return node;
    }
    if (take('TRUE')) return () => true;
    if (take('FALSE')) return () => false;
    const token = tokens[position++];
    if (token?.alarm === undefined) return fail(token ? `${token.word} is not expected there` : 'it ends too early');
    const { alarm, word } = token;
    alarms.add(alarm);
    return (stateOf) => stateOf(alarm) === word;
  };

  const rule = either();
  const rest = tokens[position];
  if (rest) fail(`${rest.word} is not expected there`);
  return { alarms: [...alarms], holds: rule };
}

function tokenize(text: string, fail: (what: string) => never): { word: string; alarm?: string }[] {
  const tokens: { word: string; alarm?: string }[] = [];
  const pattern = new RegExp(TOKEN);
  const length = text.trimEnd().length;
  while (pattern.lastIndex < length) {
    const at = pattern.lastIndex;
    const [, word, state, double, quoted, bare, bracket] = pattern.exec(text) ?? [];
    const found = word ?? state ?? bracket;
    if (found === undefined) return fail(`${JSON.stringify(text.slice(at, at + 30).trim())} is not understood`);
    tokens.push({ word: found.toUpperCase(), ...(state && { alarm: double ?? quoted ?? bare }) });
  }
  return tokens;
}
