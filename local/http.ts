import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AwsError, type CallContext, type Facade } from './facade.ts';
import { CONTAINER_CREDENTIALS_PREFIX, type Identity } from './identity.ts';
import type { Outages } from './outages.ts';
import { encodeError, encodeOutput, protocolOf, readRpc, type WireAnswer } from './protocols.ts';

export interface HttpOptions {
  readonly identity: Identity;
  /** By signing name. Read at every request, so that facades may be added after the server has begun to listen. */
  readonly facades: ReadonlyMap<string, Facade>;
  readonly outages: Outages;
  /** Told of errors that no facade meant to throw: their callers see InternalFailure. */
  readonly note: (message: string) => void;
}

/** One server for all services: the credential scope of a request's signature says which facade it is for. */
export function createHttpServer(options: HttpOptions): Server {
  const crossings = new Set<Crossing>();
  // Answers under way are lost with the region, as the connections are.
  options.outages.onChange(() => {
    for (const crossing of crossings) if (!isOpen(crossing, options)) crossing.socket.destroy();
  });
  const server = createServer((request, response) => {
    handle(request, response, options, (crossing) => {
      crossings.add(crossing);
      response.once('close', () => crossings.delete(crossing));
    }).catch((error) => {
      options.note(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : error}`);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  // SDK clients keep connections for reuse; closing idle ones early would race with their next request.
  server.keepAliveTimeout = 120_000;
  // An upload of hundreds of gigabytes is one long request.
  server.requestTimeout = 0;
  return server;
}

/** A request from where its caller is to where its service is. */
interface Crossing {
  readonly socket: Socket;
  readonly from: string | undefined;
  readonly to: string;
  readonly service: string;
}

const isOpen = ({ from, to, service }: Crossing, { outages }: HttpOptions): boolean =>
  outages.reachable(from, to, service);

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
  onCrossing: (crossing: Crossing) => void,
): Promise<void> {
  const requestId = randomUUID();
  response.setHeader('x-amzn-requestid', requestId);
  const path = new URL(request.url ?? '/', 'http://cloud').pathname;
  if (path.startsWith(CONTAINER_CREDENTIALS_PREFIX)) {
    answerCredentials(path, request, response, options);
    return;
  }

  const scope = credentialScope(request);
  const facade = scope && options.facades.get(scope.service);
  // To S3, a form's content type is only what an object is to be served with.
  const protocol =
    facade?.operations === undefined && facade?.http !== undefined ? 'rest' : protocolOf(request, scope?.service);
  try {
    if (scope === undefined && answerAnonymous(request, response, options)) return;
    if (scope === undefined) {
      throw new AwsError('MissingAuthenticationTokenException', 'The request is not signed (AWS Signature V4).', 403);
    }
    if (facade === undefined) {
      throw new AwsError('UnknownOperationException', `This cloud does not offer the service "${scope.service}".`);
    }
    // Only the key is looked up; the signature itself is not verified (see identity.ts).
    const principal = options.identity.principalOf(scope.accessKeyId);
    if (principal === undefined) throw refusedKey(scope, protocol, options.identity);
    const { socket } = request;
    const crossing = { socket, from: principal.region, to: scope.region, service: scope.service };
    if (!isOpen(crossing, options)) {
      // There is nobody who could answer.
      socket.destroy();
      return;
    }
    onCrossing(crossing);
    const context: CallContext = { region: scope.region, principal, requestId };
    if (protocol === 'rest') {
      if (facade.http === undefined) {
        throw new AwsError('UnknownOperationException', `${scope.service} has no ${request.method} ${path}.`, 404);
      }
      await facade.http(request, response, context);
      return;
    }
    const { operation, input } = await readRpc(request, protocol);
    const carryOut = Object.hasOwn(facade.operations ?? {}, operation) ? facade.operations?.[operation] : undefined;
    if (carryOut === undefined) {
      throw new AwsError('UnknownOperationException', `${scope.service} has no operation ${operation} in this cloud.`);
    }
    const output = await carryOut(input, context);
    const namespace = facade.xmlNamespace ?? '';
    send(response, encodeOutput(protocol, { operation, output, namespace, requestId }));
  } catch (error) {
    if (response.headersSent) throw error;
    const awsError = error instanceof AwsError ? error : internalFailure(error, request, options);
    request.resume();
    const about = { service: scope?.service ?? '', namespace: facade?.xmlNamespace ?? '', requestId };
    send(response, encodeError(protocol, awsError, about));
  }
}

function send(response: ServerResponse, { status, headers, body }: WireAnswer): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

interface CredentialScope {
  readonly accessKeyId: string;
  readonly region: string;
  readonly service: string;
}

/** Reads `<key>/<date>/<region>/<service>/aws4_request` from the Authorization header or a presigned URL's query. */
export function credentialScope(request: IncomingMessage): CredentialScope | undefined {
  const header = /^AWS4-HMAC-SHA256 .*?Credential=([^,\s]+)/.exec(request.headers.authorization ?? '')?.[1];
  const credential = header ?? new URL(request.url ?? '/', 'http://cloud').searchParams.get('X-Amz-Credential');
  const [accessKeyId, , region, service, end] = credential?.split('/') ?? [];
  if (!accessKeyId || !region || !service || end !== 'aws4_request') return undefined;
  return { accessKeyId, region, service };
}

function refusedKey({ service, accessKeyId }: CredentialScope, protocol: string, identity: Identity): AwsError {
  if (identity.isExpired(accessKeyId)) {
    if (service === 's3') return new AwsError('ExpiredToken', 'The provided token has expired.', 400);
    const expired = 'The security token included in the request is expired';
    return new AwsError(protocol === 'query' ? 'ExpiredToken' : 'ExpiredTokenException', expired, 403);
  }
  const message = 'The security token included in the request is invalid.';
  if (service === 's3') return new AwsError('InvalidAccessKeyId', 'The access key ID is not known.', 403);
  return protocol === 'query'
    ? new AwsError('InvalidClientTokenId', message, 403)
    : new AwsError('UnrecognizedClientException', message, 403);
}

function internalFailure(error: unknown, request: IncomingMessage, options: HttpOptions): AwsError {
  options.note(`${request.method} ${request.url}: ${error instanceof Error ? error.stack : error}`);
  return new AwsError('InternalFailure', error instanceof Error ? error.message : String(error), 500);
}

/** A request without a signature, for an address that a facade leaves open. */
function answerAnonymous(request: IncomingMessage, response: ServerResponse, { facades }: HttpOptions): boolean {
  if (request.method !== 'GET') return false;
  const url = new URL(request.url ?? '/', 'http://cloud');
  for (const { anonymous } of facades.values()) {
    const answer = anonymous?.(url);
    if (answer === undefined) continue;
    send(response, { status: answer.status, headers: { 'content-type': answer.type }, body: answer.body });
    return true;
  }
  return false;
}

/** What ECS's agent answers to a task that asks for its role's credentials: unsigned, the path is the secret. */
function answerCredentials(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  { identity }: HttpOptions,
): void {
  const credentials = request.method === 'GET' ? identity.containerCredentials(path) : undefined;
  response.writeHead(credentials ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(credentials ?? { code: 'InvalidIdInRequest', message: 'No such credentials.' }));
}
