/**
 * Errors as the Amazon States Language names them, and which names a Retrier or Catcher means by them.
 * https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
 */
export class StatesError extends Error {
  /** What ErrorEquals is compared with; absent when a Fail state or SendTaskFailure gave none. */
  readonly error: string | undefined;
  override readonly cause: string | undefined;
  /** Another name by which ErrorEquals may mean it. */
  readonly alias: string | undefined;
  constructor(error: string | undefined, cause?: string, alias?: string) {
    super([error ?? 'unnamed error', cause].filter(Boolean).join(': '));
    this.name = 'StatesError';
    this.error = error;
    this.cause = cause;
    this.alias = alias;
  }
}

export const queryEvaluationError = 'States.QueryEvaluationError';
export const dataLimitExceeded = 'States.DataLimitExceeded';
export const runtimeError = 'States.Runtime';
export const timeoutError = 'States.Timeout';
export const heartbeatTimeoutError = 'States.HeartbeatTimeout';

export const itemReaderFailed = (cause: string): StatesError => new StatesError('States.ItemReaderFailed', cause);

export const isTimeout = (error: StatesError): boolean => error.error === timeoutError;

/**
 * The heartbeat's lapse. AWS reports it as States.Timeout too, and without a cause; States.HeartbeatTimeout is the name
 * by which ErrorEquals can mean it alone. Recorded on AWS: TaskTimedOut and ExecutionFailed of test_heartbeats in
 * https://github.com/localstack/localstack/blob/main/tests/aws/services/stepfunctions/v2/timeouts/test_heartbeats.snapshot.json;
 * the name: https://github.com/awslabs/states-language/pull/25.
 */
export const heartbeatLapse = (): StatesError => new StatesError(timeoutError, undefined, heartbeatTimeoutError);

/**
 * Whether one of the names in ErrorEquals means this error.
 * - States.Runtime is final: no name, not even its own, catches it.
 * - States.DataLimitExceeded is caught by its own name only.
 * - States.TaskFailed means any error but the timeouts and an expression's: a query that fails is not the task failing,
 *   as recorded in https://docs.rs/crate/fakecloud-stepfunctions/0.52.0/source/src/error_handling.rs
 * - States.Timeout means the heartbeat's lapse too; States.HeartbeatTimeout means only that.
 */
export function matches(names: readonly string[], error: StatesError): boolean {
  if (error.error === runtimeError) return false;
  if (error.error !== undefined && names.includes(error.error)) return true;
  if (error.alias !== undefined && names.includes(error.alias)) return true;
  if (error.error === dataLimitExceeded) return false;
  if (names.includes('States.ALL')) return true;
  return names.includes('States.TaskFailed') && !isTimeout(error) && error.error !== queryEvaluationError;
}

/** Bytes of JSON that an input, result, output or variable may have: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html */
export const payloadLimit = 256 * 1024;

export function checkSize(value: unknown, what: string): void {
  if (Buffer.byteLength(JSON.stringify(value)) > payloadLimit) {
    throw new StatesError(
      dataLimitExceeded,
      `The state/task '${what}' returned a result with a size exceeding the maximum number of bytes service limit.`,
    );
  }
}
