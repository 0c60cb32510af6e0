import { describeFailure, type ErrorName, isErrorName } from '../core/errors.ts';

/** Exit codes of every command; documented in docs/cli.md. */
export const exitCode = { done: 0, failed: 1, usage: 2, refused: 3, notFound: 4 } as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** An end of a command that an operator reads: what happened, what was left intact, what to try. */
export class CliError extends Error {
  readonly exit: ExitCode;
  readonly intact: string | undefined;
  readonly tryNext: string | undefined;

  /** `name` is a name of the catalogue where one fits, else one of the command line's own. */
  constructor(name: string, message: string, options: CliErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = name;
    const known = isErrorName(name) ? describeFailure(name, message) : undefined;
    this.exit = options.exit ?? exitCode.failed;
    this.intact = options.intact ?? known?.intact;
    this.tryNext = options.tryNext ?? known?.tryNext;
  }
}

export interface CliErrorOptions {
  readonly exit?: ExitCode;
  readonly intact?: string;
  readonly tryNext?: string;
  readonly cause?: unknown;
}

/** The `error` of every command's JSON. */
export interface ErrorReport {
  readonly name: string;
  readonly message: string;
  readonly intact?: string;
  readonly tryNext?: string;
  readonly step?: string;
  readonly runbook?: string;
}

export const reportOf = (error: CliError): ErrorReport => ({
  name: error.name,
  message: error.message,
  ...(error.intact && { intact: error.intact }),
  ...(error.tryNext && { tryNext: error.tryNext }),
  ...(isErrorName(error.name) && { runbook: describeFailure(error.name as ErrorName, '').runbook }),
});

const nothingChanged = 'Nothing was changed.';

/** Any thrown value as a CliError; what AWS and the network say is put into an operator's words. */
export function toCliError(thrown: unknown): CliError {
  if (thrown instanceof CliError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (isErrorName(error.name)) return new CliError(error.name, error.message, { cause: thrown });
  if (error.name === 'CredentialsProviderError') {
    return new CliError('CredentialsMissing', 'No AWS credentials were found.', {
      intact: nothingChanged,
      tryNext: 'Set AWS_PROFILE or log in (`aws sso login`), or start a local cloud with `pgdr up`.',
      cause: thrown,
    });
  }
  if (/AccessDenied|UnrecognizedClient|InvalidClientTokenId|ExpiredToken/.test(error.name)) {
    return new CliError(error.name, error.message, {
      intact: nothingChanged,
      tryNext: 'Check that the credentials belong to the account pgdr is deployed in, and what they may do.',
      cause: thrown,
    });
  }
  const code = networkCode(error);
  if (code !== undefined) {
    return new CliError('EndpointUnreachable', `The AWS endpoint cannot be reached (${code}).`, {
      intact: nothingChanged,
      tryNext:
        'Check the network and AWS_ENDPOINT_URL; is the local cloud of `pgdr up` still running? ' +
        'Where the region itself is out, ask the other one: --region, with the recovery region of pgdr.config.ts.',
      cause: thrown,
    });
  }
  return new CliError(error.name, error.message || error.name, { cause: thrown });
}

function networkCode(error: Error): string | undefined {
  if (error.name === 'TimeoutError') return 'TimeoutError';
  const code = (error as NodeJS.ErrnoException).code;
  return code && ['ECONNREFUSED', 'ENOTFOUND', 'ETIMEDOUT', 'ECONNRESET', 'EHOSTUNREACH'].includes(code)
    ? code
    : undefined;
}
