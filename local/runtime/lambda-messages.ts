/** What Lambda answers for an invocation that failed: the payload's own members. */
export interface FunctionError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

/** One event for a sandbox. */
export interface ToSandbox {
  readonly requestId: string;
  /** JSON text. */
  readonly event: string;
  /** Milliseconds since the epoch at which the invocation times out. */
  readonly deadline: number;
  readonly functionArn: string;
  /** The cloud's clock: milliseconds since the epoch as the event is sent, and how fast it runs. */
  readonly clock: { readonly now: number; readonly rate: number };
}

export type FromSandbox =
  | { readonly type: 'ready' }
  | { readonly type: 'init-failed'; readonly error: FunctionError }
  | { readonly type: 'result'; readonly payload: string }
  | { readonly type: 'error'; readonly error: FunctionError }
  /** The process ends next. */
  | { readonly type: 'crashed'; readonly error: FunctionError };
