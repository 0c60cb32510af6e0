import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AwsError, type World } from '../facade.ts';
import { assumedRoleArn } from '../identity.ts';
import type { LambdaFunction } from './lambda-function.ts';
import type { FromSandbox, FunctionError, ToSandbox } from './lambda-messages.ts';
import { type Sandbox, startSandbox } from './processes.ts';

export interface InvocationResult {
  readonly requestId: string;
  /** JSON text: the handler's result, or the {@link FunctionError}. */
  readonly payload: string;
  readonly failed: boolean;
  /** What the function wrote during the invocation, with Lambda's own START, END and REPORT. */
  readonly log: string;
}

export interface Pool {
  invoke(event: string, requestId?: string): Promise<InvocationResult>;
  close(): Promise<void>;
}

/** Sandboxes of a function at a time where it reserves no concurrency: spares the machine; further events wait. */
const MAX_SANDBOXES = 10;
const IDLE_MILLISECONDS = 60_000;
/** Lambda's limit on the answer of a synchronous invocation, in bytes. */
const MAX_RESPONSE = 6 * 1024 * 1024;
/** Loading a bundle may take as long as Lambda allows, and this machine may be slower. */
const INIT_MILLISECONDS = 30_000;

/** By number, as Lambda names them. */
const SIGNALS: Readonly<Record<number, string>> = {
  6: 'aborted',
  9: 'killed',
  11: 'segmentation fault',
  15: 'terminated',
};

interface Worker {
  readonly sandbox: Sandbox;
  /** Writes a line to its log stream. */
  readonly log: (line: string) => void;
  /** The invocation under way, told of messages, lines and the end of the process. */
  current?: {
    onMessage: (message: FromSandbox) => void;
    onLine: (line: string) => void;
    onExit: (code: number) => void;
  };
  idle?: NodeJS.Timeout;
}

/**
 * The processes of one function: one event at a time each, kept warm for a minute.
 *
 * @param nameServer `address:port` at which names of private zones are answered
 */
