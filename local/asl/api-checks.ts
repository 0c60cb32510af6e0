import { AwsError } from '../facade.ts';
import { payloadLimit } from './errors.ts';

/** What the Step Functions API refuses of its parameters, by the errors' names on the wire. */

const arnPattern = {
  stateMachine: /^arn:aws[a-z-]*:states:([a-z0-9-]+):\d{12}:stateMachine:[^:]{1,80}$/,
  // With the label of a distributed Map where it is a child of its.
  execution: /^arn:aws[a-z-]*:states:([a-z0-9-]+):\d{12}:execution:[^:/]{1,80}(?:\/[^:]{1,40})?:[^:]{1,80}$/,
};

/** The ARN, when it is one of that kind in the region that was called. */
export function requireArn(arn: unknown, kind: keyof typeof arnPattern, region: string): string {
  if (typeof arn !== 'string') {
    throw new AwsError('ValidationException', `1 validation error detected: '${kind}Arn' must not be null`);
  }
  const match = arnPattern[kind].exec(arn);
  if (!match) throw new AwsError('InvalidArn', `Invalid Arn: '${arn}' is not the ARN of a ${kind}`);
  if (match[1] !== region) {
    throw new AwsError('InvalidArn', `Invalid Arn: '${arn}' is in ${match[1]}, but ${region} was called`);
  }
  return arn;
}

export const machineArnOf = (executionArn: string): string =>
  executionArn.replace(':execution:', ':stateMachine:').replace(/:[^:]*$/, '');

/** Characters that a name must not have. */
const forbidden = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]/u;

export function checkName(name: string): void {
  if (name.length < 1 || name.length > 80 || forbidden.test(name)) {
    throw new AwsError('InvalidName', `Invalid Name: '${name}'`);
  }
}

/** The execution's input as JSON text; `{}` where none was given. */
export function checkInput(input: unknown): string {
  if (input === undefined || input === null) return '{}';
  const text = String(input);
  if (Buffer.byteLength(text) > payloadLimit) {
    const limit = `'input' failed to satisfy constraint: Member must have length less than or equal to ${payloadLimit}`;
    throw new AwsError('ValidationException', `1 validation error detected: Value at ${limit}`);
  }
  try {
    JSON.parse(text);
  } catch (error) {
    throw new AwsError('InvalidExecutionInput', `Invalid State Machine Execution Input: '${(error as Error).message}'`);
  }
  return text;
}

/** Items on a page: 0 and absent mean the default; 1000 at most. */
export function pageSize(maxResults: unknown, preset: number): number {
  if (maxResults === undefined || maxResults === 0) return preset;
  if (!Number.isInteger(maxResults) || (maxResults as number) < 0 || (maxResults as number) > 1000) {
    throw new AwsError('ValidationException', "1 validation error detected: 'maxResults' must be from 0 to 1000");
  }
  return maxResults as number;
}

/** A page of a list; `token` leads to the next one. */
export function nextPage<T>(
  items: readonly T[],
  nextToken: unknown,
  size: number,
): { readonly items: readonly T[]; readonly token?: string } {
  const start = nextToken === undefined ? 0 : decodeToken(String(nextToken));
  const end = start + size;
  const token = Buffer.from(`from:${end}`).toString('base64url');
  return { items: items.slice(start, end), ...(end < items.length && { token }) };
}

function decodeToken(token: string): number {
  const match = /^from:(\d+)$/.exec(Buffer.from(token, 'base64url').toString('utf8'));
  if (!match) throw new AwsError('InvalidToken', `Invalid Token: '${token}'`);
  return Number(match[1]);
}
