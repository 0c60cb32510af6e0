import type { Json } from '../../../local/asl/types.ts';

/** States by name, or fields: JSON, from which undefined is left out. */
export type States = Readonly<Record<string, unknown>>;

/** A small state machine with what it is given. Plain data: the same goes through every engine and validator. */
export interface Case {
  /** What it is about. Unique. */
  readonly name: string;
  readonly definition: States;
  /** @default {} */
  readonly input?: Json;
  /** What tasks answer: by state, one answer for each attempt after an entry, the last one for all that follow. */
  readonly tasks?: Readonly<Record<string, readonly Answer[]>>;
}

export type Answer = { readonly Return: Json } | { readonly Throw: { readonly Error: string; readonly Cause: string } };

/** A machine that starts with the first of its states. */
export const machine = (states: States, more: States = {}): Case['definition'] => ({
  QueryLanguage: 'JSONata',
  StartAt: Object.keys(states)[0] ?? '',
  States: states,
  ...more,
});

/** A branch or processor. */
export const block = (states: States, more: States = {}): States => ({
  StartAt: Object.keys(states)[0] ?? '',
  States: states,
  ...more,
});

export const inline: States = { ProcessorConfig: { Mode: 'INLINE' } };

/** A task that calls a function. */
export const task = (more: States = {}): States => ({
  Type: 'Task',
  Resource: 'arn:aws:states:::lambda:invoke',
  Arguments: { FunctionName: 'worker' },
  End: true,
  ...more,
});

/** A machine of one Pass state, which outputs this. */
export const output = (Output: unknown): Case['definition'] => machine({ Only: { Type: 'Pass', Output, End: true } });

export const pass = (more: States = {}): States => ({ Type: 'Pass', End: true, ...more });

export const thrown = (error: string, cause = `${error} it is`): Answer => ({ Throw: { Error: error, Cause: cause } });
export const answered = (Payload: Json): Answer => ({
  Return: { Payload, StatusCode: 200, ExecutedVersion: '$LATEST' },
});
