import type { ServerResponse } from 'node:http';
import { XMLParser } from 'fast-xml-parser';
import type { AwsError, CallContext } from '../../facade.ts';
import { s3Error } from './model.ts';

/** Text, a list of elements of the same name, or an element's children in order. Undefined is left out. */
export type XmlValue = string | number | boolean | undefined | XmlValue[] | { [name: string]: XmlValue };

const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** Writing is done here and not by the parser's library: keys may hold characters that only a numeric reference can carry. */
export function toXml(root: string, content: XmlValue): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${namespace}">${inner(content)}</${root}>`;
}

function inner(value: XmlValue): string {
  if (value === undefined) return '';
  if (typeof value !== 'object') return escapeText(String(value));
  return Object.entries(value as Record<string, XmlValue>)
    .map(([name, child]) => element(name, child))
    .join('');
}

function element(name: string, value: XmlValue): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.map((item) => element(name, item)).join('');
  return `<${name}>${inner(value)}</${name}>`;
}

function escapeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be escaped
  return text.replace(/[&<>"\u0000-\u001f\u007f]/g, (character) => {
    switch (character) {
      case '&':
        return '&amp;';
      case '<':
        return '&lt;';
      case '>':
        return '&gt;';
      case '"':
        return '&quot;';
      default:
        return `&#x${character.charCodeAt(0).toString(16)};`;
    }
  });
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  // htmlEntities also decodes numeric references, by which keys with control characters arrive.
  htmlEntities: true,
  isArray: (name) => name === 'Object' || name === 'Part',
});

/** The children of the body's root element. Elements hold text; `Object` and `Part` are always lists. */
export function fromXml(body: Buffer, root: string): Record<string, any> {
  let parsed: Record<string, unknown>;
  try {
    parsed = parser.parse(body.toString('utf8'), true);
  } catch (error) {
    throw malformed((error as Error).message);
  }
  if (!(root in parsed)) throw malformed(`<${root}> is missing`);
  const content = parsed[root];
  return typeof content === 'object' && content !== null ? (content as Record<string, any>) : {};
}

export const malformed = (why: string): AwsError =>
  s3Error(
    'MalformedXML',
    `The XML you provided was not well-formed or did not validate against our published schema (${why})`,
  );

export function answerXml(response: ServerResponse, root: string, content: XmlValue): void {
  const body = Buffer.from(toXml(root, content));
  response.setHeader('content-type', 'application/xml');
  response.setHeader('content-length', body.length);
  response.writeHead(200);
  response.end(body);
}

/** The error document; a HEAD request and a 304 have no body, so their code is in the status alone. */
export function answerError(
  response: ServerResponse,
  error: AwsError & { details?: Record<string, string>; headers?: Record<string, string> },
  context: CallContext,
  resource: string,
  method: string | undefined,
): void {
  for (const [name, value] of Object.entries(error.headers ?? {})) response.setHeader(name, value);
  if (method === 'HEAD' || error.status === 304) {
    response.writeHead(error.status);
    response.end();
    return;
  }
  const content = {
    Code: error.code,
    Message: error.message,
    ...error.details,
    Resource: resource,
    RequestId: context.requestId,
    HostId: context.requestId,
  };
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n<Error>${inner(content)}</Error>`);
  response.setHeader('content-type', 'application/xml');
  response.setHeader('content-length', body.length);
  response.writeHead(error.status);
  response.end(body);
}

/** Times in lists have whole seconds, as S3's have. */
export const isoSeconds = (time: number): string => new Date(Math.floor(time / 1000) * 1000).toISOString();
