import { schemasOf, toInput, toResult } from '../convert.ts';
import { runtimeError, StatesError } from '../errors.ts';
import type { Json } from '../types.ts';

/** Whose calls these are: the state machine's role, against the cloud's own endpoint. */
export interface Caller {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string;
  };
}

interface Client {
  send(command: unknown, options?: unknown): Promise<unknown>;
  destroy(): void;
}

type Module = Record<string, unknown>;

/** How a service's errors, results and times look in Step Functions. */
export interface Dialect {
  /** Before the error's name: `S3`, `ECS`. */
  readonly prefix: string;
  /** The name of an error that the API does not document (AccessDenied of S3, for one). */
  readonly unmodelled: string;
  /** The service as the cause names it. */
  readonly service: string;
  readonly optimised: boolean;
}

export interface Clients {
  /** Calls an API through its SDK client, from Arguments to the task's result. */
  call(client: string, action: string, parameters: Json, dialect: Dialect, signal?: AbortSignal): Promise<Json>;
  close(): void;
}

/** The SDK clients of one execution: `@aws-sdk/client-<name>`, loaded when first needed, never retrying by themselves. */
export function createClients(caller: Caller): Clients {
  const open = new Map<string, Client>();
  return {
    async call(name, action, parameters, dialect, signal) {
      const module = await load(name);
      const Command = module[`${action.charAt(0).toUpperCase()}${action.slice(1)}Command`];
      if (!Command) throw new StatesError(runtimeError, `@aws-sdk/client-${name} has no operation ${action}.`);
      const make = Command as new (input: unknown) => unknown;
      const { input, output } = schemasOf(new make({}));
      const command = new make(toInput(parameters, input) ?? {});
      const client = open.get(name) ?? createClient(module, caller);
      open.set(name, client);
      let answer: unknown;
      try {
        answer = await client.send(command, { abortSignal: signal });
      } catch (error) {
        throw sdkError(error, module, dialect);
      }
      const time = (date: Date): Json => (dialect.optimised ? date.getTime() : date.toISOString());
      return toResult(answer, output, time);
    },
    close() {
      for (const client of open.values()) client.destroy();
      open.clear();
    },
  };
}

async function load(name: string): Promise<Module> {
  try {
    return await import(`@aws-sdk/client-${name}`);
  } catch (cause) {
    throw new StatesError(
      runtimeError,
      `@aws-sdk/client-${name} cannot be loaded; install it to run this task here. ${(cause as Error).message}`,
    );
  }
}

function createClient(module: Module, caller: Caller): Client {
  // Every client module exports one class whose name ends in Client, beside its base class `Client` or `__Client`.
  const name = Object.keys(module).find((key) => /^[A-Z]\w*Client$/.test(key) && key !== 'Client');
  const make = module[name as string] as new (config: unknown) => Client;
  return new make({ ...caller, maxAttempts: 1, forcePathStyle: true });
}

interface ServiceException extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** `S3.NoSuchKeyException`, with the cause in the words of AWS's Java SDKs, which Step Functions uses. */
function sdkError(thrown: unknown, module: Module, dialect: Dialect): StatesError {
  const { name: code, message, $metadata } = thrown as ServiceException;
  if ($metadata?.httpStatusCode === undefined) return new StatesError(`${dialect.prefix}.SdkClientException`, message);
  // S3 documents AccessDenied for one operation only; Step Functions says S3.S3Exception for all.
  const modelled = code in module && !(dialect.prefix === 'S3' && code === 'AccessDenied');
  const error = { code, message, status: $metadata.httpStatusCode, requestId: $metadata.requestId };
  return serviceError(error, dialect, modelled);
}

export function serviceError(
  error: { code: string; message: string; status: number; requestId?: string | undefined },
  { prefix, unmodelled, service, optimised }: Dialect,
  modelled: boolean,
): StatesError {
  const name = modelled ? error.code.replace(/(Exception)?$/, 'Exception') : unmodelled;
  const { code, message, status, requestId = 'none' } = error;
  const details = optimised
    ? `Service: ${service}; Status Code: ${status}; Error Code: ${code}; Request ID: ${requestId}; Proxy: null`
    : `Service: ${service}, Status Code: ${status}, Request ID: ${requestId}`;
  return new StatesError(`${prefix}.${name}`, `${message} (${details})`);
}
