import { createHash, randomUUID } from 'node:crypto';
import type jsonata from 'jsonata';

/** The functions that Step Functions adds to JSONata. An undefined argument gives undefined, as in JSONata's own. */

const algorithms: Record<string, string> = {
  MD5: 'md5',
  'SHA-1': 'sha1',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
};

/** Items that $range may make, as States.ArrayRange. */
const longestRange = 1000;

function partition(items: unknown[] | undefined, size: number | undefined): unknown[][] | undefined {
  if (items === undefined || size === undefined) return undefined;
  if (!Number.isInteger(size) || size < 1) throw new Error('$partition: the size must be a positive integer');
  const parts: unknown[][] = [];
  for (let start = 0; start < items.length; start += size) parts.push(items.slice(start, start + size));
  return parts;
}

function range(first?: number, last?: number, step?: number): number[] | undefined {
  if (first === undefined || last === undefined || step === undefined) return undefined;
  if (![first, last, step].every(Number.isInteger)) throw new Error('$range: the arguments must be integers');
  if (step === 0) throw new Error('$range: the step must not be 0');
  const length = Math.max(0, Math.floor((last - first) / step) + 1);
  if (length > longestRange) throw new Error(`$range: more than ${longestRange} items`);
  return Array.from({ length }, (_, index) => first + index * step);
}

function hash(text?: string, algorithm?: string): string | undefined {
  if (text === undefined || algorithm === undefined) return undefined;
  const name = algorithms[algorithm];
  if (!name) throw new Error(`$hash: unknown algorithm ${algorithm}; try ${Object.keys(algorithms).join(', ')}`);
  return createHash(name).update(text, 'utf8').digest('hex');
}

/** With a seed the same number every time (but not the number that AWS gives for that seed). */
function random(seed?: number): number {
  if (seed === undefined) return Math.random();
  return createHash('sha256').update(String(seed)).digest().readUInt32BE(0) / 2 ** 32;
}

function parse(text?: string): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}

export function addFunctions(expression: jsonata.Expression): void {
  expression.registerFunction('partition', partition, '<an:a>');
  expression.registerFunction('range', range, '<nnn:a>');
  expression.registerFunction('hash', hash, '<ss:s>');
  expression.registerFunction('random', random, '<n?:n>');
  expression.registerFunction('uuid', () => randomUUID(), '<:s>');
  expression.registerFunction('parse', parse, '<s:x>');
}
