import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { logKeysOf } from '../lib/core/log-keys.ts';

/** The only file that knows middy: every function logs alike, and its errors keep their catalogue names. */

export const logger = new Logger();

/**
 * Wraps a plain function as a Lambda handler. What it throws reaches Step Functions under the error's `name`, so that
 * `ErrorEquals` can match it: nothing is caught and turned into a success.
 */
export function defineHandler<Event, Result>(handle: (event: Event) => Promise<Result>) {
  return middy<Event, Result, Error, Context>()
    .use(injectLambdaContext(logger, { resetKeys: true }))
    .before(({ event }) => logger.appendKeys({ ...logKeysOf(event) }))
    .onError(({ error }) => {
      logger.error('failed', error as Error);
    })
    .handler((event) => handle(event));
}
