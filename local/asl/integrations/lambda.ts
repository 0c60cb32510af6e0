import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text as consumeText } from 'node:stream/consumers';
import { signedHeaders } from '../../runtime/signed-request.ts';
import { runtimeError, StatesError } from '../errors.ts';
import type { Json } from '../types.ts';
import { type Caller, type Dialect, serviceError } from './sdk.ts';

const dialect: Dialect = {
  prefix: 'Lambda',
  unmodelled: 'AWSLambdaException',
  service: 'AWSLambda',
  optimised: true,
};

/** Invoke's documented errors, without their suffix. */
const documented = new Set(
  ['InvalidParameterValue', 'InvalidRequestContent', 'RequestTooLarge', 'ResourceConflict', 'ResourceNotFound']
    .concat(['ResourceNotReady', 'Service', 'TooManyRequests', 'UnsupportedMediaType', 'InvalidRuntime'])
    .map((name) => `${name}Exception`),
);

const known = new Set(['FunctionName', 'Payload', 'Qualifier', 'InvocationType', 'LogType', 'ClientContext']);

/** `lambda:invoke`: an error of the function fails the task by the error's own name. */
export async function invoke(caller: Caller, parameters: Json, signal: AbortSignal): Promise<Json> {
  const {
    FunctionName,
    Payload,
    Qualifier,
    InvocationType = 'RequestResponse',
    LogType,
    ClientContext,
  } = check(parameters);
  const path = `/2015-03-31/functions/${encodeURIComponent(String(FunctionName))}/invocations`;
  const query = Qualifier === undefined ? '' : `?Qualifier=${encodeURIComponent(String(Qualifier))}`;
  const body = Payload === undefined ? '' : JSON.stringify(Payload);
  const headers = {
    'content-type': 'application/json',
    'x-amz-invocation-type': String(InvocationType),
    ...(LogType !== undefined && { 'x-amz-log-type': String(LogType) }),
    ...(ClientContext !== undefined && { 'x-amz-client-context': String(ClientContext) }),
  };
  const url = new URL(`${caller.endpoint}${path}${query}`);
  const request = { service: 'lambda', region: caller.region, headers };
  const signed = signedHeaders(url, 'POST', request, body, caller.credentials, new Date());
  const { status, header, text } = await post(url, signed, body, signal).catch((error: Error) => {
    throw new StatesError('Lambda.SdkClientException', `Unable to execute HTTP request: ${error.message}`);
  });
  if (status >= 300) throw apiError(status, header, text);
  if (header('x-amz-function-error') !== undefined) throw functionError(text);
  return {
    ExecutedVersion: header('x-amz-executed-version') ?? '$LATEST',
    ...(text !== '' && { Payload: parseOr(text, text) }),
    ...(header('x-amz-log-result') !== undefined && { LogResult: header('x-amz-log-result') as string }),
    StatusCode: status,
  };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  header(name: string): string | undefined;
}

/** Not by fetch, which gives up where no header came for five minutes: a function may take fifteen. */
async function post(url: URL, headers: Record<string, string>, body: string, signal: AbortSignal): Promise<Answer> {
  const sent = request(url, { method: 'POST', headers, signal }).end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const header = (name: string) => {
    const value = response.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  return { status: response.statusCode ?? 0, text: await consumeText(response), header };
}

function check(parameters: Json): { [key: string]: Json } {
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw new StatesError(runtimeError, 'The Arguments of lambda:invoke must be an object with FunctionName.');
  }
  const strange = Object.keys(parameters).find((key) => !known.has(key));
  if (strange) throw new StatesError(runtimeError, `The field '${strange}' is not supported by lambda:invoke.`);
  if (typeof parameters.FunctionName !== 'string') {
    throw new StatesError(runtimeError, 'The Arguments of lambda:invoke lack FunctionName.');
  }
  return parameters;
}

function parseOr(text: string, otherwise: Json): Json {
  try {
    return JSON.parse(text);
  } catch {
    return otherwise;
  }
}

function functionError(text: string): StatesError {
  const payload = parseOr(text, null);
  const type =
    typeof payload === 'object' && payload !== null && !Array.isArray(payload) ? payload.errorType : undefined;
  return new StatesError(typeof type === 'string' ? type : 'Lambda.Unknown', text);
}

function apiError(status: number, header: Answer['header'], text: string): StatesError {
  const body = parseOr(text, {}) as { [key: string]: Json };
  const code = (header('x-amzn-errortype') ?? String(body.__type ?? 'UnknownError')).split(/[:#]/)[0] ?? '';
  const message = String(body.message ?? body.Message ?? text);
  const error = { code, message, status, requestId: header('x-amzn-requestid') };
  return serviceError(error, dialect, documented.has(code));
}