export function createPool(world: World, fn: LambdaFunction, nameServer?: () => Promise<string>): Pool {
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  const waiting: (() => void)[] = [];
  let busy = 0;
  let closed = false;
  const stopWatching = world.outages.onChange((place, state) => {
    if (place === fn.region && state === 'down') for (const { sandbox } of all) sandbox.kill();
  });

  const acquire = async (): Promise<void> => {
    if (fn.reservedConcurrency !== undefined && busy >= fn.reservedConcurrency) {
      throw new AwsError('TooManyRequestsException', 'Rate Exceeded.', 429);
    }
    if (busy >= MAX_SANDBOXES && fn.reservedConcurrency === undefined)
      await new Promise<void>((go) => waiting.push(go));
    else busy++;
  };
  // A waiting event takes over the place, so that the count stays.
  const release = (): void => {
    const next = waiting.shift();
    if (next) next();
    else busy--;
  };

  const startWorker = async (): Promise<Worker> => {
    const stream = streamName(world.now());
    const log = logOf(world, fn, stream);
    const worker: { -readonly [K in keyof Worker]?: Worker[K] } = { log };
    const sandbox = await startSandbox({
      command: [
        process.execPath,
        `--max-old-space-size=${fn.memorySize}`,
        fileURLToPath(new URL('./lambda-bootstrap.ts', import.meta.url)),
      ],
      directory: fn.directory,
      environment: {
        ...sandboxEnvironment(world, fn, stream),
        ...(fn.inVpc && nameServer && { LOCAL_CLOUD_NAME_SERVER: await nameServer() }),
      },
      ipc: true,
      onLine: (line) => {
        log(line);
        worker.current?.onLine(line);
      },
    });
    worker.sandbox = sandbox;
    const made = worker as Worker;
    all.add(made);
    if (closed) sandbox.kill();
    sandbox.child.on('message', (message: FromSandbox) => made.current?.onMessage(message));
    void sandbox.ended.then(({ code }) => {
      all.delete(made);
      clearTimeout(made.idle);
      if (idle.includes(made)) idle.splice(idle.indexOf(made), 1);
      made.current?.onExit(code);
    });
    return made;
  };

  const ready = async (worker: Worker, lines: string[]): Promise<FunctionError | undefined> => {
    const message = await nextMessage(worker, lines, INIT_MILLISECONDS);
    if (message === 'timeout') return { errorType: 'Sandbox.Timedout', errorMessage: 'Init phase timed out' };
    if (message.type === 'init-failed' || message.type === 'crashed') return message.error;
    return undefined;
  };

  const hasEnded = ({ sandbox: { child } }: Worker): boolean => child.exitCode !== null || child.signalCode !== null;

  const takeIdle = (): Worker | undefined => {
    let worker = idle.pop();
    while (worker && hasEnded(worker)) worker = idle.pop();
    clearTimeout(worker?.idle);
    return worker;
  };

  const park = (worker: Worker): void => {
    if (closed || hasEnded(worker)) {
      worker.sandbox.kill();
      return;
    }
    worker.idle = setTimeout(() => {
      // Out of reach before it dies: an event that comes just now must not be given to it.
      if (idle.includes(worker)) idle.splice(idle.indexOf(worker), 1);
      worker.sandbox.kill();
    }, IDLE_MILLISECONDS).unref();
    idle.push(worker);
  };

  const carryOut = async (event: string, requestId: string): Promise<InvocationResult> => {
    const lines: string[] = [];
    const started = performance.now();
    const answer = (payload: string, failed: boolean): InvocationResult => {
      const duration = (performance.now() - started).toFixed(2);
      const report = `REPORT RequestId: ${requestId}\tDuration: ${duration} ms\tBilled Duration: ${Math.ceil(Number(duration))} ms\tMemory Size: ${fn.memorySize} MB`;
      const log = [`START RequestId: ${requestId} Version: $LATEST`, ...lines, `END RequestId: ${requestId}`, report];
      return { requestId, payload, failed, log: log.join('\n') };
    };
    let worker = takeIdle();
    if (!worker) {
      worker = await startWorker();
      const failure = await ready(worker, lines);
      if (failure) {
        worker.sandbox.kill();
        return answer(JSON.stringify(failure), true);
      }
    }
    const message: ToSandbox = {
      requestId,
      event,
      deadline: Date.now() + fn.timeout * 1000,
      functionArn: fn.arn,
      clock: { now: world.now(), rate: world.clock.rate },
    };
    worker.sandbox.child.send(message, () => {});
    const outcome = await nextMessage(worker, lines, fn.timeout * 1000, requestId);
    if (outcome === 'timeout') {
      worker.sandbox.kill();
      const errorMessage = `RequestId: ${requestId} Error: Task timed out after ${fn.timeout.toFixed(2)} seconds`;
      worker.log(
        `${new Date(world.now()).toISOString()} ${requestId} Task timed out after ${fn.timeout.toFixed(2)} seconds`,
      );
      return answer(JSON.stringify({ errorType: 'Sandbox.Timedout', errorMessage }), true);
    }
    if (outcome.type === 'result' || outcome.type === 'error') park(worker);
    if (outcome.type !== 'result') return answer(JSON.stringify('error' in outcome ? outcome.error : {}), true);
    if (Buffer.byteLength(outcome.payload) > MAX_RESPONSE) {
      const errorMessage = `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE} bytes).`;
      return answer(JSON.stringify({ errorType: 'Function.ResponseSizeTooLarge', errorMessage }), true);
    }
    return answer(outcome.payload, false);
  };

  return {
    invoke: async (event, requestId = randomUUID()) => {
      await acquire();
      try {
        if (closed) throw new AwsError('ServiceException', 'The local cloud is closing.', 500);
        // An event that waits goes back to its queue, as it does when it is throttled.
        if (world.outages.state(fn.region) === 'down')
          throw new AwsError('TooManyRequestsException', `${fn.region} is down.`, 429);
        return await carryOut(event, requestId);
      } finally {
        release();
      }
    },
    close: async () => {
      closed = true;
      stopWatching();
      await Promise.all(
        [...all].map((worker) => {
          worker.sandbox.kill();
          return worker.sandbox.ended;
        }),
      );
    },
  };
}

