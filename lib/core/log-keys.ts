/** What every line of a function's log names, as far as its event tells: which database, backup and execution. */
export interface LogKeys {
  readonly database?: string;
  readonly backup?: string;
  readonly execution?: string;
}

interface Event {
  readonly database?: unknown;
  readonly settings?: { readonly database?: unknown } | null;
  readonly manifestKey?: unknown;
  readonly backup?: { readonly manifestKey?: unknown } | null;
  readonly execution?: { readonly arn?: unknown } | null;
  /** Of failovers: the name of their execution. */
  readonly run?: unknown;
}

export function logKeysOf(event: unknown): LogKeys {
  if (typeof event !== 'object' || event === null) return {};
  const { database, settings, manifestKey, backup, execution, run } = event as Event;
  const key = manifestKey ?? backup?.manifestKey;
  const keys = {
    database: database ?? settings?.database,
    backup: typeof key === 'string' ? key.split('/').at(-2) : undefined,
    execution: execution?.arn ?? run,
  };
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => typeof value === 'string'));
}
