import { randomBytes } from 'node:crypto';
import { StatesError } from './errors.ts';
import type { Json } from './types.ts';

/** As long and with the same characters as AWS's, so that what carries a token is tried for real. */
export const newTaskToken = (): string => `AQC${randomBytes(384).toString('base64').slice(0, 509)}`;

const wellFormed = /^AQC[A-Za-z0-9+/]{509}$/;

/** Why a token was not accepted; the names are the API's. */
export class TokenError extends Error {
  readonly code: 'InvalidToken' | 'TaskDoesNotExist' | 'TaskTimedOut';
  constructor(code: TokenError['code'], message: string) {
    super(message);
    this.name = 'TokenError';
    this.code = code;
  }
}

interface OpenToken {
  readonly owner: string;
  succeed(output: Json): void;
  fail(error: StatesError): void;
  heartbeat(): void;
}

/** The tokens that tasks wait for, and those that were answered or ran out of time. */
export interface Tokens {
  /** Waits for the token's answer. Resolves with its output, rejects with a {@link StatesError}. */
  open(token: string, owner: string, heartbeat: () => void, signal: AbortSignal): Promise<Json>;
  /** The owner (a state machine's ARN) of a token, open or closed. */
  owner(token: string): string | undefined;
  succeed(token: string, output: Json): void;
  fail(token: string, error?: string, cause?: string): void;
  heartbeat(token: string): void;
}

export function createTokens(): Tokens {
  const open = new Map<string, OpenToken>();
  const closed = new Map<string, string>();

  const find = (token: string): OpenToken => {
    const found = open.get(token);
    if (found) return found;
    if (closed.has(token)) {
      throw new TokenError('TaskTimedOut', "Task Timed Out: 'Provided task does not exist anymore'");
    }
    if (!wellFormed.test(token)) throw new TokenError('InvalidToken', "Invalid Token: 'Invalid token'");
    throw new TokenError('TaskDoesNotExist', "Task Does Not Exist: 'Provided task does not exist'");
  };
  const close = (token: string): OpenToken => {
    const found = find(token);
    open.delete(token);
    closed.set(token, found.owner);
    return found;
  };

  return {
    open: (token, owner, heartbeat, signal) => {
      const answer = new Promise<Json>((succeed, fail) => {
        open.set(token, { owner, succeed, fail, heartbeat });
        signal.addEventListener('abort', () => open.has(token) && close(token), { once: true });
      });
      // The answer may come before the caller, still waiting for the submission, looks at it.
      answer.catch(() => {});
      return answer;
    },
    owner: (token) => open.get(token)?.owner ?? closed.get(token),
    succeed: (token, output) => close(token).succeed(output),
    fail: (token, error, cause) => close(token).fail(new StatesError(error, cause)),
    heartbeat: (token) => find(token).heartbeat(),
  };
}
