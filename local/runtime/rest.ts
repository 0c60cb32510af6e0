import type { IncomingMessage, ServerResponse } from 'node:http';
import { AwsError } from '../facade.ts';
import { encodeJson } from '../protocols.ts';

/** Reads a request's body; more than `limit` bytes is `RequestTooLargeException` (413). */
export async function readBody(request: IncomingMessage, limit: number, operation: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    // Read to its end all the same: an answer amid the upload reaches few clients.
    if (size <= limit) chunks.push(chunk);
  }
  if (size > limit) {
    const message = `Request must be smaller than ${limit} bytes for the ${operation} operation`;
    throw new AwsError('RequestTooLargeException', message, 413);
  }
  return Buffer.concat(chunks);
}

/** An answer of a REST JSON service; dates become epoch seconds. */
export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(encodeJson(body));
}
