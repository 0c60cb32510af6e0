import {
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
} from '@aws-sdk/client-sfn';
import { type Failure, PgdrError } from '../core/errors.ts';

/** The line from a task back to the execution that waits for it. */
export interface TaskToken {
  /** Proves that the execution still waits; throws `ExecutionOver` when it does not. */
  heartbeat(): Promise<void>;
  succeed(output: unknown): Promise<void>;
  fail(failure: Failure & Record<string, unknown>): Promise<void>;
}

export function openTaskToken(taskToken: string): TaskToken {
  const states = new SFNClient({ maxAttempts: 6 });
  return {
    async heartbeat() {
      try {
        await states.send(new SendTaskHeartbeatCommand({ taskToken }));
      } catch (error) {
        if (['TaskTimedOut', 'TaskDoesNotExist', 'InvalidToken'].includes((error as Error).name)) {
          throw new PgdrError('ExecutionOver', (error as Error).message, { cause: error });
        }
        throw error;
      }
    },
    async succeed(output) {
      await states.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) }));
    },
    async fail(failure) {
      await states.send(
        new SendTaskFailureCommand({ taskToken, error: failure.error, cause: JSON.stringify(failure) }),
      );
    },
  };
}
