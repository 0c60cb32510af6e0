import type { IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { AwsError } from './facade.ts';
import {
  decodeQuery,
  encodeEc2Error,
  encodeEc2Result,
  encodeQueryError,
  encodeQueryResult,
  escapeXml,
} from './query.ts';

/**
 * The wire protocols of AWS: how a request names its operation and input, and how answers and errors are written.
 * Services that also speak RPC v2 CBOR (CloudWatch) are spoken to in JSON by the SDKs and the command line.
 * Operations give plain values; Dates become timestamps, Uint8Arrays blobs and Maps maps, as each protocol has them.
 */
export type Protocol = 'json-1.0' | 'json-1.1' | 'query' | 'ec2' | 'rest';

/** Requests of RPC protocols are small: CloudWatch's PutMetricData, the largest, allows 1 MB. */
const MAX_RPC_BODY = 8 * 1024 * 1024;

export function protocolOf(request: IncomingMessage, service?: string): Protocol {
  if (request.method !== 'POST') return 'rest';
  const type = request.headers['content-type'] ?? '';
  if (request.headers['x-amz-target'] !== undefined) return type.includes('json-1.0') ? 'json-1.0' : 'json-1.1';
  if (!type.startsWith('application/x-www-form-urlencoded')) return 'rest';
  return service === 'ec2' ? 'ec2' : 'query';
}

/** Reads the operation's name and its input. @throws AwsError SerializationException when the body is malformed */
export async function readRpc(
  request: IncomingMessage,
  protocol: Exclude<Protocol, 'rest'>,
): Promise<{ operation: string; input: unknown }> {
  const body = await readBody(request);
  try {
    switch (protocol) {
      case 'ec2':
      case 'query': {
        const { operation, input } = decodeQuery(body.toString('utf8'));
        if (operation === undefined) throw new AwsError('MissingAction', 'The body has no Action parameter.');
        return { operation, input };
      }
      default: {
        const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
        const input = body.length === 0 ? {} : JSON.parse(body.toString('utf8'));
        if (typeof input !== 'object' || input === null) throw new Error('The body is not a JSON object.');
        return { operation, input };
      }
    }
  } catch (error) {
    if (error instanceof AwsError) throw error;
    throw new AwsError('SerializationException', error instanceof Error ? error.message : String(error));
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_RPC_BODY) throw new AwsError('RequestEntityTooLarge', `More than ${MAX_RPC_BODY} bytes.`, 413);
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (request.headers['content-encoding'] !== 'gzip') return body;
  try {
    return gunzipSync(body, { maxOutputLength: MAX_RPC_BODY });
  } catch (error) {
    throw new AwsError('SerializationException', `gzip: ${error instanceof Error ? error.message : error}`);
  }
}

/** An answer as it goes onto the wire. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

export function encodeOutput(
  protocol: Exclude<Protocol, 'rest'>,
  answer: { operation: string; output: unknown; namespace: string; requestId: string },
): WireAnswer {
  const output = answer.output ?? {};
  switch (protocol) {
    case 'ec2': {
      const body = encodeEc2Result(answer.operation, output, answer.namespace, answer.requestId);
      return { status: 200, headers: { 'content-type': 'text/xml' }, body };
    }
    case 'query': {
      const body = encodeQueryResult(answer.operation, output, answer.namespace, answer.requestId);
      return { status: 200, headers: { 'content-type': 'text/xml' }, body };
    }
    default:
      return { status: 200, headers: { 'content-type': `application/x-amz-${protocol}` }, body: encodeJson(output) };
  }
}

/** An error as the protocol has it; for REST, S3's XML or the JSON of the others. */
export function encodeError(
  protocol: Protocol,
  error: AwsError,
  about: { service: string; namespace: string; requestId: string },
): WireAnswer {
  const { code, message, status } = error;
  const headers = { 'x-amzn-errortype': code };
  if (protocol === 'query' || protocol === 'ec2') {
    const isQuery = protocol === 'query';
    const body = isQuery
      ? encodeQueryError(error, about.namespace, about.requestId)
      : encodeEc2Error(error, about.requestId);
    return { status, headers: { 'content-type': 'text/xml' }, body };
  }
  if (protocol === 'rest' && about.service === 's3') {
    const details = `<Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message>`;
    const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${details}<RequestId>${about.requestId}</RequestId></Error>`;
    return { status, headers: { 'content-type': 'application/xml' }, body };
  }
  const type = protocol === 'rest' ? 'application/json' : `application/x-amz-${protocol}`;
  return {
    status,
    headers: { ...headers, 'content-type': type },
    body: encodeJson({ __type: code, message, ...error.members }),
  };
}

/** JSON as AWS's protocols write it: timestamps are epoch seconds, blobs base64, maps objects. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, converted) {
    // `converted` has been through Date.toJSON and Buffer.toJSON already; the holder still has the value itself.
    const held = this[key];
    if (held instanceof Date) return held.getTime() / 1000;
    if (held instanceof Uint8Array) return Buffer.from(held).toString('base64');
    if (held instanceof Map) return Object.fromEntries(held);
    return converted;
  });
}
