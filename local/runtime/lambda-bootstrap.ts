import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { machineNow, setClock } from './lambda-clock.ts';
import { installConsole } from './lambda-console.ts';
import type { FromSandbox, ToSandbox } from './lambda-messages.ts';
import { confineModules, isModulePackage } from './lambda-modules.ts';
import { useNameServer } from './vpc-resolver.ts';

/**
 * The program of a function's sandbox: loads the handler that `_HANDLER` names below `LAMBDA_TASK_ROOT`, then carries
 * out one event at a time, as it comes over IPC.
 */
type Handler = (event: unknown, context: object, callback?: (error: unknown, result?: unknown) => void) => unknown;

const root = process.env.LAMBDA_TASK_ROOT ?? process.cwd();
let requestId = '';

const send = (message: FromSandbox): Promise<void> =>
  new Promise((done) => {
    process.send?.(message, () => done());
  });

installConsole(() => requestId);
confineModules(root);
useNameServer(process.env.LOCAL_CLOUD_NAME_SERVER);

let handler: Handler;

process.on('message', (message: ToSandbox) => {
  void invoke(message);
});
// The cloud that started this process is gone.
process.on('disconnect', () => process.exit(0));
process.on('uncaughtException', (error) => {
  console.error(error);
  void send({ type: 'crashed', error: errorObject(error, 'Runtime.UncaughtException') }).then(() => process.exit(129));
});
process.on('unhandledRejection', (reason) => {
  const error = { ...errorObject(reason), errorType: 'Runtime.UnhandledPromiseRejection' };
  console.error(reason);
  void send({ type: 'crashed', error }).then(() => process.exit(128));
});

try {
  handler = await loadHandler(process.env._HANDLER ?? '');
  await send({ type: 'ready' });
} catch (error) {
  await send({ type: 'init-failed', error: errorObject(error) });
  process.exit(1);
}

async function invoke(message: ToSandbox): Promise<void> {
  requestId = message.requestId;
  setClock(message.clock);
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    invokedFunctionArn: message.functionArn,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    awsRequestId: message.requestId,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    getRemainingTimeInMillis: () => Math.max(0, message.deadline - machineNow()),
  };
  try {
    const result = await callHandler(JSON.parse(message.event), context);
    let payload: string;
    try {
      payload = JSON.stringify(result) ?? 'null';
    } catch {
      throw Object.assign(new Error('Unable to stringify response body'), { name: 'Runtime.MarshalError' });
    }
    await send({ type: 'result', payload });
  } catch (error) {
    console.error('Invoke Error', error);
    await send({ type: 'error', error: errorObject(error) });
  }
}

function callHandler(event: unknown, context: object): unknown {
  if (handler.length < 3) return handler(event, context);
  return new Promise((done, fail) => {
    const answer = handler(event, context, (error, result) => (error ? fail(error) : done(result)));
    if (answer instanceof Promise) answer.then(done, fail);
  });
}

/** `dir/index.handler`: the module `dir/index` (.js, .mjs or .cjs), and in it the member `handler`. */
async function loadHandler(name: string): Promise<Handler> {
  const [, path = '', member = ''] = /^((?:.*\/)?[^./]+)\.(.+)$/.exec(name) ?? [];
  if (!path) throw runtimeError('Runtime.MalformedHandlerName', `Bad handler ${name}`);
  const base = resolve(root, path);
  const file = ['.js', '.mjs', '.cjs'].map((extension) => base + extension).find((candidate) => existsSync(candidate));
  if (!file) throw runtimeError('Runtime.ImportModuleError', `Error: Cannot find module '${path}'`);
  let module: any;
  try {
    module =
      file.endsWith('.js') && !isModulePackage(root)
        ? createRequire(join(root, 'x.js'))(file)
        : await import(pathToFileURL(file).href);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND')
      throw runtimeError('Runtime.ImportModuleError', `Error: ${message}`);
    if (error instanceof SyntaxError) throw runtimeError('Runtime.UserCodeSyntaxError', `SyntaxError: ${message}`);
    throw error;
  }
  let found: any = member.split('.').reduce((value, key) => value?.[key], module);
  found ??= member.split('.').reduce((value, key) => value?.[key], module?.default);
  if (found === undefined) throw runtimeError('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof found !== 'function') throw runtimeError('Runtime.HandlerNotFound', `${name} is not a function`);
  return found;
}

function runtimeError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

function errorObject(error: unknown, type?: string): { errorType: string; errorMessage: string; trace: string[] } {
  if (!(error instanceof Error)) {
    return {
      errorType: type ?? typeof error,
      errorMessage: typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error)),
      trace: [],
    };
  }
  return { errorType: type ?? error.name, errorMessage: error.message, trace: error.stack?.split('\n') ?? [] };
}