/** The sandbox's next message; the end of its process counts as a crash. */
function nextMessage(
  worker: Worker,
  lines: string[],
  milliseconds: number,
  requestId?: string,
): Promise<FromSandbox | 'timeout'> {
  return new Promise((resolve) => {
    const finish = (outcome: FromSandbox | 'timeout'): void => {
      clearTimeout(timer);
      // Its lines come by another way than its answer: those written before it are let in.
      setTimeout(() => {
        worker.current = undefined;
        resolve(outcome);
      }, 5);
    };
    const timer = setTimeout(() => finish('timeout'), milliseconds);
    worker.current = {
      onMessage: finish,
      onLine: (line) => lines.push(line),
      onExit: (code) => {
        const how = code > 128 ? `signal: ${SIGNALS[code - 128] ?? code - 128}` : `exit status ${code}`;
        const errorMessage = `${requestId ? `RequestId: ${requestId} ` : ''}Error: Runtime exited with error: ${how}`;
        finish({ type: 'crashed', error: { errorType: 'Runtime.ExitError', errorMessage } });
      },
    };
  });
}

/** Writes to a log stream as the function's role, or nothing at all: without the permission lines are lost in AWS. */
function logOf(world: World, fn: LambdaFunction, stream: string): (line: string) => void {
  const principal = { arn: assumedRoleArn(fn.roleArn, fn.name), roleArn: fn.roleArn };
  const resource = `arn:aws:logs:${fn.region}:${world.account}:log-group:${fn.logGroup}:log-stream:${stream}`;
  for (const action of ['logs:CreateLogStream', 'logs:PutLogEvents']) {
    const refused = world.refusal({ service: 'lambda', region: fn.region, principal }, { action, resource });
    if (!refused) continue;
    world.note(`lambda ${fn.name}: its log is lost: ${refused.message}`);
    return () => {};
  }
  return (line) => world.log(fn.region, fn.logGroup, stream, line);
}

/** Traces reach nobody here, but AWS would not trace without the permissions. */
function trace(world: World, fn: LambdaFunction): void {
  const principal = { arn: assumedRoleArn(fn.roleArn, fn.name), roleArn: fn.roleArn };
  for (const action of fn.traced ? ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'] : []) {
    const refused = world.refusal({ service: 'lambda', region: fn.region, principal }, { action, resource: '*' });
    if (refused) world.note(`lambda ${fn.name}: it is not traced: ${refused.message}`);
  }
}

function sandboxEnvironment(world: World, fn: LambdaFunction, stream: string): Record<string, string> {
  world.assertTrusted(fn.roleArn, { service: 'lambda.amazonaws.com', region: fn.region, sourceArn: fn.arn });
  trace(world, fn);
  const keys = world.credentialsFor(fn.roleArn, fn.name, fn.region);
  const temporary = join(world.directory, 'lambda', fn.region, fn.name, 'tmp');
  mkdirSync(temporary, { recursive: true });
  return {
    PATH: [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    ...fn.environment,
    TMPDIR: temporary,
    LAMBDA_TASK_ROOT: fn.directory,
    _HANDLER: fn.handler,
    AWS_EXECUTION_ENV: `AWS_Lambda_${fn.runtime}`,
    AWS_REGION: fn.region,
    AWS_DEFAULT_REGION: fn.region,
    AWS_ENDPOINT_URL: world.endpoint,
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    AWS_SESSION_TOKEN: keys.sessionToken,
    AWS_LAMBDA_FUNCTION_NAME: fn.name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(fn.memorySize),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_FORMAT: fn.logFormat,
    AWS_LAMBDA_LOG_GROUP_NAME: fn.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: stream,
  };
}

const streamName = (now: number): string =>
  `${new Date(now).toISOString().slice(0, 10).replaceAll('-', '/')}/[$LATEST]${randomUUID().replaceAll('-', '')}`;
