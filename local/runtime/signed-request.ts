import { createHash, createHmac } from 'node:crypto';
import { AwsError, type Credentials, type World } from '../facade.ts';

/**
 * Calls that the cloud's own services make to one another on behalf of a role (the scheduler starts an execution,
 * ECS reads a secret) go through the front door, so that they are authorised and recorded as in AWS.
 */
export interface SignedRequest {
  readonly service: string;
  readonly region: string;
  readonly method?: 'GET' | 'POST';
  /** Path and query, already escaped. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

/** Sends one request by Signature Version 4. Answers of 300 and more become an {@link AwsError}. */
export async function sendSigned(
  world: Pick<World, 'endpoint'>,
  credentials: Credentials,
  request: SignedRequest,
): Promise<Response> {
  const url = new URL(request.path ?? '/', world.endpoint);
  const method = request.method ?? 'POST';
  const body = request.body ?? '';
  const response = await fetch(url, {
    method,
    headers: signedHeaders(url, method, request, body, credentials, new Date()),
    ...(method !== 'GET' && { body }),
  });
  if (response.status >= 300) throw await errorOf(response);
  return response;
}

/** An operation of an AWS JSON service: `target` is `AWSStepFunctions.StartExecution`. */
export async function callJson(
  world: World,
  credentials: Credentials,
  call: { service: string; region: string; target: string; input: unknown; version?: '1.0' | '1.1' },
): Promise<Record<string, any>> {
  const response = await sendSigned(world, credentials, {
    service: call.service,
    region: call.region,
    headers: { 'content-type': `application/x-amz-json-${call.version ?? '1.0'}`, 'x-amz-target': call.target },
    body: JSON.stringify(call.input),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** Sends a message to an SQS queue, named by its ARN. Attributes are all strings. */
export async function sendToQueue(
  world: World,
  credentials: Credentials,
  queueArn: string,
  body: string,
  attributes: Readonly<Record<string, string>> = {},
): Promise<void> {
  const [, , , region = '', account, name] = queueArn.split(':');
  await callJson(world, credentials, {
    service: 'sqs',
    region,
    target: 'AmazonSQS.SendMessage',
    input: {
      QueueUrl: `${world.endpoint}/${account}/${name}`,
      MessageBody: body,
      MessageAttributes: Object.fromEntries(
        Object.entries(attributes).map(([key, value]) => [key, { DataType: 'String', StringValue: value }]),
      ),
    },
  });
}

/** The request's headers with a signature by Signature Version 4, and without `host`, which HTTP clients add. */
export function signedHeaders(
  url: URL,
  method: string,
  request: Pick<SignedRequest, 'service' | 'region' | 'headers'>,
  body: string | Uint8Array,
  credentials: Credentials,
  now: Date,
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/${request.region}/${request.service}/aws4_request`;
  const hash = createHash('sha256').update(body).digest('hex');
  const headers: Record<string, string> = {
    ...request.headers,
    host: url.host,
    'x-amz-content-sha256': hash,
    'x-amz-date': time,
    'x-amz-security-token': credentials.sessionToken,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    method,
    // Every service but S3 signs the path encoded once more.
    request.service === 's3' ? url.pathname : url.pathname.split('/').map(encodeURIComponent).join('/'),
    [...url.searchParams]
      .map((pair) => pair.map(encodeURIComponent).join('='))
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    '',
    names.join(';'),
    hash,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = scope
    .split('/')
    .reduce<string | Buffer>(
      (k, part) => createHmac('sha256', k).update(part).digest(),
      `AWS4${credentials.secretAccessKey}`,
    );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const { host: _, ...sent } = headers;
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

async function errorOf(response: Response): Promise<AwsError> {
  const text = await response.text();
  let body: Record<string, any> = {};
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: the text itself is the message.
  }
  const code = response.headers.get('x-amzn-errortype') ?? body.__type ?? 'ServiceException';
  return new AwsError(
    String(code).split(':')[0]?.split('#').pop() ?? 'ServiceException',
    body.message ?? body.Message ?? text,
    response.status,
  );
}
